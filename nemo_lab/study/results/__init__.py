"""What a run has found: snapshots, tables, history, choices, validation, script."""
