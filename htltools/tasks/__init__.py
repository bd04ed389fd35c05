"""Tasks: what a model predicts, and how two predictions compare."""
