"""`htl view`: rows to look at."""
