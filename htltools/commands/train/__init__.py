"""`htl train`: a localizer from rows."""
