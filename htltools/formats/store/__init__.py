"""The store: HDF5 shards of images and masks."""
