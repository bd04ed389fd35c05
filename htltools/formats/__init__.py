"""What htl reads and writes: one format per module, every name in `schema`."""
