"""What `train` does between its rows and its checkpoint: arrays, resuming, the log."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from htltools import console, options
from htltools.commands.shared.inputs import (
    annotation,
    exclude_fold,
    is_annotated,
    load_localizer,
    matching_images,
    rounded_scores,
    split_rows,
)
from htltools.commands.train.resume import Plan, hint_of, load_state, save_state, training_identity
from htltools.core.geometry.boxes import constant_iou
from htltools.core.hardness.training_dynamics import dynamics
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.localizer import NORMALISATION, Localizer
from htltools.core.nets.names import DETECTORS
from htltools.core.nets.state_arrays import weights_of
from htltools.core.training.adaptive_weighting import Attending
from htltools.core.training.augmentation import Augmentation
from htltools.core.training.box_objective import Supervised
from htltools.core.training.detection_objective import Detecting
from htltools.core.training.loop import Recipe, trained
from htltools.core.training.mask_objective import MaskSupervised, constant_mask_iou
from htltools.core.training.mean_teacher import MeanTeacher
from htltools.errors import DataError
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import joined_lines
from htltools.formats.store.shard import Images
from htltools.tasks import masks, objects, weak

KINDS = "classes", "objects"  # of an architecture: what it answers with, where that is no single box


def train_localizer(samples: list[dict], plan: Plan, device, dtype, *, compiled: bool, resume: bool, history: list[dict]) -> Checkpoint:
    """Train on the training split of the samples and write the checkpoint, which is returned.

    With full supervision the training rows get, in place, the columns of hardness that tell how they fared.
    """
    several, masked = plan.model in DETECTORS, masks.is_masked(plan)
    known = weak.class_rows(samples) if plan.weak else labelled(samples, "train", bool(plan.unlabelled), several)
    training, validation = exclude_fold(known, plan.fold), labelled(samples, "val", or_empty=several)
    if not training:
        raise DataError("no annotated row of split train", "rows need split and boxes; see htl-stream(5)")
    if not validation:
        console.say("no annotated row of split val: the last epoch is kept, not the best")
    if masked:
        training, validation = masks.rows_with_masks(training, "train"), masks.rows_with_masks(validation, "val")
    images = Images(training)
    model, shape = fresh_localizer(plan, list(images.shape[1:]), objects.told(training) if several else weak.told(training, plan.weak))
    weights = sample_weights(training)
    targets = None if plan.weak else annotation(shape, training)  # weak supervision sees none of them
    others = unlabelled(samples, plan) if plan.unlabelled else []
    held_out = (matching_images(validation, shape["size"], plan.out), annotation(shape, validation)) if validation else None
    if masked:
        images = masks.matching_masked(training, shape["size"], plan.out)
        held_out = (masks.matching_masked(validation, shape["size"], plan.out), held_out[1]) if held_out else None
    identity = training_identity(plan, shape, training + others, weights)
    state = load_state(plan, identity) if resume else None
    if state:
        console.say(f"going on after epoch {state.epoch} of {plan.resume_path}")
    mirrored = Augmentation(flip=plan.flip)
    recipe = Recipe(plan.epochs, plan.batch_size, plan.rate, schedule=plan.schedule, seed=plan.seed, augmentation=mirrored)
    how = {"device": device, "dtype": dtype, "compiled": compiled}
    if plan.weak:
        objective = weak.class_objective(model, shape["classes"], training, images, weights, held_out, recipe, **how)
    elif masked:
        objective = MaskSupervised(model, images, targets, weights, recipe, **how)
    elif several:
        objective = Detecting(model, images, targets, weights, held_out, recipe, **how)
    elif plan.unlabelled:
        more = matching_images(others, shape["size"], plan.out)
        objective = MeanTeacher(model, (images, targets, weights), more, recipe, plan.unlabelled, **how)
    else:
        objective = Supervised(model, images, targets, weights, recipe, attending=plan.attending or Attending(), **how)
    with console.progress(f"training on {counts_text(training, others)}", plan.epochs) as steps, hint_of(plan):
        steps.advance(state.epoch if state else 0)
        for reached in trained(objective, held_out, recipe, resume=state):
            state = reached
            if options.first_process():
                save_state(plan, identity, state)
            last = state.log[-1]
            steps.advance(note="  ".join(f"{name} {last[name]:.4f}" for name in ("loss", "val_iou") if name in last))
    if isinstance(objective, Supervised):
        columns = dynamics(objective.record.iou.numpy(), objective.record.margin.numpy())
        for i, row in enumerate(training):
            row["hardness"] = row.get("hardness", {}) | rounded_scores(columns, i)
    model.load_state_dict(state.best)
    best = max(state.log, key=lambda entry: entry.get("val_iou", entry["epoch"]))
    metrics = dict(best)
    if held_out and not several:
        known = held_out[1] if plan.weak else targets
        constant = constant_mask_iou(images, held_out[0]) if masked else constant_iou(known, held_out[1])
        metrics["constant_val_iou"] = round(constant, 6)
        warn_if_constant(metrics["val_iou"], metrics["constant_val_iou"], "mask" if masked else "box")
    checkpoint = Checkpoint(weights_of(model), shape, {"size": shape["size"], **NORMALISATION}, metrics, None, state.log, history)
    checkpoint.fold, checkpoint.training = plan.fold and asdict(plan.fold), {"flip": list(plan.flip)}
    if options.first_process():
        checkpoint.save(plan.out)
    return checkpoint


def warn_if_constant(dense_iou: float, constant: float, answer: str = "box") -> None:
    """Say where a model has learned nothing that a constant box, or mask, does not know."""
    if dense_iou <= constant:
        console.say(f"its validation IoU {dense_iou:.4f} is no better than that of one constant {answer} ({constant:.4f}): train it longer")


def labelled(samples: list[dict], split: str, others_used: bool = False, or_empty: bool = False) -> list[dict]:
    """The annotated rows of a split, with a box unless `or_empty`; the others are counted aloud, unless they are used all the same."""
    rows = split_rows(samples, split)
    annotated = [row for row in rows if is_annotated(row, or_empty)]
    if len(annotated) < len(rows) and not others_used:
        console.say(f"{len(rows) - len(annotated)} rows of split {split} without a box are left aside")
    return annotated


def unlabelled(samples: list[dict], plan: Plan) -> list[dict]:
    """The rows of the training split without `boxes`; an empty list of boxes says that there is none to find, which is a label.

    Raises: DataError where every one is annotated.
    """
    rows = exclude_fold([row for row in split_rows(samples, "train") if row.get("boxes") is None], plan.fold)
    if not rows:
        raise DataError("no row of split train lacks boxes", "--supervision semi needs some; prepare --labelled or --keep-unlabelled")
    return rows


def counts_text(training: list[dict], others: list[dict]) -> str:
    """What a training is on, in words."""
    return f"{len(training)} and {len(others)} without boxes" if others else str(len(training))


def sample_weights(rows: list[dict]) -> np.ndarray:
    """The weight of each row in the loss: float32 [N], 1 where a row has none.

    Raises: DataError where all are zero.
    """
    weights = np.array([row.get("weight", 1.0) for row in rows], np.float32)
    if not weights.any():
        raise DataError("all weights are zero: nothing to learn from")
    return weights


def fresh_localizer(plan: Plan, frame: list[int], told: dict) -> tuple[Localizer, dict]:
    """The model to start from, and its architecture, of which `told` is what follows from the rows: classes, or objects and most."""
    torch.manual_seed(plan.seed)
    if plan.init in ("none", "imagenet"):
        shape = architecture(plan.model, frame, **told)
        return build(shape, imagenet=plan.init == "imagenet", trusted=[plan.model]), shape
    model, checkpoint = load_localizer(Path(plan.init), torch.device("cpu"), [plan.model])
    if checkpoint.architecture["name"] != plan.model or checkpoint.architecture["size"] != frame:
        found = f"{checkpoint.architecture['name']} for {checkpoint.architecture['size']}"
        raise DataError(f"--init {plan.init} is a {found}, wanted is {plan.model} for {frame}", "name its --model, prepare with its --size")
    if any(checkpoint.architecture.get(name) != told.get(name) for name in KINDS):
        found, wanted = (kind_of(shape) for shape in (checkpoint.architecture, told))
        raise DataError(f"--init {plan.init} is a model {found}, wanted is one {wanted}", "start from one of the same --supervision")
    if plan.fold and checkpoint.fold != asdict(plan.fold):
        console.say(f"--init {plan.init} may have seen fold {plan.fold}: then no score of this model is out of sample")
    return model, checkpoint.architecture


def kind_of(architecture: dict) -> str:
    """What a net answers with, in words."""
    return next((f"of the {name} {', '.join(architecture[name])}" for name in KINDS if name in architecture), "of boxes")


def input_digests(samples: list[dict], init: str) -> dict[str, str]:
    """Digests of what a training depends on, for its history."""
    from htltools.formats.rows.provenance import file_digest

    digests = {"rows": hashlib.sha256(joined_lines(samples)).hexdigest()}
    return digests | ({init: file_digest(init)} if init not in ("none", "imagenet") else {})
