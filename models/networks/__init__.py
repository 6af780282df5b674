"""The networks, a net a file."""
