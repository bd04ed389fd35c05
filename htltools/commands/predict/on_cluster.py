"""`predict --ray`: images are read, and predicted for, by actors on the nodes of a cluster, each with the models in memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from htltools.commands.predict.batches import Batch, stored_batches
from htltools.commands.predict.doubtful_predictions import DoubtfulPredictor, Predicted
from htltools.commands.predict.image_files import Skips, file_batches
from htltools.commands.predict.outputs import Paths
from htltools.commands.prepare.shards import missing_files, refuse_unseen
from htltools.commands.shared.cluster import Cluster
from htltools.core.runtime.image_sources import ImagesInMemory
from htltools.core.runtime.runtime import Runtime
from htltools.formats.rows.row import Row
from htltools.formats.sources.candidate import Candidate
from htltools.formats.store.shard import placement
from htltools.tasks.predictor import model_predictor


@dataclass(frozen=True)
class ImageFiles:
    """Images to be decoded on a node; missing: files that are not where they should be, for the caller as well."""

    candidates: Sequence[Candidate]
    missing: frozenset[str]


@dataclass(frozen=True)
class Setting:
    """What a node predicts with, and what of it the caller needs to write its outputs."""

    models: Sequence[Path]
    pruned: Sequence[Path]
    column: str | None
    refer: float | None
    threshold: float | None
    runtime: Runtime
    window: str
    with_images: bool
    with_predictions: bool


class PredictingActor:
    """Predicts for batches on a node."""

    def __init__(self, setting: Setting):
        opened = [model_predictor(path, setting.runtime) for path in (*setting.models, *setting.pruned)]
        if setting.threshold is not None:
            for each in opened:
                each.use_threshold(setting.threshold)
        dense, copies = opened[: len(setting.models)], opened[len(setting.models) :]
        self.setting, self.place = setting, cache(placement)
        self.predictor = DoubtfulPredictor(dense, copies, setting.column, setting.refer)

    def __call__(self, item: ImageFiles | list[Row]) -> tuple[list[Predicted], Skips]:
        """The batch of some files, which is none where none can be read, or of rows; and the files that were left out."""
        skips: Skips = []
        done = [self.lean(self.predictor.predicted(batch)) for batch in self.batches(item, skips)]
        return done, skips

    def batches(self, item: ImageFiles | list[Row], skips: Skips) -> Iterator[Batch]:
        """The images of an item."""
        if not isinstance(item, ImageFiles):
            return stored_batches([item], self.predictor.frame, self.predictor.models[0].path, self.place)
        refuse_unseen(item.candidates, item.missing)
        return file_batches(item.candidates, self.predictor.frame, self.setting.window, None, len(item.candidates), skips)

    def lean(self, done: Predicted) -> Predicted:
        """A batch without what the caller does not need."""
        count = len(done.rows) if self.setting.with_images else 0
        images = ImagesInMemory(done.batch.images.batch(np.arange(count)))
        predictions = done.predictions if self.setting.with_predictions else done.predictions[:0]
        return Predicted(replace(done.batch, rows=[], images=images), done.rows, predictions)


def predicted_on_cluster(
    cluster: Cluster,
    predictor: DoubtfulPredictor,
    threshold: float | None,
    items: Iterable[ImageFiles | list[Row]],
    runtime: Runtime,
    window: str,
    paths: Paths,
    skips: Skips,
) -> Iterator[Predicted]:
    """The batches of the items with their predictions, in order, as `predictor` gives them; files left out are added to `skips`."""
    setting = Setting(
        [each.path for each in predictor.models],
        [each.path for each in predictor.pruned],
        predictor.column,
        predictor.refer,
        threshold,
        replace(runtime, device_name=cluster.device),
        window,
        with_images=paths.overlay is not None,
        with_predictions=paths.masks is not None,
    )
    for done, left_out in cluster.results(PredictingActor, (setting,), items, actors=True):
        skips += left_out
        yield from done


def image_files(candidates: Sequence[Candidate], size: int) -> Iterator[ImageFiles]:
    """The candidates, `size` at a time."""
    for first in range(0, len(candidates), size):
        some = candidates[first : first + size]
        yield ImageFiles(some, missing_files(some))
