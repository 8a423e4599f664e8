"""Runs that are steered, killed and hit by faults at random, and made again in every way there is."""
