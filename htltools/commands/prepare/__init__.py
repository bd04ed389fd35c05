"""`htl prepare`: images, masks and tables into rows and a store."""
