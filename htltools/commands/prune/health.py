"""Whether a pruned copy still answers images differently, and in which layers it does not."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from htltools.core.hardness.prediction_spread import FEWEST, PredictionSpread
from htltools.core.nets.localizer import Localizer
from htltools.core.pruning.dead_layers import dead_layers
from htltools.core.runtime.batches import batches
from htltools.core.runtime.prefetch import load_batches
from htltools.core.runtime.runtime import Runtime
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import Images
from htltools.tasks.task import Task

SAMPLE = 256  # images, evenly over the rows: enough to tell one constant prediction from several


def health(task: Task, pruned: Localizer, rows: Sequence[Row], runtime: Runtime) -> dict[str, Any]:
    """What a pruned copy does on images of some rows: entries of `pruning` in its checkpoint; none for fewer than FEWEST rows.

    prediction_spread: mean distance of its predictions for two images, in units of the sides; constant: whether they are all one;
    dead_layers: names.
    """
    if len(rows) < FEWEST:
        return {}
    images = Images([rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, SAMPLE).round().astype(int))])
    spread = PredictionSpread(task.comparison.distance)
    spread.add(task.predictions([pruned], images, runtime)[0])
    assert spread.value is not None  # of FEWEST predictions or more
    turns = batches(images.shape[0], runtime.batch_size)
    dead = dead_layers(pruned, load_batches(images, turns, runtime.device))
    return {"prediction_spread": round(spread.value, 6), "constant": spread.is_constant, "dead_layers": dead}
