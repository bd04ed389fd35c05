"""`htl evaluate`: metrics, intervals, subgroups, comparison, odds ratios."""
