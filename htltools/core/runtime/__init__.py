"""Running a model: device, batches, processes."""
