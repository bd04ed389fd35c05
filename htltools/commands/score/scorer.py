"""`score` on a batch of rows: their predictions by all models, and columns of hardness from these."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from htltools import console
from htltools.commands.score.pairing import pairs_of_copies
from htltools.commands.shared.folds import model_fold
from htltools.commands.shared.hardness import rounded_scores
from htltools.commands.shared.models import FLAGS
from htltools.core.hardness.baselines import chance
from htltools.core.hardness.cross_fitting import Fold, fold_of, models_eligible, same_partition
from htltools.core.hardness.grand import gradient_norms
from htltools.core.hardness.mc_dropout import dropout_disagreement, has_box_head
from htltools.core.hardness.prediction_spread import PredictionSpread
from htltools.core.hardness.rank_stability import Stability
from htltools.core.hardness.scores import Sides, present_mean, scores, scores_by_model, two_sides
from htltools.core.runtime import distributed
from htltools.core.runtime.runtime import Runtime
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import SPLITS
from htltools.formats.store.shard import Images, placement
from htltools.tasks.doubt import OF_ONE_MODEL, mean_doubt, missing_reason
from htltools.tasks.predictor import CheckpointPredictor, of_one_task
from htltools.tasks.rows import check_frame, image_sizes
from htltools.tasks.task import Task


class Scorer(Protocol):
    """Scores rows in batches of up to `rows_at_once`."""

    paths: list[Path]
    rows_at_once: int
    stability: Stability | None
    spreads: list[PredictionSpread]  # of the pruned models

    def scored(self, rows: list[Row]) -> list[Row]:
        """The rows with their hardness and predictions."""
        ...

    def notes(self) -> list[str]:
        """Sentences to say once all rows are through."""
        ...


@dataclass
class ModelScorer:
    """Dense and pruned checkpoints, perhaps none of the latter. `also`: columns on request; `stability` gathers what each model says, where
    it is wanted."""

    dense: list[CheckpointPredictor]
    pruned: list[CheckpointPredictor]
    also: list[str]
    runtime: Runtime
    stability: Stability | None = None

    def __post_init__(self):
        self.predictors = [*self.dense, *self.pruned]
        self.paths = [predictor.path for predictor in self.predictors]
        self.rows_at_once = self.runtime.batch_size * distributed.world_size()  # a batch for every process that shares the job
        self.models = [predictor.localizer for predictor in self.predictors]
        self.task, self.classes = self.predictors[0].task, self.predictors[0].classes
        self.folds = [model_fold(predictor.checkpoint) for predictor in self.predictors]
        self.check_folds()
        of_one_task(self.predictors)
        self.check_columns()
        self.pairs = pairs_of_copies(self.dense, self.pruned)
        self.place = functools.cache(placement)  # of each shard that rows name
        self.spreads = [PredictionSpread(self.task.comparison.distance) for _ in self.pruned]

    def check_columns(self) -> None:
        """Refuse columns that the models do not have.

        Raises: DataError.
        """
        for column, model in product([name for name in self.also if name in OF_ONE_MODEL], self.dense):
            if reason := missing_reason(model, column):
                raise DataError(reason, "leave out --also")
        unsupported = next((name for name in self.also if name not in self.task.supports), None)
        if unsupported:
            cause = f"{self.paths[0]} is a model of the task {self.task.name}: it has no box head for --also {unsupported}"
            raise DataError(cause, "leave out --also")
        headless = next((path for path, model in zip(self.paths[: len(self.dense)], self.models) if not has_box_head(model)), None)
        if headless and "dropout_disagreement" in self.also:
            remedy = "end your own net in htltools.core.nets.box_head.BoxHead"
            raise DataError(f"{headless} has no box head for --also dropout_disagreement", remedy)

    def check_folds(self) -> None:
        """Refuse models that do not go together.

        Raises: DataError where only some leave out a fold, or folds of another partition, or a pruned one a fold that no dense one does.
        """
        first, dense = self.folds[0], self.folds[: len(self.dense)]
        for path, fold in zip(self.paths, self.folds):
            if not same_partition([first, fold]):
                both = " and ".join(f"{p} {fold_text(f)}" for p, f in [(self.paths[0], first), (path, fold)])
                raise DataError(f"models that do not go together: {both}", "name models of the same K and seed, or none with a fold")
            if fold not in dense:
                raise DataError(f"{path} {fold_text(fold)}, and no dense model does", "name the one it was pruned from with --model")

    def eligible_models(self, rows: Sequence[Row]) -> np.ndarray:
        """Which of the models predict which of the rows: bool [M, N]. For a training row those that left its fold out, else all.

        Raises: DataError where a row of split train has no model of a role.
        """
        groups = [row.group for row in rows]
        allowed = models_eligible(self.folds, groups, [row.split == "train" for row in rows])
        for role, side in zip(FLAGS, np.split(allowed, [len(self.dense)])):
            missing = np.flatnonzero(~side.any(0))
            if len(side) and len(missing):
                number, partition = missing[0], self.folds[0]
                assert partition is not None  # else all models may predict all rows
                fold = replace(partition, k=fold_of(groups[number], partition.K, partition.seed))
                cause = f"no {role} model leaves out fold {fold}, to which the row {rows[number].id!r} of split train belongs"
                raise DataError(cause, f"name one that does with {FLAGS[role]}")
        return allowed

    def scored(self, rows: list[Row]) -> list[Row]:
        """As `Scorer.scored`. Every image is read and moved once for all models that predict in one shape."""
        images = Images(rows, self.place)
        for predictor in self.predictors:
            check_frame(images.shape, predictor.frame, predictor.path)
        annotation = self.task.annotation(rows, self.classes, self.place)
        allowed = self.eligible_models(rows)
        predictions = self.task.predictions(self.models, images, self.runtime)
        predictions[~allowed] = np.nan
        losses = self.task.losses(self.models, images, predictions, annotation, self.runtime)
        losses[~allowed] = np.nan
        sides = two_sides(predictions, losses, len(self.dense), self.pairs)
        for spread, own in zip(self.spreads, sides.pruned):
            spread.add(own)
        columns = scores(sides, annotation, self.task.comparison)
        if self.stability:
            self.stability.add(scores_by_model(sides, annotation, self.task.comparison), splits_of(rows))
        if "grand" in self.also:
            columns["grand"] = self.of_dense(gradient_norms, images, annotation, allowed)
        if "dropout_disagreement" in self.also:
            seed = self.runtime.seed
            columns["dropout_disagreement"] = self.of_dense(
                lambda model, batch, _: dropout_disagreement(model, batch, seed), images, annotation, allowed
            )
        for name in self.also:
            if name in OF_ONE_MODEL:
                columns[name] = mean_doubt(self.dense, name, images, sides.dense, allowed[: len(self.dense)])
        return with_scores(rows, columns, sides, self.task, self.classes, self.runtime.seed)

    def of_dense(self, score: Callable, images: Images, boxes: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """A column of the dense models, the mean over those that may predict, of which every process computes its share: [N].

        `score` gives [B] for a model, its images uint8 [B, H, W, C] and their boxes [B, 4].
        """
        own = distributed.share(np.arange(len(boxes)))
        values = torch.zeros(len(self.dense), len(boxes), device=self.runtime.device)
        batch = torch.from_numpy(images.batch(own)).to(self.runtime.device)
        for model, value, eligible in zip(self.models, values, allowed):
            column = np.where(eligible[own], score(model, batch, np.where(eligible[own, None], boxes[own], np.nan)), np.nan)
            value[own] = torch.as_tensor(column, dtype=torch.float32, device=self.runtime.device)
        return present_mean(distributed.summed(values).cpu().numpy())

    def notes(self) -> list[str]:
        """Models predict for every row."""
        return []


def with_scores(
    rows: Sequence[Row],
    columns: dict[str, np.ndarray],
    sides: Sides,
    task: Task,
    classes: Sequence[str],
    seed: int,
) -> list[Row]:
    """The rows with hardness by column ([N] each; NaN is left out), and the predictions of each role in the field of the task."""
    columns = columns | {"random": chance([row.id for row in rows], seed)}
    sizes = image_sizes(rows)
    by_role = {role: side for role, side in {"dense": sides.dense, "pruned": sides.pruned}.items() if len(side)}
    values = {role: task.field_values(side, sizes, classes) for role, side in by_role.items()}
    scored = []
    for i, row in enumerate(rows):
        predicted = {role: own[i] for role, own in values.items() if own[i] is not None}
        fields = {"hardness": row.hardness | rounded_scores(columns, i), task.field: (row.get(task.field) or {}) | predicted}
        scored.append(row.changed(**fields))
    return scored


def splits_of(rows: Sequence[Row]) -> list[str]:
    """The split of each row, `none` where it has none."""
    return [row.split or "none" for row in rows]


def show_stability(stability: Stability) -> None:
    """Print on stderr how alike the models rank the rows of each split."""
    if console.talk.quiet:
        return
    correlations = stability.correlations()
    splits = [split for split in (*SPLITS, "none") if split in next(iter(correlations.values()))]
    lines = [
        [name, *("-" if np.isnan(by_split[split]) else f"{by_split[split]:.3f}" for split in splits)]
        for name, by_split in correlations.items()
    ]
    console.say("rank correlation from model to model, mean over their pairs, by split")
    console.show_table(["column", *splits], lines, to_stderr=True)


def fold_text(fold: Fold | None) -> str:
    """What a model left out, in words."""
    return f"leaves out fold {fold} (seed {fold.seed})" if fold else "leaves out no fold"
