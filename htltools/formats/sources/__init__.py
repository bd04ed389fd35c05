"""Folders and files that `htl prepare` reads."""
