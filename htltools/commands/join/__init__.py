"""`htl join`: parts of a whole, joined."""
