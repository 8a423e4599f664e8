"""Every steer as plain data, and what it does."""
