"""Pruning: single weights or whole channels."""
