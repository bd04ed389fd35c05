"""`score` on a batch of rows: their predictions by all models, checkpoints or ONNX files, and columns of hardness from these."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from htltools.commands.score.pairing import pairs_of_copies
from htltools.commands.score.scored_rows import splits_of, with_scores
from htltools.commands.shared.folds import model_fold
from htltools.commands.shared.models import FLAGS
from htltools.core.hardness.cross_fitting import Fold, fold_of, models_eligible, same_partition
from htltools.core.hardness.prediction_spread import PredictionSpread
from htltools.core.hardness.rank_stability import Stability
from htltools.core.hardness.scores import overlaps, scores, scores_by_model, two_sides
from htltools.core.runtime.runtime import Runtime
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import Images, placement
from htltools.processes import process_count
from htltools.tasks.doubt import OF_ONE_MODEL, mean_doubt, missing_reason, predictions_of
from htltools.tasks.predictor import CheckpointPredictor, ModelPredictor, of_one_task
from htltools.tasks.rows import check_frame

OF_NETS = "grand", "dropout_disagreement"  # columns that do not follow from predictions


@dataclass
class ModelScorer:
    """Dense and pruned models, perhaps none of the latter. `also`: columns on request; `stability` gathers what each model says, where
    it is wanted."""

    dense: Sequence[ModelPredictor]
    pruned: Sequence[ModelPredictor]
    also: list[str]
    runtime: Runtime
    stability: Stability | None = None

    def __post_init__(self):
        self.predictors = [*self.dense, *self.pruned]
        self.paths = [predictor.path for predictor in self.predictors]
        self.rows_at_once = self.runtime.batch_size * process_count()  # a batch for every process that shares the job
        self.checkpoints = [each for each in self.predictors if isinstance(each, CheckpointPredictor)]
        self.task, self.classes = self.predictors[0].task, self.predictors[0].classes
        self.folds = [model_fold(predictor.fold) for predictor in self.predictors]
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
        of_nets = next((name for name in self.also if name in OF_NETS), None)
        netless = next((each.path for each in self.dense if each not in self.checkpoints), None)
        if of_nets and netless:
            raise DataError(f"{netless} is an ONNX file, which has no gradients or features for --also {of_nets}", "name checkpoints")
        if "dropout_disagreement" in self.also:
            from htltools.core.hardness.mc_dropout import has_box_head

            headless = next((each.path for each in self.checkpoints[: len(self.dense)] if not has_box_head(each.localizer)), None)
            if headless:
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
        predictions = self.predictions(images)
        predictions[~allowed] = np.nan
        losses = self.losses(images, predictions, annotation)
        losses[~allowed] = np.nan
        sides = two_sides(predictions, losses, len(self.dense), self.pairs)
        for spread, own in zip(self.spreads, sides.pruned):
            spread.add(own)
        columns = scores(sides, annotation, self.task.comparison)
        if self.stability:
            self.stability.add(scores_by_model(sides, annotation, self.task.comparison), splits_of(rows))
        for name in self.also:
            if name in OF_NETS:
                from htltools.commands.score.gradient_columns import column_of_nets

                columns[name] = column_of_nets(name, self.checkpoints[: len(self.dense)], images, annotation, allowed, self.runtime)
        by_object = None
        for name in self.also:
            if name in OF_ONE_MODEL:
                columns[name], by_object = mean_doubt(self.dense, name, images, sides.dense, allowed[: len(self.dense)])
        return with_scores(rows, columns, sides, self.task, self.classes, self.runtime.seed, by_object)

    def predictions(self, images: Images) -> np.ndarray:
        """What all models predict, [M, N, ...]; each batch is read once for all checkpoints."""
        if len(self.checkpoints) == len(self.predictors):
            return self.task.predictions([each.localizer for each in self.checkpoints], images, self.runtime)
        return predictions_of(self.predictors, images)

    def losses(self, images: Images, predictions: np.ndarray, annotation: np.ndarray) -> np.ndarray:
        """The training loss of the predictions, [M, N]. Of several objects it follows from the nets; where a file has none, it is 1 less
        the overlap with the annotation.
        """
        if self.lossless:
            return 1 - overlaps(predictions, annotation, self.task.comparison)
        return self.task.losses([each.localizer for each in self.checkpoints], images, predictions, annotation, self.runtime)

    @property
    def lossless(self) -> bool:
        """Whether losses cannot be those of training."""
        return self.task.kind == "objects" and len(self.checkpoints) < len(self.predictors)

    def notes(self) -> list[str]:
        """What a loss is, where it is not that of training."""
        return ["an ONNX file of several objects has no training loss: losses are 1 - overlap with the annotation"] if self.lossless else []


def fold_text(fold: Fold | None) -> str:
    """What a model left out, in words."""
    return f"leaves out fold {fold} (seed {fold.seed})" if fold else "leaves out no fold"
