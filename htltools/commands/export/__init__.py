"""`htl export`: an ONNX file, checked against torch."""
