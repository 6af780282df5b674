"""Do the pairs help: segmenters trained on them, on real pairs, and on both, tested on real ones."""
