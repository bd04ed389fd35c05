"""The stream of rows and notes, and its schema."""
