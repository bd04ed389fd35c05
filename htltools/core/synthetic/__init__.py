"""Synthetic lesion images with planted difficulties."""
