"""Training runs: a slice from claim to result, and at the end of a run its package."""
