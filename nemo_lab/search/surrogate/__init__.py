"""A model of what narrow widths do to a network, and the configurations that are best by it. Ours."""
