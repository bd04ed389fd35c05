"""Images whose reading a progress bar shows."""

import numpy as np

from htltools import console
from htltools.core.runtime.image_sources import ImageSource


class CountedImages:
    """Images that tell a progress bar how many of them were read."""

    def __init__(self, images: ImageSource, steps: console.Steps):
        self.images, self.steps, self.shape = images, steps, images.shape

    def batch(self, chosen: np.ndarray) -> np.ndarray:
        """As `ImageSource.batch`."""
        self.steps.advance(len(chosen))
        return self.images.batch(chosen)
