"""Every command as plain data: what it decides, what it does to the engine, how it is written as Python."""
