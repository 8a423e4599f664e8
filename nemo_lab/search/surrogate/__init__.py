"""Surrogate-assisted search: a model of the damage of narrow widths, and the best candidates by it. Ours."""
