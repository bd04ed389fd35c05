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
from htltools.core.gradients import gradient_norms
from htltools.core.hardness import scores
from htltools.core.localizer import pixel_boxes
from htltools.formats.store import Pictures, placement


@dataclass
class Scorer:
    """A dense model and its pruned ones, and how to run them. `also`: columns that are computed only when asked for."""

    paths: list[Path]  # the dense one first
    batch_size: int
    seed: int
    also: list[str]
    device: torch.device
    dtype: torch.dtype

    def __post_init__(self):
        self.models, self.checkpoints = zip(*(_inputs.load_localizer(path, self.device) for path in self.paths))
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
        columns = scores(boxes[0], boxes[1:], targets) | {"random": chance([row["id"] for row in rows], self.seed)}
        if "grand" in self.also:
            columns["grand"] = self.gradient_norms(pictures, targets)
        predicted = {"dense": pixel_boxes(boxes[0], sizes), "pruned": pixel_boxes(boxes[1:].mean(0), sizes)}
        return list(_inputs.with_scores(rows, columns, predicted))

    def gradient_norms(self, pictures: Pictures, targets: np.ndarray) -> np.ndarray:
        """The column `grand`, of which every process computes its share: [N]."""
        own = ranks.share(np.arange(len(targets)))
        norms = torch.zeros(len(targets), device=self.device)
        batch = torch.from_numpy(pictures.batch(own)).to(self.device)
        norms[own] = torch.as_tensor(gradient_norms(self.models[0], batch, targets[own]), dtype=torch.float32, device=self.device)
        return ranks.summed(norms).cpu().numpy().astype(float)
