"""How a trained localizer is to look: whether again, how often and how wide, by the mean IoU on validation images."""

from dataclasses import replace

import numpy as np

from htltools.core.nets.localizer import Localizer
from htltools.core.nets.looks import Looks
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.prefetch import OnDevice
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.validation import mean_ious

ONCE = Looks()
WINDOWS = 1.2, 1.4, 1.7
MOST = 3  # looks


def choose_looks(
    model: Localizer,
    images: ImageSource | OnDevice,
    targets: np.ndarray,
    runtime: Runtime,
    count: int | None = None,
    window: float | None = None,
    rest: Looks = ONCE,
) -> dict[Looks, float]:
    """Set the looks of a model, in place, to those of the highest mean validation IoU; of equals, to the fewest.

    count, window: the only ones to try; else one to three looks, at windows of 1.2, 1.4 and 1.7 sides of the box, first two looks at
    each window, and then more of them, and means of the last two, at the best one. A single look is always tried unless a count is
    asked for. rest: where else they are as they are.

    Returns: the mean validation IoU of all that was tried, in the order of trial.
    """
    tried: dict[Looks, float] = {}

    def measure(*ways: Looks) -> None:
        new = [way for way in dict.fromkeys(ways) if way not in tried]
        if new:
            tried.update(zip(new, (round(iou, 6) for iou in mean_ious(model, new, images, targets, runtime))))

    once = [ONCE] if count in (None, 1) else []
    if count == 1:
        measure(*once)
    else:
        first = min(count or 2, 2)
        measure(*once, *(replace(rest, count=first, window=wide) for wide in ([window] if window else WINDOWS)))
        wide = max((looks for looks in tried if looks.count == first), key=tried.__getitem__).window
        counts = [count] if count else range(2, MOST + 1)
        measure(*(replace(rest, window=wide, count=each, average=mean) for each in counts for mean in (False, True)))
    fit = [looks for looks in tried if count in (None, looks.count)]
    model.looks = max(fit, key=lambda looks: (tried[looks], -looks.count))
    return tried
