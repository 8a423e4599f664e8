"""Speed and search quality, measured side by side with peers; no tests, nothing is timed in CI."""
