"""How the predictions of one model agree with the annotation, sample by sample: all that its metrics need."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from htltools.core.statistics.average_precision import DetectionMatches
from htltools.core.statistics.detection_rates import froc, rates_at
from htltools.core.statistics.iou_metrics import metric_values

OF_MASKS = "dice", "mask_iou", "hd95", "assd", "boundary_iou"


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
    """Of masks and the boxes around them.

    dice: [N] in [0, 1], NaN where no mask is annotated; outlines: [N, 3], see `geometry.surface_distances.outline_agreement`.
    """

    iou: np.ndarray
    dice: np.ndarray
    outlines: np.ndarray

    def at(self, places: np.ndarray) -> "MaskMetrics":
        """As `SampleMetrics.at`."""
        return MaskMetrics(self.iou[places], self.dice[places], self.outlines[places])

    def values(self, times: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """As `SampleMetrics.values`; without those of masks where no mask at all is annotated."""
        times = once(self.iou) if times is None else times
        values = metric_values(self.iou, times)
        known = ~np.isnan(self.dice)
        shares = np.column_stack([self.dice, self.dice / (2 - self.dice), self.outlines])[known]  # Dice, and the IoU that it comes to
        count = times[:, known].sum(1)[:, None]
        means = np.divide(times[:, known] @ shares, count, out=np.full((len(times), len(OF_MASKS)), np.nan), where=count > 0)
        return values | dict(zip(OF_MASKS, means.T))


@dataclass(frozen=True)
class DetectionMetrics:
    """Of several objects: the overlap of the sets, the matches of objects, and the score from which on an object counts."""

    iou: np.ndarray
    matches: DetectionMatches
    threshold: float

    def at(self, places: np.ndarray) -> "DetectionMetrics":
        """As `SampleMetrics.at`."""
        return DetectionMetrics(self.iou[places], self.matches.at(places), self.threshold)

    def values(self, times: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """As `SampleMetrics.values`; metrics of one class of several are named CLASS/class_METRIC."""
        times = once(self.iou) if times is None else times
        rates = rates_at(self.matches, self.threshold, times) | froc(self.matches.pooled, times)
        return metric_values(self.iou, times) | self.matches.values(times) | rates

    def objects_by_class(self) -> dict[str, int]:
        """The number of annotated objects of each class."""
        return {name: int(own.objects.sum()) for name, own in zip(self.matches.names, self.matches.classes)}


Runs = SampleMetrics | Sequence[SampleMetrics] | np.ndarray


def once(iou: np.ndarray) -> np.ndarray:
    """Each of N samples taken once: int64 [1, N]."""
    return np.ones((1, len(iou)), np.int64)


def runs_of(runs: Runs) -> list[SampleMetrics]:
    """One entry a run, of one, of several, or of bare IoU [N] or [K, N]."""
    if isinstance(runs, np.ndarray):
        return [BoxMetrics(iou) for iou in np.atleast_2d(runs)]
    return list(runs) if isinstance(runs, Sequence) else [runs]
