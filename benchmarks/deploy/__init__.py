"""Whether a front comes out as files that compute what was searched."""
