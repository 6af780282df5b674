"""The images: how they are built, run together, and tried."""
