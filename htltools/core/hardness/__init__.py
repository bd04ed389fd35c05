"""Hardness scores, and the baselines that do not prune."""
