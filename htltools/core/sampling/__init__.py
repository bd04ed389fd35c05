"""Hardness into weights and selections; splits."""
