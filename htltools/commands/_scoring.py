"""What `score` does with a batch of rows: their pictures through all models, and the answers into columns."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from htltools.commands import _inputs
from htltools.core import ranks
from htltools.core.answers import all_answers
from htltools.core.controls import chance
from htltools.core.folds import pairs
from htltools.core.gradients import gradient_norms
from htltools.core.hardness import present_mean, scores
from htltools.core.localizer import pixel_boxes
from htltools.formats.store import Pictures, placement


@dataclass
class Scorer:
    """Dense models and pruned ones, and how to run them. `also`: columns that are computed only when asked for."""

    dense: list[Path]
    pruned: list[Path]
    batch_size: int
    seed: int
    also: list[str]
    device: torch.device
    dtype: torch.dtype

    def __post_init__(self):
        self.paths = [*self.dense, *self.pruned]
        self.models, self.checkpoints = zip(*(_inputs.load_localizer(path, self.device) for path in self.paths))
        self.pairs = pairs([None] * len(self.dense), [None] * len(self.pruned))
        self.place = functools.cache(placement)  # of each shard that rows name

    @property
    def rows_at_once(self) -> int:
        """A batch for every process that shares the job."""
        return self.batch_size * ranks.count()

    def scored(self, rows: list[dict]) -> list[dict]:
        """The rows with their hardness and predicted boxes. Every picture is read and moved once for all models."""
        pictures = Pictures(rows, self.place)
        for path, checkpoint in zip(self.paths, self.checkpoints):
            _inputs.check_frame(pictures, checkpoint.preprocessing["size"], path)
        sizes, targets = _inputs.picture_sizes(rows), _inputs.target_boxes(rows)
        boxes = all_answers(self.models, pictures, self.batch_size, device=self.device, dtype=self.dtype)
        dense, pruned = np.split(boxes, [len(self.dense)])
        columns = scores(dense, pruned, targets, self.pairs) | {"random": chance([row["id"] for row in rows], self.seed)}
        if "grand" in self.also:
            columns["grand"] = self.gradient_norms(pictures, targets)
        predicted = {role: pixel_boxes(present_mean(side), sizes) for role, side in {"dense": dense, "pruned": pruned}.items()}
        return list(_inputs.with_scores(rows, columns, predicted))

    def gradient_norms(self, pictures: Pictures, targets: np.ndarray) -> np.ndarray:
        """The column `grand`, the mean over the dense models, of which every process computes its share: [N]."""
        own = ranks.share(np.arange(len(targets)))
        norms = torch.zeros(len(self.dense), len(targets), device=self.device)
        batch = torch.from_numpy(pictures.batch(own)).to(self.device)
        for model, norm in zip(self.models, norms):
            norm[own] = torch.as_tensor(gradient_norms(model, batch, targets[own]), dtype=torch.float32, device=self.device)
        return present_mean(ranks.summed(norms).cpu().numpy())
