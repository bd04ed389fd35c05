"""Small nets and images in memory."""

import numpy as np
import pytest


class Shelf:
    """Images in memory: a bright rectangle each on a dark, noisy ground."""

    def __init__(self, count: int, seed: int = 0, size: int = 32):
        random = np.random.default_rng(seed)
        self.images = random.integers(0, 60, (count, size, size, 3), np.uint8)
        low, extent = random.integers(1, size // 2, (count, 2)), random.integers(6, size // 2, (count, 2))
        corners = np.concatenate([low, np.minimum(low + extent, size - 1)], 1)  # x0, y0, x1, y1
        for image, (x0, y0, x1, y1) in zip(self.images, corners):
            image[y0:y1, x0:x1] += 180
        self.boxes = (corners / size).astype(np.float32)
        self.shape = self.images.shape

    def batch(self, chosen):
        """The chosen images."""
        return self.images[chosen]


@pytest.fixture(scope="session")
def shelf():
    """48 images with their boxes."""
    return Shelf(48)


@pytest.fixture(scope="session")
def other_shelf():
    """16 more images with their boxes."""
    return Shelf(16, seed=1)


@pytest.fixture
def localizer():
    """A compact localizer with the fresh weights of seed 0."""
    import torch

    from htltools.core.nets.factory import architecture, build

    torch.manual_seed(0)
    return build(architecture("compact", (32, 32, 3)))
