"""Evaluations: ordering, watching and cancelling them, and their reports."""
