"""What a training minimises: by boxes, masks, several objects or labels, and by pseudo-boxes of a mean teacher."""
