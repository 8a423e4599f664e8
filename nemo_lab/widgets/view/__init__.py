"""What people look at: the record of a moment, the state that all panels share, the one thread that draws."""
