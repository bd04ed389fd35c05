"""Object storage: addresses such as s3://bucket/key become files of a local cache."""
