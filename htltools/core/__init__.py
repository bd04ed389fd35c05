"""The method: arrays and tensors in, arrays and tensors out. No files, no printing."""
