"""The training loop and all that belongs to it; what it minimises is in `objectives`."""
