"""What many workers give, and what going ahead of answers costs."""
