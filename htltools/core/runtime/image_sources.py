"""Where images come from: the protocol of stored ones, and in their place images that are at hand, and mirror images."""

from typing import Protocol

import numpy as np

from htltools.core.geometry.mirroring import Mirror, mirrored_images


class ImageSource(Protocol):
    """Stored images: `shape` (N, H, W, C), and `batch` of them by index (int64 [B]), uint8 [B, H, W, C]."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def batch(self, chosen: np.ndarray) -> np.ndarray: ...


class ImagesInMemory:
    """Images uint8 [N, H, W, C] in memory, as an `ImageSource`."""

    def __init__(self, images: np.ndarray):
        self.images, self.shape = images, images.shape

    def batch(self, chosen: np.ndarray) -> np.ndarray:
        """As `ImageSource.batch`."""
        return self.images[chosen]


class MirroredImages:
    """The mirror images of a source, as an `ImageSource`."""

    def __init__(self, images: ImageSource, mirror: Mirror):
        self.images, self.mirror, self.shape = images, mirror, images.shape

    def batch(self, chosen: np.ndarray) -> np.ndarray:
        """As `ImageSource.batch`."""
        return np.ascontiguousarray(mirrored_images(self.images.batch(chosen), self.mirror))
