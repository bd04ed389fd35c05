"""Predictors: what predicts for rows, be it a checkpoint, an ONNX file, or COCO results of another tool."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from htltools.core.nets.state_arrays import from_weights
from htltools.core.runtime.predict import batches, predict_all
from htltools.core.runtime.prefetch import ImageSource
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.augmentation import Augmentation
from htltools.errors import DataError, MissingInput
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.models.onnx import is_onnx
from htltools.formats.rows.provenance import file_digest
from htltools.formats.rows.row import Row
from htltools.formats.tables.coco_results import is_json
from htltools.tasks.registry import task_named
from htltools.tasks.results import results_predictor
from htltools.tasks.task import Data, Model, Task


class Predictor(Protocol):
    """Predicts for rows.

    path: the file. task: what is predicted. classes: names of the classes that predictions number, empty where there are none.
    threshold: score from which on an object counts, 0 where there is none.
    """

    path: Path
    task: Task
    classes: list[str]
    threshold: float

    def data(self, rows: list[Row]) -> Data:
        """The rows with images and targets, as `predict` takes them. Raises: DataError where they do not fit the model."""
        ...

    def predict(self, data: Data) -> np.ndarray:
        """What the model's validator predicts, [N, ...], see `Task.per_sample`."""
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
    known. referral: its threshold of doubt, see `schema.Referral`; None where it has none. digest: of its weights, or of its file.
    """

    frame: list[int]
    flip: list[float] | None
    referral: dict[str, Any] | None

    @property
    def digest(self) -> str: ...

    def predict_images(self, images: ImageSource) -> np.ndarray:
        """What the model predicts for images, [N, ...], as `Task.predictions` gives it."""
        ...

    def use_threshold(self, threshold: float) -> None:
        """Let objects count from another score on."""
        ...


class CheckpointPredictor:
    """A localizer of a checkpoint, on its device and in evaluation mode.

    Raises: MissingInput; DataError where the file is no checkpoint, is damaged, or its net is code whose name is not trusted.
    """

    def __init__(self, path: Path, runtime: Runtime):
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
        self.referral = self.checkpoint.referral

    def __str__(self) -> str:
        metrics = " ".join(f"{name} {value}" for name, value in self.checkpoint.metrics.items())
        return f"{self.path}: {self.checkpoint.architecture['name']}, {metrics}"

    @property
    def digest(self) -> str:
        """The digest of its weights."""
        return self.checkpoint.digest

    def data(self, rows: list[Row]) -> Data:
        """As `Predictor.data`."""
        return self.task.validation_data(rows, self.classes, self.frame, self.path)

    def predict(self, data: Data) -> np.ndarray:
        """As `Predictor.predict`."""
        return predict_all([self.localizer.validator], data.images, self.runtime)[0]

    def predict_images(self, images: ImageSource) -> np.ndarray:
        """As `ModelPredictor.predict_images`."""
        return self.task.predictions([self.localizer], images, self.runtime)[0]

    def use_threshold(self, threshold: float) -> None:
        """As `ModelPredictor.use_threshold`."""
        self.threshold = threshold
        self.localizer.threshold.fill_(threshold)

    def more_metrics(self, data: Data) -> dict[str, float]:
        """As `Predictor.more_metrics`."""
        return self.task.more_metrics(self.localizer, data, self.runtime)

    def notes(self) -> list[str]:
        """A model predicts for every row."""
        return []


class OnnxPredictor:
    """A localizer of an ONNX file, run by onnxruntime.

    Raises: as `OnnxModel`; DataError where the file lacks an output of its task, or the names of its classes.
    """

    def __init__(self, path: Path, runtime: Runtime, threads: int = 0):
        from htltools.formats.models.onnx import OnnxModel

        self.path, self.runtime = path, runtime
        self.model = OnnxModel(path, runtime.device_name, threads)
        self.task = task_named(self.model.task, path)
        self.classes, self.threshold, self.frame = self.model.classes, self.model.threshold, self.model.size
        self.flip: list[float] | None = (self.model.training or {}).get("flip")
        self.referral = self.model.referral
        self.outputs = self.task.onnx_outputs(self.model.size)
        missing = next((name for name in self.outputs if name not in self.model.output_names), None)
        if missing:
            raise DataError(f"{path} does not predict {missing}, as a model of the task {self.task.name} does", "export it with htl")
        if self.task.kind == "objects" and not self.classes:
            raise DataError(f"{path} does not say which classes it detects (htl.objects)", "export it with htl")

    @cached_property
    def digest(self) -> str:
        """The digest of its file."""
        return file_digest(self.path)

    def data(self, rows: list[Row]) -> Data:
        """As `Predictor.data`."""
        return self.task.validation_data(rows, self.classes, self.frame, self.path)

    def predict(self, data: Data) -> np.ndarray:
        """As `Predictor.predict`."""
        return np.concatenate([self.of_batch(data.images.batch(chosen)) for chosen in batches(len(data.rows), self.runtime.batch_size)])

    def predict_images(self, images: ImageSource) -> np.ndarray:
        """As `ModelPredictor.predict_images`."""
        parts = []
        for chosen in batches(images.shape[0], self.runtime.batch_size):
            batch = np.ascontiguousarray(images.batch(chosen)[..., : self.frame[2]])
            parts.append(self.task.onnx_predictions(self.outputs_of(batch), self.threshold))
        return np.concatenate(parts)

    def use_threshold(self, threshold: float) -> None:
        """As `ModelPredictor.use_threshold`."""
        self.threshold = threshold

    def more_metrics(self, data: Data) -> dict[str, float]:
        """None: an ONNX file gives no more than predictions."""
        return {}

    def notes(self) -> list[str]:
        """A model predicts for every row."""
        return []

    def of_batch(self, batch: np.ndarray) -> np.ndarray:
        """The predictions of a batch of `data`, uint8 [B, H, W, C or more]."""
        images = np.ascontiguousarray(batch[..., : self.frame[2]])
        return self.task.validator_predictions(self.outputs_of(images), batch)

    def outputs_of(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of the file by name for images uint8 [B, H, W, C]."""
        return self.model.predict(images, self.outputs)


def predictor(path: Path, rows: Sequence[Row], runtime: Runtime, coco: Path | None = None, objects: bool | None = None) -> Predictor:
    """What predicts at a path. `coco` numbers the images of COCO results; `objects`: see `results_predictor`.

    Raises: MissingInput; DataError; UsageError.
    """
    if not path.exists():
        raise MissingInput(f"{path} is not there")
    if is_json(path):
        return results_predictor(path, rows, coco, objects)
    return model_predictor(path, runtime)


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
