"""`htl score`: hardness of every row."""
