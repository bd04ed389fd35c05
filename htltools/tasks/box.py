"""The task `box`: one box an image, regressed from labelled boxes; also what other tasks of one box share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from htltools.core.geometry.boxes import box_losses, constant_iou, iou, overlap, pixel_boxes
from htltools.core.geometry.mirroring import Mirror, mirrored_boxes
from htltools.core.hardness.baselines import smallness
from htltools.core.hardness.scores import Comparison, edge_distance, el2n, present_mean
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.runtime import Runtime
from htltools.core.statistics.sample_metrics import BoxMetrics, SampleMetrics
from htltools.formats.rows.row import Row
from htltools.formats.rows.vocabulary import ONNX
from htltools.formats.store.shard import Placement
from htltools.tasks.rows import annotated_rows, matching_images, no_annotation, target_boxes
from htltools.tasks.task import Data, Extras, Model, Selection, Shape

if TYPE_CHECKING:
    from htltools.core.training.loop import Objective
    from htltools.core.training.schedule import Recipe


class Box:
    """One box an image; see `Task` for what each member is."""

    name = "box"
    kind = "box"
    target_fields: tuple[str, ...] = ("boxes", "labels")
    supports = frozenset(
        {"attend", "look", "semi", "grand", "dropout_disagreement", "mirror_disagreement", "look_disagreement", "channel", "int8"}
    )
    field = "predicted"
    has_threshold = False
    comparison = Comparison(overlap, edge_distance, smallness, el2n)

    def default_rate(self, arch: str, from_scratch: bool) -> float:
        """As `Task.default_rate`: weights that know something already are moved with more care."""
        return 3e-3 if from_scratch else 5e-4

    def is_annotated(self, row: Row) -> bool:
        """Whether a row has a box."""
        return row.is_annotated

    def training_rows(self, rows: Sequence[Row], *, semi: bool = False) -> Selection:
        """As `Task.training_rows`."""
        selection = annotated_rows(rows, "train", self.is_annotated, others_used=semi)
        if not selection.rows:
            raise no_annotation("train")
        return selection

    def validation_rows(self, rows: Sequence[Row], split: str = "val") -> Selection:
        """As `Task.validation_rows`."""
        return annotated_rows(rows, split, self.is_annotated)

    def net_options(self, rows: Sequence[Row]) -> dict[str, Any]:
        """A net of one box needs no more."""
        return {}

    def training_data(self, rows: Sequence[Row], classes: Sequence[str], frame: Sequence[int], path: Path) -> Data:
        """As `Task.training_data`: boxes float [N, 4]."""
        return self.validation_data(rows, classes, frame, path)

    def validation_data(self, rows: Sequence[Row], classes: Sequence[str], frame: Sequence[int], path: Path) -> Data:
        """As `Task.validation_data`: boxes float [N, 4]."""
        return Data(rows, matching_images(rows, frame, path), target_boxes(rows))

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
        """The box loss, with attention or with unlabelled images where there are such."""
        from htltools.core.training.objectives.box import BoxObjective
        from htltools.core.training.objectives.mean_teacher import MeanTeacher

        if extras.pseudo_labels and extras.unlabelled:
            labelled = training.images, training.targets, weights
            return MeanTeacher(model, labelled, extras.unlabelled, recipe, extras.pseudo_labels, runtime, compiled=extras.compiled)
        return BoxObjective(
            model, training.images, training.targets, weights, recipe, runtime, attention=extras.attention, compiled=extras.compiled
        )

    def calibrate(self, model: Model, validation: Data, runtime: Runtime) -> None:
        """There is no threshold."""

    def constant_baseline(self, training: Data, validation: Data) -> tuple[str, float] | None:
        """The median of the training boxes."""
        return "box", constant_iou(training.targets, validation.targets)

    def annotation(self, rows: Sequence[Row], classes: Sequence[str], place: Placement | None = None) -> np.ndarray:
        """Boxes float [N, 4]."""
        return target_boxes(rows)

    def predictions(self, models: Sequence[Model], images: ImageSource, runtime: Runtime) -> np.ndarray:
        """Boxes float32 [M, N, 4]; every batch is read once for all models."""
        from htltools.core.runtime.predict import predict_all

        return predict_all(models, images, runtime)

    def mirrored(self, predictions: np.ndarray, mirror: Mirror) -> np.ndarray:
        """As `Task.mirrored`."""
        return mirrored_boxes(predictions, mirror)

    def losses(
        self, models: Sequence[Model], images: ImageSource, predictions: np.ndarray, annotation: np.ndarray, runtime: Runtime
    ) -> np.ndarray:
        """The box loss, 0 or more."""
        return box_losses(predictions, annotation)

    def measured_predictions(self, model: Model, data: Data, runtime: Runtime) -> np.ndarray:
        """Boxes float32 [N, 4]."""
        from htltools.core.runtime.predict import predict_all

        return predict_all([model.validator], data.images, runtime)[0]

    def measured_outputs(self, outputs: Mapping[str, np.ndarray], batch: np.ndarray, rows: Sequence[Row]) -> np.ndarray:
        """Boxes float32 [B, 4]."""
        return outputs["boxes"]

    def onnx_predictions(self, outputs: Mapping[str, np.ndarray], threshold: float) -> np.ndarray:
        """Boxes float32 [N, 4]."""
        return outputs["boxes"]

    def counted(self, predictions: np.ndarray, threshold: float) -> np.ndarray:
        """A box always counts."""
        return predictions

    def per_sample(self, predictions: np.ndarray, targets: np.ndarray, classes: Sequence[str], threshold: float) -> SampleMetrics:
        """IoU of the boxes."""
        return BoxMetrics(iou(predictions, targets))

    def more_metrics(self, model: Model, data: Data, runtime: Runtime) -> dict[str, float]:
        """None."""
        return {}

    def field_values(self, predictions: np.ndarray, sizes: np.ndarray, classes: Sequence[str]) -> list[Any]:
        """The mean box of K models, in pixels."""
        boxes = pixel_boxes(present_mean(predictions), sizes)
        return [[round(float(edge), 2) for edge in box] if np.isfinite(box).all() else None for box in boxes]

    def onnx_outputs(self, frame: Sequence[int]) -> dict[str, Shape]:
        """Boxes as shares of the sides."""
        return {"boxes": (4,)}

    def onnx_metadata(self, model: Model) -> dict[str, Any]:
        """What the output holds."""
        return {"htl.output": ONNX["htl.output"]}

    def largest_differences(self, ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """As `Task.largest_differences`."""
        return {name: float(np.abs(ours[name] - theirs[name]).max()) for name in ours}
