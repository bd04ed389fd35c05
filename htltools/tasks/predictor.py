"""Predictors: what predicts for rows, be it a checkpoint, an ONNX file, or COCO results of another tool."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.runtime import Runtime
from htltools.errors import DataError, MissingInput
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.models.onnx import is_onnx
from htltools.formats.rows.row import Row
from htltools.formats.tables.coco_results import is_json
from htltools.tasks.onnx_predictor import OnnxPredictor
from htltools.tasks.registry import task_named
from htltools.tasks.results import results_predictor
from htltools.tasks.task import Data, Model, Task


class Predictor(Protocol):
    """Predicts for rows.

    path: the file. task: what is predicted. classes: names of the classes that predictions number, empty where there are none.
    threshold: score from which on an object counts, 0 where there is none; threshold_origin: whence it is, in words.
    """

    path: Path
    task: Task
    classes: list[str]
    threshold: float
    threshold_origin: str

    def data(self, rows: Sequence[Row]) -> Data:
        """The rows with images and targets, as `predict` takes them. Raises: DataError where they do not fit the model."""
        ...

    def predict(self, data: Data) -> np.ndarray:
        """As `Task.measured_predictions`, [N, ...]."""
        ...

    def use_threshold(self, threshold: float) -> None:
        """Let objects count from another score on."""
        ...

    def more_metrics(self, data: Data) -> dict[str, float]:
        """Metrics by name that do not follow from single samples."""
        ...

    def notes(self) -> list[str]:
        """Sentences on rows that have no prediction. Raises: DataError where no row has one."""
        ...


class ModelPredictor(Predictor, Protocol):
    """A predictor that is a model, so that it predicts for any images.

    frame: [H, W, C] of these. flip: the chances of a horizontal and of a vertical mirror image in its training; None where they are not
    known. referral: its threshold of doubt, see `schema.Referral`; None where it has none. fold: what it was not fitted to, see
    `schema.FoldEntry`. weights: the digest of its weights in the checkpoint, None where the file does not say; copy_of: that of the
    dense model of which it is a pruned copy. digest: of its weights, or of its file. device: where it runs, in words.
    """

    frame: list[int]
    flip: list[float] | None
    referral: dict[str, Any] | None
    fold: dict[str, int] | None
    copy_of: str | None

    @property
    def weights(self) -> str | None: ...

    @property
    def device(self) -> str: ...

    @property
    def digest(self) -> str: ...

    def predict_images(self, images: ImageSource) -> np.ndarray:
        """What the model predicts for images, [N, ...], as `Task.predictions` gives it."""
        ...


class CheckpointPredictor:
    """A localizer of a checkpoint, on its device and in evaluation mode.

    Raises: MissingInput; DataError where the file is no checkpoint, is damaged, or its net is code whose name is not trusted.
    """

    threshold_origin = "as train set it on split val"

    def __init__(self, path: Path, runtime: Runtime):
        from htltools.core.nets.state_arrays import from_weights
        from htltools.core.training.augmentation import Augmentation

        self.path, self.runtime = path, runtime
        self.checkpoint = Checkpoint.load(path)
        architecture = self.checkpoint.architecture
        self.task = task_named(architecture["task"], path)
        self.classes: list[str] = architecture.get("classes") or []
        self.frame: list[int] = self.checkpoint.preprocessing["size"]
        try:
            self.localizer: Model = from_weights(architecture, self.checkpoint.weights, runtime.trusted).to(runtime.device)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        self.threshold = float(getattr(self.localizer, "threshold", 0.0))
        self.flip: list[float] | None = self.checkpoint.training.get("flip") or list(Augmentation.flip)
        self.referral, self.fold = self.checkpoint.referral, self.checkpoint.fold
        self.copy_of: str | None = (self.checkpoint.pruning or {}).get("dense_sha256")

    def __str__(self) -> str:
        metrics = " ".join(f"{name} {value}" for name, value in self.checkpoint.metrics.items())
        return f"{self.path}: {self.checkpoint.architecture['name']}, {metrics}"

    @property
    def digest(self) -> str:
        """The digest of its weights."""
        return self.checkpoint.digest

    @property
    def weights(self) -> str | None:
        """As `ModelPredictor.weights`."""
        return self.checkpoint.digest

    @property
    def device(self) -> str:
        """As `ModelPredictor.device`."""
        return str(self.runtime.device)

    def data(self, rows: Sequence[Row]) -> Data:
        """As `Predictor.data`."""
        return self.task.validation_data(rows, self.classes, self.frame, self.path)

    def predict(self, data: Data) -> np.ndarray:
        """As `Predictor.predict`."""
        return self.task.measured_predictions(self.localizer, data, self.runtime)

    def predict_images(self, images: ImageSource) -> np.ndarray:
        """As `ModelPredictor.predict_images`."""
        return self.task.predictions([self.localizer], images, self.runtime)[0]

    def use_threshold(self, threshold: float) -> None:
        """As `Predictor.use_threshold`."""
        self.threshold = threshold
        self.localizer.threshold.fill_(threshold)

    def more_metrics(self, data: Data) -> dict[str, float]:
        """As `Predictor.more_metrics`."""
        return self.task.more_metrics(self.localizer, data, self.runtime)

    def notes(self) -> list[str]:
        """A model predicts for every row."""
        return []


def predictor(path: Path, rows: Sequence[Row], runtime: Runtime, coco: Path | None = None, objects: bool | None = None) -> Predictor:
    """What predicts at a path. `coco` numbers the images of COCO results; `objects`: see `results_predictor`.

    Raises: MissingInput; DataError; UsageError.
    """
    if not path.exists():
        raise MissingInput(f"{path} is not there")
    if is_json(path):
        return results_predictor(path, rows, coco, objects)
    return model_predictor(path, runtime)


def needs_torch(path: Path) -> bool:
    """Whether what predicts at a path is a checkpoint, or will turn out to be none: no ONNX file, no predictions of another tool."""
    return path.is_file() and not is_onnx(path) and not is_json(path)


def model_predictor(path: Path, runtime: Runtime) -> CheckpointPredictor | OnnxPredictor:
    """The model at a path, a checkpoint or an ONNX file, recognised by its content.

    Raises: MissingInput; DataError.
    """
    return OnnxPredictor(path, runtime) if is_onnx(path) else CheckpointPredictor(path, runtime)


def of_one_kind(predictors: Sequence[Predictor]) -> None:
    """Refuse predictors whose predictions do not compare: one box, and several objects.

    Raises: DataError naming two of them.
    """
    for first, other in zip(predictors, predictors[1:]):
        if other.task.kind != first.task.kind:
            kinds = {"box": "predicts one box", "objects": "finds several objects"}
            words = (f"{each.path} {kinds.get(each.task.kind, each.task.kind)}" for each in (first, other))
            raise DataError(", ".join(words), "compare models of one kind")


def of_one_task(predictors: Sequence[Predictor]) -> None:
    """Refuse models that predict different things.

    Raises: DataError naming two of them.
    """
    first = predictors[0]
    for other in predictors[1:]:
        if other.task is not first.task or other.classes != first.classes:
            words = " and ".join(f"{each.path} ({predicts(each)})" for each in (first, other))
            raise DataError(f"models that do not go together: {words}", "name models of one task and its classes")


def predicts(predictor: Predictor) -> str:
    """What a model predicts, in words."""
    return f"task {predictor.task.name}" + (f", classes {', '.join(predictor.classes)}" if predictor.classes else "")
