"""A journal beside a run: what it costs, and what a kill leaves."""
