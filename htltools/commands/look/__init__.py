"""`htl look`: how a trained localizer looks at an image."""
