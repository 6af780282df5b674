"""Evaluations: a step from claim to result, and at the end the report."""
