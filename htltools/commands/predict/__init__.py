"""`htl predict`: predictions for new images, and their doubt."""
