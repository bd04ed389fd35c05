"""The task `mask`: a lesion mask an image, and the box around it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from htltools.core.geometry.boxes import iou
from htltools.core.geometry.mask_comparison import (
    boxes_and_agreement,
    boxes_of_masks,
    mask_losses,
    mask_overlap,
    mask_shift,
    mask_smallness,
)
from htltools.core.geometry.mirroring import Mirror, mirrored_masks
from htltools.core.hardness.scores import Comparison
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.runtime import Runtime
from htltools.core.statistics.sample_metrics import BoxMetrics, MaskMetrics, SampleMetrics
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import rows_where
from htltools.formats.rows.vocabulary import ONNX
from htltools.formats.store.masked_images import MaskedImages
from htltools.formats.store.shard import Placement
from htltools.tasks.box import Box
from htltools.tasks.rows import annotated_rows, check_frame, no_annotation, target_boxes
from htltools.tasks.task import Data, Extras, Model, Selection, Shape

if TYPE_CHECKING:
    from htltools.core.training.loop import Objective
    from htltools.core.training.schedule import Recipe


class Mask(Box):
    """Lesion masks, float32 [N, H, W] probabilities; rows predict the box around the mask, as `Box`."""

    name = "mask"
    supports = frozenset({"attend", "look", "mirror_disagreement", "look_disagreement", "soft_dice_doubt", "channel", "int8"})
    comparison = Comparison(mask_overlap, mask_shift, mask_smallness)

    def training_rows(self, rows: Sequence[Row], *, semi: bool = False) -> Selection:
        """As `Task.training_rows`: rows with a box, at least one of which has a lesion mask in its store."""
        found = annotated_rows(rows, "train", self.is_annotated)
        with_masks, _ = self.with_masks(found, "train")
        if not with_masks:
            raise no_annotation("train")
        without = len(found.rows) - len(with_masks)
        note = f"{without} rows of split train have a box and no lesion mask: the ellipse in the box stands for it"
        return Selection(found.rows, [*found.notes, note] if without else found.notes)

    def validation_rows(self, rows: Sequence[Row], split: str = "val") -> Selection:
        """As `Task.validation_rows`: rows with a box and a lesion mask."""
        return self.with_masks(annotated_rows(rows, split, self.is_annotated), split)

    def with_masks(self, selection: Selection, split: str) -> Selection:
        """The rows that have a lesion mask; the others are counted.

        Raises: DataError where there are rows, and none of them has one.
        """
        rows, notes = selection
        if not rows:
            return selection
        there = has_mask(rows, MaskedImages(rows))
        if not there.any():
            remedy = "prepare with masks/ or --masks, or train a net of boxes"
            raise DataError(f"no row of split {split} has a lesion mask in its store", remedy)
        if not there.all():
            notes = [*notes, f"{(~there).sum()} rows of split {split} without a lesion mask are left aside"]
        return Selection(rows_where(rows, there), notes)

    def validation_data(self, rows: Sequence[Row], classes: Sequence[str], frame: Sequence[int], path: Path) -> Data:
        """Images with their mask as one channel more; float [N, 5]: the box, and 1 where a mask is annotated, else 0."""
        images = MaskedImages(rows)
        check_frame(images.images.shape, frame, path)
        return Data(rows, images, np.column_stack([target_boxes(rows), has_mask(rows, images).astype(np.float32)]))

    def objective(
        self,
        model: Model,
        training: Data,
        weights: np.ndarray,
        validation: Data | None,
        recipe: "Recipe",
        runtime: Runtime,
        extras: Extras,
    ) -> "Objective":
        """The mask loss."""
        from htltools.core.training.objectives.mask import MaskObjective

        boxes, has_mask = training.targets[:, :4], training.targets[:, 4] > 0
        return MaskObjective(
            model,
            training.images,
            boxes,
            has_mask,
            weights,
            recipe,
            runtime,
            attention=extras.attention,
            compiled=extras.compiled,
        )

    def constant_baseline(self, training: Data, validation: Data) -> tuple[str, float] | None:
        """The pixels that are lesion in half of the training masks."""
        from htltools.core.training.objectives.mask import constant_mask_iou

        return "mask", constant_mask_iou(training.images, validation.images)

    def annotation(self, rows: Sequence[Row], classes: Sequence[str], place: Placement | None = None) -> np.ndarray:
        """Masks float32 [N, H, W], 0 or 1."""
        images = MaskedImages(rows, place)
        masks = (images.lesion(np.arange(len(rows))) > 0).astype(np.float32)
        masks[~has_mask(rows, images)] = np.nan
        return masks

    def predictions(self, models: Sequence[Model], images: ImageSource, runtime: Runtime) -> np.ndarray:
        """Masks float32 [M, N, H, W]; every batch is read once for all models."""
        from htltools.core.nets.mask_localizer import MasksOf
        from htltools.core.runtime.predict import predict_all

        return predict_all([MasksOf(model) for model in models], images, runtime)

    def mirrored(self, predictions: np.ndarray, mirror: Mirror) -> np.ndarray:
        """As `Task.mirrored`."""
        return mirrored_masks(predictions, mirror)

    def losses(
        self, models: Sequence[Model], images: ImageSource, predictions: np.ndarray, annotation: np.ndarray, runtime: Runtime
    ) -> np.ndarray:
        """The mask loss, 0 or more."""
        return mask_losses(predictions, annotation)

    def measured_predictions(self, model: Model, data: Data, runtime: Runtime) -> np.ndarray:
        """As `boxes_and_agreement`: float32 [N, 9]. No mask is kept; every process of a job compares its share."""
        import torch

        from htltools.core.geometry.masks import mask_boxes
        from htltools.core.nets.mask_localizer import MasksBeside
        from htltools.core.runtime import distributed
        from htltools.core.runtime.batches import batches
        from htltools.core.runtime.predict import predictions
        from htltools.core.runtime.prefetch import load_batches

        own, out = distributed.share(batches(len(data.rows), runtime.batch_size)), torch.zeros(len(data.rows), 9)
        loaded = load_batches(data.images, own, runtime.device)
        for chosen, (both,) in zip(own, predictions([MasksBeside(model)], loaded, runtime)):  # [B, 2, H, W]
            boxes, (masks, annotated) = mask_boxes(both[:, 0]).cpu().numpy(), both.cpu().numpy().swapaxes(0, 1)
            compared = boxes_and_agreement(boxes, masks, annotated, proportions([data.rows[i] for i in chosen], masks))
            out[chosen[0] : chosen[-1] + 1] = torch.from_numpy(compared)
        return distributed.summed(out.to(runtime.device)).cpu().numpy()

    def measured_outputs(self, outputs: Mapping[str, np.ndarray], batch: np.ndarray, rows: Sequence[Row]) -> np.ndarray:
        """As `measured_predictions`."""
        masks = outputs["masks"]
        return boxes_and_agreement(outputs["boxes"], masks, batch[..., -1], proportions(rows, masks)).astype(np.float32)

    def onnx_predictions(self, outputs: Mapping[str, np.ndarray], threshold: float) -> np.ndarray:
        """Masks float32 [N, H, W]."""
        return outputs["masks"]

    def per_sample(self, predictions: np.ndarray, targets: np.ndarray, classes: Sequence[str], threshold: float) -> SampleMetrics:
        """IoU of the boxes, and how the masks agree where one is annotated."""
        reached = iou(predictions[:, :4], targets[:, :4])
        dice = np.where(targets[:, 4] > 0, predictions[:, 5], np.nan)
        return BoxMetrics(reached) if np.isnan(dice).all() else MaskMetrics(reached, dice, predictions[:, 6:9])

    def field_values(self, predictions: np.ndarray, sizes: np.ndarray, classes: Sequence[str]) -> list:
        """The mean of the boxes around the masks of K models, in pixels; of boxes [K, N, 4 or more] that mean."""
        boxes = boxes_of_masks(predictions) if predictions.ndim == 4 else predictions[..., :4]
        return super().field_values(boxes, sizes, classes)

    def onnx_outputs(self, frame: Sequence[int]) -> dict[str, Shape]:
        """Boxes, and masks in the frame of the images."""
        return {"boxes": (4,), "masks": (frame[0], frame[1])}

    def onnx_metadata(self, model: Model) -> dict[str, Any]:
        """What the outputs hold."""
        return super().onnx_metadata(model) | {"htl.masks": ONNX["htl.masks"]}


def has_mask(rows: Sequence[Row], images: MaskedImages) -> np.ndarray:
    """Which rows have an annotated lesion mask: bool [N]; none where boxes are hidden, or a model's, whatever the store holds."""
    return images.has_mask & np.fromiter((row.is_annotated and not row.is_pseudo for row in rows), bool, len(rows))


def proportions(rows: Sequence[Row], masks: np.ndarray) -> np.ndarray:
    """Width and height of the original images of rows, [B, 2]; of masks [B, H, W] where a row does not say."""
    return np.array([row.size or masks.shape[:0:-1] for row in rows], float)


def can_learn_masks(rows: Sequence[Row]) -> bool:
    """Whether rows of the splits train and val have lesion masks to learn from: some of each split, or of train where val has no box."""
    training, validation = (annotated_rows(rows, split, lambda row: row.is_annotated).rows for split in ("train", "val"))
    return all(has_mask(some, MaskedImages(some)).any() for some in (training, validation) if some) and bool(training)
