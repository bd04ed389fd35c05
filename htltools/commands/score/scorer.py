"""What `score` does with a batch of rows: their images through all models, and the answers into columns."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from htltools import console
from htltools.commands.shared import inputs
from htltools.commands.shared.streaming import FLAGS
from htltools.core.geometry.mask_comparison import boxes_of_masks, mask_losses
from htltools.core.geometry.objects import alike, first_known
from htltools.core.hardness.baselines import chance
from htltools.core.hardness.cross_fitting import Fold, fold_of, models_eligible, pairs, same_partition
from htltools.core.hardness.grand import gradient_norms
from htltools.core.hardness.mc_dropout import dropout_disagreement, has_box_head
from htltools.core.hardness.rank_stability import Stability
from htltools.core.hardness.scores import MASKS, OBJECTS, by_model, present_mean, scores
from htltools.core.nets.detector import object_losses
from htltools.core.nets.localizer import pixel_boxes
from htltools.core.runtime import distributed
from htltools.core.runtime.predict import predict_all
from htltools.errors import DataError
from htltools.formats.rows.schema import SPLITS
from htltools.formats.store.shard import Images, placement
from htltools.tasks import masks, objects


@dataclass
class Scorer:
    """Dense models and pruned ones, and how to run them.

    `also`: columns that are computed only when asked for; `stability` gathers what each model says, where that is.
    """

    dense: list[Path]
    pruned: list[Path]
    batch_size: int
    seed: int
    also: list[str]
    device: torch.device
    dtype: torch.dtype
    stability: Stability | None = None
    trusted: tuple[str, ...] = ()

    def __post_init__(self):
        self.paths = [*self.dense, *self.pruned]
        self.models, self.checkpoints = zip(*(inputs.load_localizer(path, self.device, self.trusted) for path in self.paths))
        self.folds = [inputs.model_fold(checkpoint) for checkpoint in self.checkpoints]
        self.check_folds()
        self.check_kinds()
        self.masked = masks.one_kind(self.paths, self.models)
        if self.masked and self.also:
            raise DataError(f"{self.dense[0]} answers with masks: it has no box head for --also {self.also[0]}", "leave out --also")
        by_map = next((p for p, checkpoint in zip(self.dense, self.checkpoints) if "classes" in checkpoint.architecture), None)
        if by_map and self.also:
            raise DataError(f"{by_map} answers by a map: it has no box head for --also {self.also[0]}", "leave out --also")
        headless = next((path for path, model in zip(self.dense, self.models) if not has_box_head(model)), None)
        if headless and "dropout_disagreement" in self.also:
            raise DataError(
                f"{headless} has no box head for --also dropout_disagreement", "end your own net in htltools.core.nets.box_head.BoxHead"
            )
        self.pairs = pairs(self.folds[: len(self.dense)], self.folds[len(self.dense) :])
        self.place = functools.cache(placement)  # of each shard that rows name

    def check_kinds(self) -> None:
        """Refuse models that answer in different ways, and columns that one kind does not have.

        Raises: DataError.
        """
        classes = [checkpoint.architecture.get("objects") for checkpoint in self.checkpoints]
        for path, own in zip(self.paths, classes):
            if own != classes[0]:
                found = " and ".join(f"{p} {in_words(c)}" for p, c in [(self.paths[0], classes[0]), (path, own)])
                raise DataError(f"models that do not go together: {found}", "name models that were trained on rows of one kind")
        self.classes = classes[0]
        if self.classes and self.also:
            raise DataError(f"{self.paths[0]} finds several objects: --also {self.also[0]} is of models with one box", "leave out --also")

    @property
    def rows_at_once(self) -> int:
        """A batch for every process that shares the job."""
        return self.batch_size * distributed.world_size()

    def check_folds(self) -> None:
        """Refuse models that do not go together.

        Raises: DataError where only some leave out a fold, or folds of another deal, or a pruned one a fold that no dense one does.
        """
        first, dense = self.folds[0], self.folds[: len(self.dense)]
        for path, fold in zip(self.paths, self.folds):
            if not same_partition([first, fold]):
                found = " and ".join(f"{p} {told(f)}" for p, f in [(self.paths[0], first), (path, fold)])
                raise DataError(f"models that do not go together: {found}", "name models of the same K and seed, or none with a fold")
            if fold not in dense:
                raise DataError(f"{path} {told(fold)}, and no dense model does", "name the one it was pruned from with --model")

    def eligible_models(self, rows: list[dict]) -> np.ndarray:
        """Which of the models answer for which of the rows: bool [M, N]. A training row has those that left its fold out, any other all.

        Raises: DataError where a row of split train has no model of a role.
        """
        groups = inputs.groups_of(rows)
        allowed = models_eligible(self.folds, groups, [row.get("split") == "train" for row in rows])
        for role, side in zip(FLAGS, np.split(allowed, [len(self.dense)])):
            missing = np.flatnonzero(~side.any(0))
            if len(missing):
                number, deal = missing[0], self.folds[0]
                fold = replace(deal, k=fold_of(groups[number], deal.K, deal.seed))
                cause = f"no {role} model leaves out fold {fold}, to which the row {rows[number]['id']!r} of split train belongs"
                raise DataError(cause, f"name one that does with {FLAGS[role]}")
        return allowed

    def scored(self, rows: list[dict]) -> list[dict]:
        """The rows with their hardness and predicted boxes. Every image is read and moved once for all models."""
        images = Images(rows, self.place)
        for path, checkpoint in zip(self.paths, self.checkpoints):
            inputs.check_frame(images, checkpoint.preprocessing["size"], path)
        sizes, targets = inputs.image_sizes(rows), inputs.annotation(self.checkpoints[0].architecture, rows)
        allowed = self.eligible_models(rows)
        if self.classes:
            return self.of_objects(rows, images, targets, allowed, sizes)
        ask = masks.all_masks if self.masked else predict_all
        predictions = ask(self.models, images, self.batch_size, device=self.device, dtype=self.dtype)
        predictions[~allowed] = np.nan
        dense, pruned = np.split(predictions, [len(self.dense)])
        annotated, how = targets, {}
        if self.masked:
            annotated = masks.target_masks(rows, self.place)
            how = {"how": MASKS, "loss": tuple(mask_losses(side, annotated) for side in (dense, pruned))}
        columns = scores(dense, pruned, annotated, self.pairs, **how) | {"random": chance([row["id"] for row in rows], self.seed)}
        if self.stability:
            self.stability.add(by_model(dense, pruned, annotated, self.pairs, **how), [row.get("split") or "none" for row in rows])
        if "grand" in self.also:
            columns["grand"] = self.of_dense(gradient_norms, images, targets, allowed)
        if "dropout_disagreement" in self.also:
            columns["dropout_disagreement"] = self.of_dense(
                lambda model, batch, _: dropout_disagreement(model, batch, self.seed), images, targets, allowed
            )
        boxes = {role: boxes_of_masks(side) if self.masked else side for role, side in {"dense": dense, "pruned": pruned}.items()}
        predicted = {role: pixel_boxes(present_mean(side), sizes) for role, side in boxes.items()}
        return list(inputs.with_scores(rows, columns, predicted))

    def of_objects(self, rows: list[dict], images: Images, targets: np.ndarray, allowed: np.ndarray, sizes: np.ndarray) -> list[dict]:
        """The rows with their hardness and the objects found, where the models find several; targets [N, M, 5], allowed [M, N]."""
        how = {"device": self.device, "dtype": self.dtype}
        predictions = [model.counted(predict_all([model], images, self.batch_size, **how)[0]) for model in self.models]
        losses = np.array([object_losses(model, images, targets, self.batch_size, self.seed, **how) for model in self.models])
        for own, has_say in zip(predictions, allowed):
            own[~has_say] = np.nan
        losses[~allowed] = np.nan
        count = len(self.dense)
        (dense, pruned), of_both = (alike(side) for side in (predictions[:count], predictions[count:])), tuple(np.split(losses, [count]))
        columns = scores(dense, pruned, targets, self.pairs, OBJECTS, of_both)
        columns["random"] = chance([row["id"] for row in rows], self.seed)
        if self.stability:
            parts = [row.get("split") or "none" for row in rows]
            self.stability.add(by_model(dense, pruned, targets, self.pairs, OBJECTS, of_both), parts)
        found = {role: first_known(side) for role, side in {"dense": dense, "pruned": pruned}.items()}
        return list(objects.with_objects(rows, columns, found, sizes, self.classes))

    def of_dense(self, score: Callable, images: Images, targets: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """A column of the dense models, the mean over those allowed to answer, of which every process computes its share: [N].

        `score` gives [B] for a model, its images uint8 [B, H, W, C] and their boxes [B, 4].
        """
        own = distributed.share(np.arange(len(targets)))
        values = torch.zeros(len(self.dense), len(targets), device=self.device)
        batch = torch.from_numpy(images.batch(own)).to(self.device)
        for model, value, has_say in zip(self.models, values, allowed):
            found = np.where(has_say[own], score(model, batch, np.where(has_say[own, None], targets[own], np.nan)), np.nan)
            value[own] = torch.as_tensor(found, dtype=torch.float32, device=self.device)
        return present_mean(distributed.summed(values).cpu().numpy())


def show(stability: Stability) -> None:
    """Print on stderr how alike the models rank the rows of each split."""
    if console.talk.quiet:
        return
    found = stability.correlations()
    splits = [split for split in (*SPLITS, "none") if split in next(iter(found.values()))]
    lines = [
        [name, *("-" if np.isnan(by_split[split]) else f"{by_split[split]:.3f}" for split in splits)] for name, by_split in found.items()
    ]
    console.say("rank correlation from model to model, mean over their pairs, by split")
    console.show_table(["column", *splits], lines, to_stderr=True)


def in_words(classes: list[str] | None) -> str:
    """What a model answers with."""
    return f"finds {', '.join(classes)}" if classes else "answers with one box"


def told(fold: Fold | None) -> str:
    """What a model left out, in words."""
    return f"leaves out fold {fold} (seed {fold.seed})" if fold else "leaves out no fold"
