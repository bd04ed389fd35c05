"""How the answers of one model agree with the annotation, sample by sample: all that its metrics need."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from htltools.core.statistics.average_precision import DetectionMatches
from htltools.core.statistics.iou_metrics import metric_values


@dataclass(frozen=True)
class Agreement:
    """N samples. `iou`: [N] in [0, 1], NaN = missed; of several objects the overlap of `core.matching`.

    `dice`: [N] in [0, 1], of a model that answers with masks, NaN where no mask is known; `found`: of one that finds several objects.
    """

    iou: np.ndarray
    dice: np.ndarray | None = None
    found: DetectionMatches | None = None

    def at(self, places: np.ndarray) -> "Agreement":
        """That of some of the samples: int [n]."""
        part = None if self.found is None else self.found.at(places)
        return Agreement(self.iou[places], None if self.dice is None else self.dice[places], part)

    def values(self, times: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Every metric by name, [R], where sample n is taken times[r, n] times; absent: each once, R = 1."""
        times = np.ones((1, len(self.iou)), np.int64) if times is None else times
        values = metric_values(self.iou, times)
        if self.dice is not None:
            known = ~np.isnan(self.dice)
            shares = np.column_stack([self.dice, self.dice / (2 - self.dice)])[known]  # Dice, and the IoU that it comes to
            count = times[:, known].sum(1)[:, None]
            means = np.divide(times[:, known] @ shares, count, out=np.full((len(times), 2), np.nan), where=count > 0)
            values |= dict(zip(("dice", "mask_iou"), means.T))
        return values | (self.found.values(times) if self.found else {})


Runs = Agreement | Sequence[Agreement] | np.ndarray


def runs_of(runs: Runs) -> list[Agreement]:
    """One agreement a run, of one, of several, or of bare IoU [N] or [K, N]."""
    if isinstance(runs, np.ndarray):
        return [Agreement(iou) for iou in np.atleast_2d(runs)]
    return [runs] if isinstance(runs, Agreement) else list(runs)
