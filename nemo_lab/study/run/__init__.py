"""A run under way: its worker, evaluation, events."""
