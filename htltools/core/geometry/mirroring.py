"""Mirror images, and predictions for them put back: left for right, upside down, or both. Predictions are arrays or tensors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Numbers = TypeVar("Numbers", np.ndarray, "Tensor")


class Mirror(NamedTuple):
    """A mirror image: left for right, upside down, or both."""

    horizontal: bool
    vertical: bool

    @property
    def axes(self) -> list[int]:
        """The axes of [..., H, W] that are turned, counted from the end."""
        return [axis for axis, turned in ((-1, self.horizontal), (-2, self.vertical)) if turned]


def allowed_mirrors(flip: Sequence[float]) -> list[Mirror]:
    """The mirror images that doubt compares: along each axis that training mirrored, by the chances of a horizontal and of a vertical one.

    The one along both axes is left out: a third pass that tells failures no better (`EVIDENCE.md`, on doubt).

    >>> allowed_mirrors([0.5, 0.0]), len(allowed_mirrors([0.5, 0.5])), allowed_mirrors([0, 0])
    ([Mirror(horizontal=True, vertical=False)], 2, [])
    """
    horizontal, vertical = (chance > 0 for chance in flip)
    return [mirror for mirror, seen in ((Mirror(True, False), horizontal), (Mirror(False, True), vertical)) if seen]


def mirrored_images(images: np.ndarray, mirror: Mirror) -> np.ndarray:
    """The mirror images of images [B, H, W, C]."""
    return images[:, :: -1 if mirror.vertical else 1, :: -1 if mirror.horizontal else 1]


def mirrored_boxes(boxes: Numbers, mirror: Mirror) -> Numbers:
    """Boxes [..., 4 or more] of mirror images, shares of the sides, as boxes of the images, or the reverse; further columns stay.

    >>> mirrored_boxes(np.array([0.0, 0.25, 0.5, 1.0]), Mirror(True, False))
    array([0.5 , 0.25, 1.  , 1.  ])
    """
    stack: Any = np.stack
    if not isinstance(boxes, np.ndarray):
        from torch import stack
    x0, y0, x1, y1, *others = (boxes[..., column] for column in range(boxes.shape[-1]))
    if mirror.horizontal:
        x0, x1 = 1 - x1, 1 - x0
    if mirror.vertical:
        y0, y1 = 1 - y1, 1 - y0
    return stack([x0, y0, x1, y1, *others], -1)


def mirrored_masks(masks: Numbers, mirror: Mirror) -> Numbers:
    """Masks [..., H, W] of mirror images as masks of the images, or the reverse."""
    return np.flip(masks, tuple(mirror.axes)) if isinstance(masks, np.ndarray) else masks.flip(mirror.axes)
