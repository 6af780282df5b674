"""Training runs: ordering, watching, cancelling and resuming them."""
