"""What commands do for localizers that answer with lesion masks: their rows, images with masks, and answers."""

from pathlib import Path

import numpy as np
import torch

from htltools import console
from htltools.commands.shared.inputs import check_frame, is_annotated
from htltools.commands.train.resume import Plan
from htltools.core.geometry.masks import LIMIT, iou_and_dice
from htltools.core.nets.factory import predicts_masks
from htltools.core.nets.localizer import Localizer
from htltools.core.nets.mask_localizer import MaskLocalizer, MasksOf, MaskValidator
from htltools.core.runtime.predict import batches, predict_all
from htltools.errors import DataError, UsageError
from htltools.formats.models.onnx import OnnxLocalizer
from htltools.formats.store.masked_images import MaskedImages
from htltools.formats.store.shard import Place


def is_masked(plan: Plan) -> bool:
    """Whether a training is one of masks.

    Raises: UsageError where it is, and something is asked for that only localizers of boxes can.
    """
    if not predicts_masks(plan.model):
        return False
    others = "use compact or a torchvision backbone for this"
    if plan.weak or plan.unlabelled:
        raise UsageError(f"{plan.model} answers with masks, and learns from rows with masks alone: --supervision full", others)
    if plan.attending:
        raise UsageError(f"{plan.model} answers with masks, and --attend goes by boxes", others)
    return True


def known(rows: list[dict], images: MaskedImages) -> np.ndarray:
    """Which rows have an annotated lesion mask: bool [N]. One whose boxes are hidden, or a model's, has none, whatever its store holds."""
    return images.there & [is_annotated(row) and not row.get("pseudo") for row in rows]


def rows_with_masks(rows: list[dict], split: str) -> list[dict]:
    """The rows that have a lesion mask to learn from; the others are counted aloud.

    Raises: DataError where there are rows, and none of them has one.
    """
    if not rows:
        return rows
    there = known(rows, MaskedImages(rows))
    if not there.any():
        raise DataError(
            f"no row of split {split} has a lesion mask in its store", "prepare with masks/ or --masks, or train a net of boxes"
        )
    if not there.all():
        console.say(f"{(~there).sum()} rows of split {split} without a lesion mask are left aside")
    return [row for row, has in zip(rows, there) if has]


def matching_masked(rows: list[dict], frame: list[int], path: Path, place: Place | None = None) -> MaskedImages:
    """The images of the rows with their masks.

    Raises: DataError where their frame [H, W, C] is not the one that the model at `path` takes.
    """
    images = MaskedImages(rows, place)
    check_frame(images.images, frame, path)
    return images


def target_masks(rows: list[dict], place: Place | None = None) -> np.ndarray:
    """The annotated lesion mask of each row: float32 [N, H, W], 0 or 1, NaN where there is none."""
    images = MaskedImages(rows, place)
    masks = (images.lesion(np.arange(len(rows))) > 0).astype(np.float32)
    masks[~known(rows, images)] = np.nan
    return masks


def all_masks(models: list[Localizer], images, batch_size: int, **how) -> np.ndarray:
    """The masks of each model for all images: float32 [M, N, H, W], probabilities."""
    return predict_all([MasksOf(model) for model in models], images, batch_size, **how)


def one_kind(paths: list[Path], models: list[Localizer]) -> bool:
    """Whether these models answer with masks.

    Raises: DataError where some do and some do not.
    """
    masked = [isinstance(model, MaskLocalizer) for model in models]
    if any(masked) and not all(masked):
        cause = f"{paths[masked.index(True)]} answers with masks, {paths[masked.index(False)]} does not"
        raise DataError(cause, "compare models of one kind: prune the dense model that is named")
    return all(masked)


def boxes_and_dice(model: MaskLocalizer, rows: list[dict], images: MaskedImages, batch_size: int, **how) -> tuple[np.ndarray, np.ndarray]:
    """The box of each row, float32 [N, 4], and the Dice of its mask, [N], NaN where it has none."""
    found = predict_all([MaskValidator(model)], images, batch_size, **how)[0]  # [N, 6]
    return found[:, :4], np.where(known(rows, images), found[:, 5], np.nan)


def onnx_boxes_and_dice(net: OnnxLocalizer, rows: list[dict], images: MaskedImages, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """As `boxes_and_dice`, of an ONNX file."""
    boxes, dice = [], []
    for chosen in batches(len(rows), batch_size):
        some, masks = net.masks(images.images.batch(chosen))
        boxes.append(some)
        dice.append(iou_and_dice(torch.from_numpy(masks >= LIMIT), torch.from_numpy(images.lesion(chosen) > 0))[1].numpy())
    return np.concatenate(boxes), np.where(known(rows, images), np.concatenate(dice), np.nan)
