"""What `prune` does between its rows and its checkpoint: recovery, and the health gate."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from htltools import console
from htltools.commands.shared.inputs import annotation, exclude_fold, load_localizer, matching_images, model_fold, target_boxes
from htltools.commands.train.fit import labelled, warn_if_constant
from htltools.core.geometry.boxes import constant_iou
from htltools.core.nets import detector
from htltools.core.nets.localizer import Localizer
from htltools.core.nets.state_arrays import weights_of
from htltools.core.pruning.structured import prune_channels
from htltools.core.pruning.unstructured import HEALTHY, SWEEP, baked, prunable_count, prune_weights, recalibrate, sparsity_of
from htltools.core.runtime.predict import batches
from htltools.core.runtime.prefetch import load_batches
from htltools.core.training.augmentation import Augmentation
from htltools.core.training.box_objective import Supervised
from htltools.core.training.class_map_objective import calibrate
from htltools.core.training.detection_objective import Detecting
from htltools.core.training.loop import Recipe, mean_iou, trained
from htltools.core.training.mask_objective import MaskSupervised, constant_mask_iou
from htltools.errors import DataError, HtlError, UsageError
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.provenance import file_digest
from htltools.formats.store.masked_images import MaskedImages
from htltools.formats.store.shard import Images
from htltools.tasks import masks
from htltools.tasks.weak import class_objective, class_rows


@dataclass(frozen=True)
class Job:
    """One dense model, and how to prune it."""

    samples: list[dict]
    dense_path: Path
    method: str
    recover: str
    epochs: int
    rate: float
    batch_size: int
    seed: int
    device: torch.device
    dtype: torch.dtype
    trusted: tuple[str, ...] = ()

    @cached_property
    def dense(self) -> tuple[Localizer, Checkpoint]:
        """The dense localizer and its checkpoint."""
        return load_localizer(self.dense_path, self.device, self.trusted)

    def request(self, sparsity: float | None) -> str:
        """A digest of all that the result follows from: rows, dense model and parameters."""
        parameters = self.method, sparsity, self.recover, self.epochs, self.rate, self.batch_size, self.seed, str(self.dtype)
        digest = hashlib.sha256(compact_json([file_digest(self.dense_path), *parameters]))
        for row in self.samples:
            digest.update(b"\n" + compact_json(row))
        return digest.hexdigest()

    @cached_property
    def classes(self) -> list[str] | None:
        """The classes of a model that learned from labels alone."""
        return self.dense[1].architecture.get("classes")

    @cached_property
    def masked(self) -> bool:
        """Whether the model answers with masks: then its images come with theirs."""
        return bool(self.dense[1].architecture.get("masks"))

    @cached_property
    def several(self) -> bool:
        """Whether the model finds several objects."""
        return "objects" in self.dense[1].architecture

    @cached_property
    def training(self) -> tuple[list[dict], Images]:
        """Rows and images of the training split, without the fold that the dense model left out."""
        rows = class_rows(self.samples) if self.classes else labelled(self.samples, "train", or_empty=self.several)
        return self.with_images(exclude_fold(rows, model_fold(self.dense[1])), "train")

    @cached_property
    def validation(self) -> tuple[Images, np.ndarray]:
        """Images and annotation of the validation split, which the health gate needs."""
        rows, images = self.with_images(labelled(self.samples, "val", or_empty=self.several), "val")
        return images, annotation(self.dense[1].architecture, rows)

    def with_images(self, rows: list[dict], split: str) -> tuple[list[dict], Images | MaskedImages]:
        rows = masks.rows_with_masks(rows, split) if self.masked else rows
        if not rows:
            raise DataError(f"no annotated row of split {split}", "recovery needs train, the health gate needs val")
        matching = masks.matching_masked if self.masked else matching_images
        return rows, matching(rows, self.dense[1].preprocessing["size"], self.dense_path)

    @cached_property
    def dense_iou(self) -> float:
        """Mean validation IoU of the dense model."""
        reached = self.measured(self.dense[0])
        if self.several:
            return reached
        known = self.validation[1] if self.classes else target_boxes(self.training[0])
        if self.masked:
            warn_if_constant(reached, constant_mask_iou(self.training[1], self.validation[0]), "mask")
        else:
            warn_if_constant(reached, constant_iou(known, self.validation[1]))
        return reached

    def measured(self, model: Localizer) -> float:
        return round(mean_iou(model.to(self.device), *self.validation, self.batch_size, device=self.device, dtype=self.dtype), 6)

    def cut(self, sparsity: float) -> Localizer:
        """A copy of the dense model, cut and not recovered."""
        if self.method == "channel" and self.several:
            raise UsageError("--method channel cannot follow a net that finds several objects", "use l1, layer-l1 or random")
        if self.method == "channel":
            return prune_channels(self.dense[0], sparsity, self.dense[1].preprocessing["size"]).to(self.device)
        return prune_weights(self.dense[0].to(self.device), self.method, sparsity, self.seed)

    def recovered(self, model: Localizer) -> Localizer:
        """The cut model after its recovery, zeros held."""
        if self.recover == "bn":
            images = self.training[1].images if self.masked else self.training[1]
            turns = batches(images.shape[0], self.batch_size)
            turns = [turn for turn in turns if len(turn) > 1] or turns  # one image has no statistics where a net averages over places
            recalibrate(model, load_batches(images, turns, self.device))
        elif self.recover == "finetune":
            flip = tuple(self.dense[1].training.get("flip", Augmentation.flip))
            recipe = Recipe(self.epochs, self.batch_size, self.rate, seed=self.seed, augmentation=Augmentation(flip=flip))
            objective = self.objective(model, recipe)
            with console.progress("recovering", self.epochs) as steps:
                for state in trained(objective, self.validation, recipe):
                    steps.advance(note=f"val_iou {state.log[-1]['val_iou']:.4f}")
            model.load_state_dict(state.best)
        if self.classes:
            calibrate(model, *self.validation, device=self.device, dtype=self.dtype)
        elif self.several:
            detector.calibrate(model, *self.validation, self.batch_size, device=self.device, dtype=self.dtype)
        return model

    def objective(self, model: Localizer, recipe: Recipe):
        """What the cut model learns while it recovers: what the dense one did, without row weights."""
        rows, images = self.training
        uniform, how = np.ones(len(rows), np.float32), {"device": self.device, "dtype": self.dtype}
        if self.classes:
            return class_objective(model, self.classes, rows, images, uniform, self.validation, recipe, **how)
        if self.several:
            objects = annotation(self.dense[1].architecture, rows)
            return Detecting(model, images, objects, uniform, self.validation, recipe, **how)
        objective = MaskSupervised if self.masked else Supervised
        return objective(model, images, target_boxes(rows), uniform, recipe, **how)

    def at(self, sparsity: float) -> tuple[Localizer, dict]:
        """The model pruned to that sparsity, and how it fares."""
        cut = self.cut(sparsity)
        before = self.measured(cut)
        pruned = baked(self.recovered(cut)).eval()
        after = self.measured(pruned) if self.recover != "none" or self.classes or self.several else before
        if after < HEALTHY * self.dense_iou:
            console.say(f"pruned to {sparsity} it is not healthy: validation IoU {after:.4f} < {HEALTHY} of the dense {self.dense_iou:.4f}")
        pruning = {
            "method": self.method,
            "asked": sparsity,
            "sparsity": round(sparsity_of(pruned, prunable_count(self.dense[0])), 6),
            "parameters": sum(parameter.numel() for parameter in pruned.parameters()),
            "recover": self.recover,
            "val_iou": after,
            "val_iou_before_recovery": before,
            "dense_val_iou": self.dense_iou,
        }
        return pruned, pruning

    def gated(self) -> tuple[Localizer, dict]:
        """The model of the largest healthy sparsity; the sweep stands in `sweep`.

        Raises: HtlError where no sparsity is healthy.
        """
        console.say(f"health gate: validation IoU must stay above {HEALTHY} of {self.dense_iou:.4f}")
        sweep: list[dict] = []
        for sparsity in SWEEP:
            pruned, pruning = self.at(sparsity)
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
        self.show(sweep, pruning["asked"])
        return pruned, pruning | {"gate": HEALTHY, "sweep": sweep}

    def show(self, sweep: list[dict], chosen: float) -> None:
        """Print the sweep of the gate on stderr."""
        if console.talk.quiet:
            return
        lines = []
        for entry in sweep:
            recovered = "-" if entry["val_iou"] is None else f"{entry['val_iou']:.4f}"
            taken = "<- taken" if entry["asked"] == chosen else ""
            lines.append([f"{entry['asked']:.2f}", f"{entry['val_iou_before_recovery']:.4f}", recovered, taken])
        console.show_table(["sparsity", "val IoU, cut", "recovered", ""], lines, to_stderr=True)

    def save(self, path: Path, pruned: Localizer, pruning: dict, history: list[dict]) -> None:
        """Write the pruned checkpoint."""
        dense = self.dense[1]
        metrics = {"val_iou": pruning["val_iou"]}
        Checkpoint(
            weights_of(pruned), dense.architecture, dense.preprocessing, metrics, pruning, [], history, dense.fold, dense.training
        ).save(path)
