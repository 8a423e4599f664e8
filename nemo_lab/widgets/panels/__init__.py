"""The panels of the dashboard."""
