"""`prune` between its rows and its checkpoint: recovery, and the health gate."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from htltools import console
from htltools.commands.prune.health import health
from htltools.commands.shared.folds import exclude_fold, model_fold
from htltools.commands.shared.models import warn_if_constant
from htltools.core.nets.localizer import Localizer
from htltools.core.nets.state_arrays import weights_of
from htltools.core.pruning.structured import prune_channels
from htltools.core.pruning.unstructured import HEALTHY, SWEEP, baked, prunable_count, prune_weights, recalibrate, sparsity_of
from htltools.core.runtime.batches import number_of_batches
from htltools.core.runtime.prefetch import load_batches
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.adaptive_weighting import Attention
from htltools.core.training.augmentation import Augmentation
from htltools.core.training.loop import trained
from htltools.core.training.schedule import Recipe
from htltools.core.training.validation import mean_iou
from htltools.errors import DataError, HtlError, UsageError
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.provenance import file_digest
from htltools.formats.rows.row import Row
from htltools.tasks.predictor import CheckpointPredictor
from htltools.tasks.rows import in_order
from htltools.tasks.task import Data, Extras, Selection

RATE = 1e-3  # highest learning rate of the recovery
LOOKING = Attention("look", by="none")  # what the recovery keeps of a model that looks again: it still sees enlarged crops


@dataclass(frozen=True)
class Job:
    """One dense model, and how to prune it."""

    samples: Sequence[Row]
    dense_path: Path
    method: str
    recover: str
    epochs: int
    runtime: Runtime  # its batch size is that of the recovery

    @cached_property
    def dense(self) -> CheckpointPredictor:
        """The dense model."""
        dense = CheckpointPredictor(self.dense_path, self.runtime)
        console.explain(str(dense))
        if dense.localizer.glance is not None:
            raise DataError(f"{self.dense_path} holds two nets, one for the first look", "prune the model that it was made from")
        if self.method == "channel" and "channel" not in dense.task.supports:
            raise UsageError(f"--method channel cannot follow a net of the task {dense.task.name}", "use l1, layer-l1 or random")
        return dense

    def request(self, sparsity: float | None) -> str:
        """A digest of all that the result follows from: rows, dense model and parameters."""
        runtime = self.runtime
        parameters = self.method, sparsity, self.recover, self.epochs, RATE, runtime.batch_size, runtime.seed, str(runtime.dtype)
        digest = hashlib.sha256(compact_json([file_digest(self.dense_path), *parameters]))
        for row in in_order(self.samples):
            digest.update(b"\n" + compact_json(row))
        return digest.hexdigest()

    @cached_property
    def training(self) -> Data:
        """The training split, without the fold that the dense model left out."""
        rows = exclude_fold(selected(self.dense.task.training_rows(self.samples)), model_fold(self.dense.checkpoint.fold))
        return self.dense.task.training_data(rows, self.dense.classes, self.dense.frame, self.dense_path)

    @cached_property
    def validation(self) -> Data | None:
        """The validation split, which the health gate needs; None where it has no annotated row."""
        rows = selected(self.dense.task.validation_rows(self.samples))
        if not rows:
            console.say("no annotated row of split val: nothing is measured, and the last epoch of a recovery is kept")
        return self.dense.data(rows) if rows else None

    @cached_property
    def dense_iou(self) -> float | None:
        """Mean validation IoU of the dense model; None without a validation split."""
        reached = self.measured(self.dense.localizer)
        if reached is not None and self.constant is not None:
            warn_if_constant(reached, self.constant[1], self.constant[0])
        return reached

    @cached_property
    def constant(self) -> tuple[str, float] | None:
        """What one constant prediction is called, and its mean validation IoU; None where the task knows none, or nothing is measured."""
        return self.dense.task.constant_baseline(self.training, self.validation) if self.validation else None

    def measured(self, model: Localizer) -> float | None:
        """Mean validation IoU; None without a validation split."""
        if self.validation is None:
            return None
        return round(mean_iou(model.to(self.runtime.device), self.validation.images, self.validation.targets, self.runtime), 6)

    def cut(self, sparsity: float) -> Localizer:
        """A copy of the dense model, cut and not recovered."""
        if self.method == "channel":
            return prune_channels(self.dense.localizer, sparsity, self.dense.frame).to(self.runtime.device)
        return prune_weights(self.dense.localizer.to(self.runtime.device), self.method, sparsity, self.runtime.seed)

    def recovered(self, model: Localizer, title: str) -> Localizer:
        """The cut model after its recovery, zeros held. title: of its progress."""
        if self.recover == "bn":
            self.renew_statistics(model)
        elif self.recover == "finetune":
            self.finetune(model, title)
        if self.validation:
            self.dense.task.calibrate(model, self.validation, self.runtime)
        return model

    def renew_statistics(self, model: Localizer) -> None:
        """Renew batch-norm statistics on the training images."""
        images = getattr(self.training.images, "images", self.training.images)  # without the masks that may come with them
        count = images.shape[0]
        turns = np.array_split(np.arange(count), number_of_batches(count, self.runtime.batch_size))
        recalibrate(model, load_batches(images, turns, self.runtime.device))

    def finetune(self, model: Localizer, title: str) -> None:
        """Train the cut model on what the dense one learned from, without row weights; the best epoch is kept. title: of its progress."""
        before = self.dense.checkpoint.training
        flip, extras = tuple(before.get("flip", Augmentation.flip)), Extras(LOOKING if before.get("looks") else None)
        recipe = Recipe(self.epochs, self.runtime.batch_size, RATE, seed=self.runtime.seed, augmentation=Augmentation(flip=flip))
        uniform = np.ones(len(self.training.rows), np.float32)
        objective = self.dense.task.objective(model, self.training, uniform, self.validation, recipe, self.runtime, extras)
        held_out = (self.validation.images, self.validation.targets) if self.validation else None
        with console.progress(title, self.epochs) as steps:
            for state in trained(objective, held_out, recipe, self.runtime):
                name = "val_iou" if held_out else "loss"
                steps.advance(note=f"{name} {state.log[-1][name]:.4f}")
        model.load_state_dict(state.best)

    def at(self, sparsity: float, place: str = "") -> tuple[Localizer, dict[str, Any]]:
        """The model pruned to that sparsity, and how it fares. place: in the sweep, in words."""
        cut = self.cut(sparsity)
        before = self.measured(cut)
        pruned = baked(self.recovered(cut, f"sparsity {sparsity:g}{place}, recovering")).eval()
        after = self.measured(pruned) if self.recover != "none" or self.dense.task.has_threshold else before
        pruning = {
            "method": self.method,
            "asked": sparsity,
            "sparsity": round(sparsity_of(pruned, prunable_count(self.dense.localizer)), 6),
            "parameters": sum(parameter.numel() for parameter in pruned.parameters()),
            "recover": self.recover,
            "val_iou": after,
            "val_iou_before_recovery": before,
            "dense_val_iou": self.dense_iou,
            "dense_sha256": self.dense.checkpoint.digest,
        }
        return pruned, pruning

    def checked(self, pruned: Localizer) -> dict[str, Any]:
        """What else the validation rows say of the health of a pruned copy, beside its IoU."""
        if self.validation is None:
            return {}
        constant = None if self.constant is None else round(self.constant[1], 6)
        return {"constant_val_iou": constant} | health(self.dense.task, pruned, self.validation.rows, self.runtime)

    def gated(self) -> tuple[Localizer, dict[str, Any]]:
        """The model of the largest healthy sparsity; the sweep stands in `sweep`.

        Raises: HtlError where no sparsity is healthy; DataError without a validation split.
        """
        if self.dense_iou is None:
            raise DataError("no annotated row of split val, where the health gate measures", "name a --sparsity, which needs none")
        console.say(f"health gate: validation IoU must stay above {HEALTHY} of {self.dense_iou:.4f}")
        sweep: list[dict[str, Any]] = []
        for number, sparsity in enumerate(SWEEP, 1):
            place = f" ({number} of at most {len(SWEEP)})"
            pruned, pruning = self.at(sparsity, place)
            console.say(f"sparsity {sparsity:g}{place}: validation IoU {pruning['val_iou']:.4f}")
            sweep.append({name: pruning[name] for name in ("asked", "val_iou_before_recovery", "val_iou")})
            if pruning["val_iou"] >= HEALTHY * self.dense_iou:
                break
        else:
            raise HtlError(
                "no sparsity of the sweep keeps the model healthy", "train it longer, or choose --sparsity and --recover by hand"
            )
        sweep += [
            {"asked": s, "val_iou_before_recovery": self.measured(baked(self.cut(s))), "val_iou": None}
            for s in SWEEP
            if s < pruning["asked"]
        ]
        show_sweep(sweep, pruning["asked"])
        return pruned, pruning | {"gate": HEALTHY, "sweep": sweep}

    def save(self, path: Path, pruned: Localizer, pruning: dict[str, Any], history: list[dict[str, Any]]) -> None:
        """Write the pruned checkpoint."""
        dense, metrics = self.dense.checkpoint, {} if pruning["val_iou"] is None else {"val_iou": pruning["val_iou"]}
        Checkpoint(
            weights_of(pruned), dense.architecture, dense.preprocessing, metrics, pruning, [], history, dense.fold, dense.training
        ).save(path)


def selected(selection: Selection) -> Sequence[Row]:
    """The rows of a selection; what is left out is said."""
    for note in selection.notes:
        console.say(note)
    return selection.rows


def show_sweep(sweep: list[dict[str, Any]], chosen: float) -> None:
    """Print the sweep of the gate on stderr."""
    if console.talk.quiet:
        return
    lines = []
    for entry in sweep:
        recovered = "-" if entry["val_iou"] is None else f"{entry['val_iou']:.4f}"
        taken = "<- taken" if entry["asked"] == chosen else ""
        lines.append([f"{entry['asked']:.2f}", f"{entry['val_iou_before_recovery']:.4f}", recovered, taken])
    console.show_table(["sparsity", "val IoU, cut", "recovered", ""], lines, to_stderr=True)
