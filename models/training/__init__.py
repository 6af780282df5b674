"""Training of both stages: exact checkpoints, a budget in minutes or images, curves and sheets."""
