"""Metrics, confidence intervals, subgroups, odds ratios."""
