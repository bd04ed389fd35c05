"""Hardness scores, and the baselines that need no pruning."""
