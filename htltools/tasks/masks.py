"""What commands do for localizers that answer with lesion masks: their rows, pictures with masks, and answers."""

from pathlib import Path

import numpy as np
import torch

from htltools import console
from htltools.commands.shared.inputs import check_frame, is_annotated
from htltools.commands.train.resume import Plan
from htltools.core.geometry.masks import LIMIT, overlaps
from htltools.core.nets.factory import answers_with_masks
from htltools.core.nets.localizer import Localizer
from htltools.core.nets.mask_localizer import MaskJudge, MaskLocalizer, MasksOf
from htltools.core.runtime.predict import all_answers, batches
from htltools.errors import DataError, UsageError
from htltools.formats.models.onnx import OnnxLocalizer
from htltools.formats.store.masked_images import MaskedPictures
from htltools.formats.store.shard import Place


def is_masked(plan: Plan) -> bool:
    """Whether a training is one of masks.

    Raises: UsageError where it is, and something is asked for that only localizers of boxes can.
    """
    if not answers_with_masks(plan.model):
        return False
    others = "use compact or a torchvision backbone for this"
    if plan.weak or plan.unlabelled:
        raise UsageError(f"{plan.model} answers with masks, and learns from rows with masks alone: --supervision full", others)
    if plan.attending:
        raise UsageError(f"{plan.model} answers with masks, and --attend goes by boxes", others)
    return True


def known(rows: list[dict], pictures: MaskedPictures) -> np.ndarray:
    """Which rows have an annotated lesion mask: bool [N]. One whose boxes are hidden, or a model's, has none, whatever its store holds."""
    return pictures.there & [is_annotated(row) and not row.get("pseudo") for row in rows]


def rows_with_masks(rows: list[dict], split: str) -> list[dict]:
    """The rows that have a lesion mask to learn from; the others are counted aloud.

    Raises: DataError where there are rows, and none of them has one.
    """
    if not rows:
        return rows
    there = known(rows, MaskedPictures(rows))
    if not there.any():
        raise DataError(
            f"no row of split {split} has a lesion mask in its store", "prepare with masks/ or --masks, or train a net of boxes"
        )
    if not there.all():
        console.say(f"{(~there).sum()} rows of split {split} without a lesion mask are left aside")
    return [row for row, has in zip(rows, there) if has]


def matching_masked(rows: list[dict], frame: list[int], path: Path, place: Place | None = None) -> MaskedPictures:
    """The pictures of the rows with their masks.

    Raises: DataError where their frame [H, W, C] is not the one that the model at `path` takes.
    """
    pictures = MaskedPictures(rows, place)
    check_frame(pictures.pictures, frame, path)
    return pictures


def target_masks(rows: list[dict], place: Place | None = None) -> np.ndarray:
    """The annotated lesion mask of each row: float32 [N, H, W], 0 or 1, NaN where there is none."""
    pictures = MaskedPictures(rows, place)
    masks = (pictures.lesion(np.arange(len(rows))) > 0).astype(np.float32)
    masks[~known(rows, pictures)] = np.nan
    return masks


def all_masks(models: list[Localizer], pictures, batch_size: int, **how) -> np.ndarray:
    """The masks of each model for all pictures: float32 [M, N, H, W], probabilities."""
    return all_answers([MasksOf(model) for model in models], pictures, batch_size, **how)


def one_kind(paths: list[Path], models: list[Localizer]) -> bool:
    """Whether these models answer with masks.

    Raises: DataError where some do and some do not.
    """
    masked = [isinstance(model, MaskLocalizer) for model in models]
    if any(masked) and not all(masked):
        cause = f"{paths[masked.index(True)]} answers with masks, {paths[masked.index(False)]} does not"
        raise DataError(cause, "compare models of one kind: prune the dense model that is named")
    return all(masked)


def boxes_and_dice(
    model: MaskLocalizer, rows: list[dict], pictures: MaskedPictures, batch_size: int, **how
) -> tuple[np.ndarray, np.ndarray]:
    """The box of each row, float32 [N, 4], and the Dice of its mask, [N], NaN where it has none."""
    found = all_answers([MaskJudge(model)], pictures, batch_size, **how)[0]  # [N, 6]
    return found[:, :4], np.where(known(rows, pictures), found[:, 5], np.nan)


def onnx_boxes_and_dice(net: OnnxLocalizer, rows: list[dict], pictures: MaskedPictures, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """As `boxes_and_dice`, of an ONNX file."""
    boxes, dice = [], []
    for chosen in batches(len(rows), batch_size):
        some, masks = net.masks(pictures.pictures.batch(chosen))
        boxes.append(some)
        dice.append(overlaps(torch.from_numpy(masks >= LIMIT), torch.from_numpy(pictures.lesion(chosen) > 0))[1].numpy())
    return np.concatenate(boxes), np.where(known(rows, pictures), np.concatenate(dice), np.nan)
