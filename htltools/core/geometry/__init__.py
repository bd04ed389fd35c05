"""Boxes, masks, class maps and sets of objects as arrays."""
