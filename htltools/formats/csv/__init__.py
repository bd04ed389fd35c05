"""CSV files of images: their text, the roles of their columns, and the values of their cells."""
