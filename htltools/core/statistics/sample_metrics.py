"""How the predictions of one model agree with the annotation, sample by sample: all that its metrics need."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from htltools.core.statistics.average_precision import DetectionMatches
from htltools.core.statistics.iou_metrics import metric_values


class SampleMetrics(Protocol):
    """The agreement of N samples with their annotation. `iou`: [N] in [0, 1], NaN = missed."""

    @property
    def iou(self) -> np.ndarray: ...

    def at(self, places: np.ndarray) -> "SampleMetrics":
        """That of some of the samples: int [n]."""
        ...

    def values(self, times: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Every metric by name, [R], where sample n is taken times[r, n] times; absent: each once, R = 1."""
        ...


@dataclass(frozen=True)
class BoxMetrics:
    """Of predictions that are held against the annotation by IoU, or by the overlap of sets of objects."""

    iou: np.ndarray

    def at(self, places: np.ndarray) -> "BoxMetrics":
        """As `SampleMetrics.at`."""
        return BoxMetrics(self.iou[places])

    def values(self, times: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """As `SampleMetrics.values`."""
        return metric_values(self.iou, once(self.iou) if times is None else times)


@dataclass(frozen=True)
class MaskMetrics:
    """Of masks and the boxes around them. `dice`: [N] in [0, 1], NaN where no mask is annotated."""

    iou: np.ndarray
    dice: np.ndarray

    def at(self, places: np.ndarray) -> "MaskMetrics":
        """As `SampleMetrics.at`."""
        return MaskMetrics(self.iou[places], self.dice[places])

    def values(self, times: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """As `SampleMetrics.values`; without `dice` and `mask_iou` where no mask at all is annotated."""
        times = once(self.iou) if times is None else times
        values = metric_values(self.iou, times)
        known = ~np.isnan(self.dice)
        shares = np.column_stack([self.dice, self.dice / (2 - self.dice)])[known]  # Dice, and the IoU that it comes to
        count = times[:, known].sum(1)[:, None]
        means = np.divide(times[:, known] @ shares, count, out=np.full((len(times), 2), np.nan), where=count > 0)
        return values | dict(zip(("dice", "mask_iou"), means.T))


@dataclass(frozen=True)
class DetectionMetrics:
    """Of several objects: the overlap of the sets, and the matches that average precision needs."""

    iou: np.ndarray
    matches: DetectionMatches

    def at(self, places: np.ndarray) -> "DetectionMetrics":
        """As `SampleMetrics.at`."""
        return DetectionMetrics(self.iou[places], self.matches.at(places))

    def values(self, times: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """As `SampleMetrics.values`."""
        times = once(self.iou) if times is None else times
        return metric_values(self.iou, times) | self.matches.values(times)


Runs = SampleMetrics | Sequence[SampleMetrics] | np.ndarray


def once(iou: np.ndarray) -> np.ndarray:
    """Each of N samples taken once: int64 [1, N]."""
    return np.ones((1, len(iou)), np.int64)


def runs_of(runs: Runs) -> list[SampleMetrics]:
    """One entry a run, of one, of several, or of bare IoU [N] or [K, N]."""
    if isinstance(runs, np.ndarray):
        return [BoxMetrics(iou) for iou in np.atleast_2d(runs)]
    return list(runs) if isinstance(runs, Sequence) else [runs]
