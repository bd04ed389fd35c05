"""What a model predicts: the protocol of a task, and what tasks hand on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from htltools.core.geometry.mirroring import Mirror
from htltools.core.hardness.scores import Comparison
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.runtime import Runtime
from htltools.core.statistics.sample_metrics import SampleMetrics
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import Placement

if TYPE_CHECKING:  # a task predicts without torch, which its training needs
    from htltools.core.training.adaptive_weighting import Attention
    from htltools.core.training.loop import Objective
    from htltools.core.training.objectives.mean_teacher import PseudoLabels
    from htltools.core.training.schedule import Recipe

Model = Any  # the class of localizer that belongs to the task, see core.nets
Shape = tuple[int | None, ...]  # of an output behind its batch axis; None = any length


class Selection(NamedTuple):
    """Rows that a task can use, and a sentence on each kind of rows that it cannot."""

    rows: Sequence[Row]
    notes: list[str]


@dataclass(frozen=True)
class Data:
    """N rows, their images, and the targets [N, ...] that training or validation holds predictions against."""

    rows: Sequence[Row]
    images: ImageSource
    targets: np.ndarray


@dataclass(frozen=True)
class Extras:
    """What a training may have beside its labelled rows: attention, and unlabelled images with their use."""

    attention: "Attention | None" = None
    pseudo_labels: "PseudoLabels | None" = None
    unlabelled: ImageSource | None = None
    compiled: bool = False


class Task(Protocol):
    """One kind of prediction: from rows to targets, from targets to an objective, from predictions to metrics and fields of rows.

    name: as checkpoints and ONNX files store it. kind: how the predictions are measured, `box` (one box a sample) or `objects`; models
    of one kind compare in `evaluate`. target_fields: fields of rows that training learns from. supports: options that work, of attend,
    look, semi, weak, grand, dropout_disagreement, mirror_disagreement, look_disagreement, soft_dice_doubt, channel, int8. field: the field
    of rows that holds predictions by role.
    has_threshold: whether `calibrate` sets one. comparison: of predictions [N, ...], see `predictions`.
    """

    name: str
    kind: str
    target_fields: tuple[str, ...]
    supports: frozenset[str]
    field: str
    has_threshold: bool
    comparison: Comparison

    def default_rate(self, arch: str, from_scratch: bool) -> float:
        """The highest learning rate of a training of that net, unless one is asked for."""
        ...

    def is_annotated(self, row: Row) -> bool:
        """Whether a row says what there is to predict, so that predictions can be held against it."""
        ...

    def training_rows(self, rows: Sequence[Row], *, semi: bool = False) -> Selection:
        """Rows of the training split to learn from. Raises: DataError where none can be used."""
        ...

    def validation_rows(self, rows: Sequence[Row], split: str = "val") -> Selection:
        """Rows of a split to validate on, perhaps none."""
        ...

    def net_options(self, rows: Sequence[Row]) -> dict[str, Any]:
        """What the training rows add to the architecture of a net, such as its classes."""
        ...

    def training_data(self, rows: Sequence[Row], classes: Sequence[str], frame: Sequence[int], path: Path) -> Data:
        """Images and training targets of rows. Raises: DataError where the frame or a class is not the one of the model at `path`."""
        ...

    def validation_data(self, rows: Sequence[Row], classes: Sequence[str], frame: Sequence[int], path: Path) -> Data:
        """Images and targets of rows in the form that the localizer's validator is held against. Raises: as `training_data`."""
        ...

    def objective(
        self,
        model: Model,
        training: Data,
        weights: np.ndarray,  # float32 [N], of each row in the loss
        validation: Data | None,
        recipe: "Recipe",
        runtime: Runtime,
        extras: Extras,
    ) -> "Objective":
        """What a model learns from training data."""
        ...

    def calibrate(self, model: Model, validation: Data, runtime: Runtime) -> None:
        """Set the model's threshold, in place, where it has one."""
        ...

    def constant_baseline(self, training: Data, validation: Data) -> tuple[str, float] | None:
        """What one constant prediction is called, and the mean validation IoU that it reaches; None where the task knows none."""
        ...

    def annotation(self, rows: Sequence[Row], classes: Sequence[str], place: Placement | None = None) -> np.ndarray:
        """The annotation in the form of predictions, [N, ...]; NaN where a row has none. `place` finds shards, as in `Images`."""
        ...

    def predictions(self, models: Sequence[Model], images: ImageSource, runtime: Runtime) -> np.ndarray:
        """What models predict for images, [M, N, ...], as `comparison` takes it."""
        ...

    def mirrored(self, predictions: np.ndarray, mirror: Mirror) -> np.ndarray:
        """What `predictions` gives for mirror images, [..., N, ...], put back: as predictions for the images."""
        ...

    def losses(
        self, models: Sequence[Model], images: ImageSource, predictions: np.ndarray, annotation: np.ndarray, runtime: Runtime
    ) -> np.ndarray:
        """The training loss of each prediction [M, N, ...]: [M, N]; NaN without annotation."""
        ...

    def measured_predictions(self, model: Model, data: Data, runtime: Runtime) -> np.ndarray:
        """What a model predicts for N rows of `validation_data`, in the form that `per_sample` measures, [N, ...]."""
        ...

    def measured_outputs(self, outputs: Mapping[str, np.ndarray], batch: np.ndarray, rows: Sequence[Row]) -> np.ndarray:
        """The same of the outputs of an ONNX file for a batch of these rows' images."""
        ...

    def onnx_predictions(self, outputs: Mapping[str, np.ndarray], threshold: float) -> np.ndarray:
        """Outputs of an ONNX file in the form of `predictions` of one model, [N, ...]."""
        ...

    def counted(self, predictions: np.ndarray, threshold: float) -> np.ndarray:
        """What was predicted, [N, ...], without objects that score too little to count."""
        ...

    def per_sample(self, predictions: np.ndarray, targets: np.ndarray, classes: Sequence[str], threshold: float) -> SampleMetrics:
        """How `measured_predictions` [N, ...] agree with the targets of `validation_data`."""
        ...

    def more_metrics(self, model: Model, data: Data, runtime: Runtime) -> dict[str, float]:
        """Metrics by name that do not follow from single predictions, of validation data; mostly none."""
        ...

    def field_values(self, predictions: np.ndarray, sizes: np.ndarray, classes: Sequence[str]) -> list[Any]:
        """Values of `field`, one for each of N rows, of the predictions of K models together, [K, N, ...]; None where there is none.

        sizes: width and height of the original images, [N, 2].
        """
        ...

    def onnx_outputs(self, frame: Sequence[int]) -> dict[str, Shape]:
        """Outputs of an ONNX file by name, with their shapes behind the batch axis, for a frame [H, W, C]."""
        ...

    def onnx_metadata(self, model: Model) -> dict[str, Any]:
        """What an ONNX file says of its outputs, text or JSON, by key of `vocabulary.ONNX`."""
        ...

    def largest_differences(self, ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The largest difference between two sets of outputs, by output; NaN where one of them is NaN."""
        ...
