"""`htl prune`: a pruned copy of a localizer."""
