"""Figures: SVG plots and contact sheets."""
