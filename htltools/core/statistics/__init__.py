"""Metrics, intervals, subgroups, odds ratios."""
