"""Data sets: ordered, watched, looked at, downloaded, cancelled, deleted."""
