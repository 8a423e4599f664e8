"""Whether the networks that people bring can be taken, and are taken right."""
