"""Every steer as plain data: what it decides, what it does to the engine, and how it is written as Python."""
