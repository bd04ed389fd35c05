"""`htl resample`: hardness into weights, repeats or a selection."""
