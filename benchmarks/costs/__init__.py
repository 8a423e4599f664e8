"""How fast costs are computed."""
