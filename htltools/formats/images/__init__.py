"""Image files, and images on a terminal."""
