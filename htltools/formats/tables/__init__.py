"""CSV, COCO and FiftyOne."""
