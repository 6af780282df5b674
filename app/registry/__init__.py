"""The models that orders can name."""
