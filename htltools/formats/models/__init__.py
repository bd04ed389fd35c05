"""Checkpoints and ONNX files."""
