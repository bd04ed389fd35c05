"""From hardness to weights and selections; splits."""
