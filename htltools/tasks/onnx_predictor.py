"""A localizer in an ONNX file as a predictor."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from htltools.core.runtime.batches import batches
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.runtime import Runtime
from htltools.errors import DataError
from htltools.formats.models.onnx import OnnxModel
from htltools.formats.models.onnx_session import CUDA
from htltools.formats.rows.provenance import file_digest
from htltools.formats.rows.row import Row
from htltools.tasks.registry import task_named
from htltools.tasks.task import Data


class OnnxPredictor:
    """A localizer of an ONNX file, run by onnxruntime.

    Raises: as `OnnxModel`; DataError where the file lacks an output of its task, or the names of its classes.
    """

    threshold_origin = "as train set it on split val"

    def __init__(self, path: Path, runtime: Runtime, threads: int = 0):
        self.path, self.runtime = path, runtime
        self.model = OnnxModel(path, runtime.device_name, threads)
        self.task = task_named(self.model.task, path)
        self.classes, self.threshold, self.frame = self.model.classes, self.model.threshold, self.model.size
        self.flip: list[float] | None = (self.model.training or {}).get("flip")
        self.referral, self.fold = self.model.referral, self.model.fold
        self.weights, self.copy_of = self.model.about.get("htl.weights"), self.model.about.get("htl.copy_of")
        self.device = "cuda" if self.model.provider == CUDA else "cpu"
        self.outputs = self.task.onnx_outputs(self.model.size)
        missing = next((name for name in self.outputs if name not in self.model.output_names), None)
        if missing:
            raise DataError(f"{path} does not predict {missing}, as a model of the task {self.task.name} does", "export it with htl")
        if self.task.kind == "objects" and not self.classes:
            raise DataError(f"{path} does not say which classes it detects (htl.objects)", "export it with htl")

    def __str__(self) -> str:
        return f"{self.path}: an ONNX file of the task {self.task.name}, on {self.device} by onnxruntime"

    @cached_property
    def digest(self) -> str:
        """The digest of its file."""
        return file_digest(self.path)

    def data(self, rows: Sequence[Row]) -> Data:
        """As `Predictor.data`."""
        return self.task.validation_data(rows, self.classes, self.frame, self.path)

    def predict(self, data: Data) -> np.ndarray:
        """As `Predictor.predict`."""
        parts = []
        for chosen in batches(len(data.rows), self.runtime.batch_size):
            batch = data.images.batch(chosen)
            outputs = self.outputs_of(np.ascontiguousarray(batch[..., : self.frame[2]]))
            parts.append(self.task.measured_outputs(outputs, batch, [data.rows[i] for i in chosen]))
        return np.concatenate(parts)

    def predict_images(self, images: ImageSource) -> np.ndarray:
        """As `ModelPredictor.predict_images`."""
        parts = []
        for chosen in batches(images.shape[0], self.runtime.batch_size):
            batch = np.ascontiguousarray(images.batch(chosen)[..., : self.frame[2]])
            parts.append(self.task.onnx_predictions(self.outputs_of(batch), self.threshold))
        return np.concatenate(parts)

    def use_threshold(self, threshold: float) -> None:
        """As `Predictor.use_threshold`."""
        self.threshold = threshold

    def more_metrics(self, data: Data) -> dict[str, float]:
        """None: an ONNX file gives no more than predictions."""
        return {}

    def notes(self) -> list[str]:
        """A model predicts for every row."""
        return []

    def outputs_of(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of the file by name for images uint8 [B, H, W, C]."""
        return self.model.predict(images, self.outputs)
