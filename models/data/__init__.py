"""Photographs with the maps that are known of them: reading, augmentation, the maps' channels."""
