"""Predictions as files of other programs: CSV, COCO results, YOLO labels."""
