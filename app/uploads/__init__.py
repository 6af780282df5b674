"""Uploads: a zip of vessel maps, or of real pairs, that is checked and kept as normalised pictures."""
