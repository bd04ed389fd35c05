"""The task `detect`: several objects of several classes an image."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from htltools.core.geometry.matching import object_difference, set_overlap, set_shift
from htltools.core.geometry.mirroring import Mirror, mirrored_boxes
from htltools.core.geometry.objects import above, first_known, is_known, packed, present, stacked
from htltools.core.hardness.baselines import smallness
from htltools.core.hardness.scores import Comparison
from htltools.core.nets.detection.names import DETECTORS
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.runtime import Runtime
from htltools.core.statistics.average_precision import detection_matches
from htltools.core.statistics.sample_metrics import DetectionMetrics, SampleMetrics
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import OBJECT
from htltools.formats.rows.vocabulary import ONNX
from htltools.formats.store.shard import Placement
from htltools.tasks.rows import annotated_rows, matching_images, no_annotation
from htltools.tasks.task import Data, Extras, Model, Selection, Shape

if TYPE_CHECKING:
    from htltools.core.training.loop import Objective
    from htltools.core.training.schedule import Recipe


class Detect:
    """Sets of objects, see `core.geometry.objects`: predicted float32 [N, D, 6], annotated [N, M, 5]."""

    name = "detect"
    kind = "objects"
    target_fields: tuple[str, ...] = ("boxes", "labels")
    supports = frozenset({"mirror_disagreement"})
    field = "detected"
    has_threshold = True
    comparison = Comparison(set_overlap, set_shift, lambda objects: smallness(objects[..., :4]))

    def default_rate(self, arch: str, from_scratch: bool) -> float:
        """As `Task.default_rate`: torchvision's detectors diverge at the rate of the compact nets."""
        return 3e-3 if from_scratch and DETECTORS[arch] is None else 5e-4

    def is_annotated(self, row: Row) -> bool:
        """Whether a row says what it holds, be it nothing."""
        return row.is_known

    def training_rows(self, rows: Sequence[Row], *, semi: bool = False) -> Selection:
        """As `Task.training_rows`: rows that say what they hold, be it nothing."""
        selection = annotated_rows(rows, "train", self.is_annotated)
        if not selection.rows:
            raise no_annotation("train")
        return selection

    def validation_rows(self, rows: Sequence[Row], split: str = "val") -> Selection:
        """As `Task.validation_rows`."""
        return annotated_rows(rows, split, self.is_annotated)

    def net_options(self, rows: Sequence[Row]) -> dict[str, Any]:
        """The classes of the objects, and how many objects the net can find on an image.

        Raises: DataError where no row has an object.
        """
        from htltools.core.nets.detection.detector import room_for

        classes = object_classes(rows)
        if not classes:
            raise DataError("no row of split train has a box", "there is nothing to find")
        return {"classes": classes, "most": room_for(max(len(row.boxes or ()) for row in rows))}

    def training_data(self, rows: Sequence[Row], classes: Sequence[str], frame: Sequence[int], path: Path) -> Data:
        """As `Task.training_data`: objects float [N, M, 5]."""
        return self.validation_data(rows, classes, frame, path)

    def validation_data(self, rows: Sequence[Row], classes: Sequence[str], frame: Sequence[int], path: Path) -> Data:
        """As `Task.validation_data`: objects float [N, M, 5]."""
        return Data(rows, matching_images(rows, frame, path), target_objects(rows, classes))

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
        """The loss of torchvision's detectors."""
        from htltools.core.training.objectives.detection import DetectionObjective

        held_out = (validation.images, validation.targets) if validation else None
        return DetectionObjective(model, training.images, training.targets, weights, held_out, recipe, runtime, compiled=extras.compiled)

    def calibrate(self, model: Model, validation: Data, runtime: Runtime) -> None:
        """Set the score from which on an object counts, on validation objects."""
        from htltools.core.training.objectives.detection import calibrate_score_threshold

        calibrate_score_threshold(model, validation.images, validation.targets, runtime)

    def constant_baseline(self, training: Data, validation: Data) -> tuple[str, float] | None:
        """The set of median boxes of the usual number of objects."""
        from htltools.core.training.objectives.detection import constant_set_overlap

        return "set of objects", constant_set_overlap(training.targets, validation.targets)

    def annotation(self, rows: Sequence[Row], classes: Sequence[str], place: Placement | None = None) -> np.ndarray:
        """Objects float [N, M, 5]."""
        return target_objects(rows, classes)

    def predictions(self, models: Sequence[Model], images: ImageSource, runtime: Runtime) -> np.ndarray:
        """Objects float32 [M, N, D, 6] that score enough to count, by the threshold of each model."""
        from htltools.core.runtime.predict import predict_all

        return stacked([model.counted(predict_all([model], images, runtime)[0]) for model in models])

    def mirrored(self, predictions: np.ndarray, mirror: Mirror) -> np.ndarray:
        """As `Task.mirrored`; empty places stay empty."""
        return mirrored_boxes(predictions, mirror)

    def losses(
        self, models: Sequence[Model], images: ImageSource, predictions: np.ndarray, annotation: np.ndarray, runtime: Runtime
    ) -> np.ndarray:
        """The training loss of each image, which follows from the net and not from the predictions alone."""
        from htltools.core.training.objectives.detection import object_losses

        return np.array([object_losses(model, images, annotation, runtime) for model in models])

    def measured_predictions(self, model: Model, data: Data, runtime: Runtime) -> np.ndarray:
        """Objects float32 [N, D, 6], of any score."""
        from htltools.core.runtime.predict import predict_all

        return predict_all([model.validator], data.images, runtime)[0]

    def measured_outputs(self, outputs: Mapping[str, np.ndarray], batch: np.ndarray, rows: Sequence[Row]) -> np.ndarray:
        """Objects float32 [B, D, 6], of any score."""
        return output_objects(outputs)

    def onnx_predictions(self, outputs: Mapping[str, np.ndarray], threshold: float) -> np.ndarray:
        """Objects float32 [N, D, 6] that score enough to count."""
        return self.counted(output_objects(outputs), threshold)

    def counted(self, predictions: np.ndarray, threshold: float) -> np.ndarray:
        """As `Task.counted`; the places of the others are empty."""
        return above(predictions, threshold)

    def per_sample(self, predictions: np.ndarray, targets: np.ndarray, classes: Sequence[str], threshold: float) -> SampleMetrics:
        """Overlap of the sets, and the matches that average precision needs."""
        return DetectionMetrics(
            set_overlap(self.counted(predictions, threshold), targets), detection_matches(predictions, targets, classes), threshold
        )

    def more_metrics(self, model: Model, data: Data, runtime: Runtime) -> dict[str, float]:
        """None."""
        return {}

    def field_values(self, predictions: np.ndarray, sizes: np.ndarray, classes: Sequence[str]) -> list[Any]:
        """The objects of the first of K models that may predict the image."""
        objects = first_known(predictions)
        return [detected_field(own, size, classes) if known else None for own, size, known in zip(objects, sizes, is_known(objects))]

    def onnx_outputs(self, frame: Sequence[int]) -> dict[str, Shape]:
        """Boxes, scores and labels of D objects."""
        return {"boxes": (None, 4), "scores": (None,), "labels": (None,)}

    def onnx_metadata(self, model: Model) -> dict[str, Any]:
        """What the outputs hold, the names of the classes, and the score from which on an object counts."""
        objects = {"classes": model.classes, "threshold": round(float(model.threshold), 6)}
        return {"htl.output": ONNX["htl.output"], "htl.objects": objects}

    def largest_differences(self, ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Of any edge or score; an object is compared with the most similar one of its class."""
        return {"boxes": object_difference(output_objects(ours), output_objects(theirs))}


def output_objects(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The outputs of an ONNX file as objects float32 [B, D, 6]."""
    return np.concatenate([outputs["boxes"], outputs["labels"][..., None].astype(np.float32), outputs["scores"][..., None]], 2)


def object_labels(row: Row) -> list[str]:
    """The class of each box of a row.

    Raises: DataError where there are more or fewer labels than boxes.
    """
    boxes, labels = row.boxes or [], row.labels
    if labels is not None and len(labels) != len(boxes):
        raise DataError(f"the row {row.id!r} has {len(boxes)} boxes and {len(labels)} labels", "labels says the class of each box")
    return labels if labels is not None else [OBJECT] * len(boxes)


def object_classes(rows: Iterable[Row]) -> list[str]:
    """The classes of all boxes of the rows, each once, in order."""
    return sorted({label for row in rows for label in object_labels(row)})


def target_objects(rows: Sequence[Row], classes: Sequence[str]) -> np.ndarray:
    """The annotated objects of each row: float [N, M, 5]; NaN where a row has no key `boxes`.

    Raises: DataError where a row has an object of none of the classes.
    """
    number = {name: place for place, name in enumerate(classes)}

    def objects(row: Row) -> np.ndarray | None:
        if row.boxes is None:
            return None
        labels = object_labels(row)
        unknown = next((label for label in labels if label not in number), None)
        if unknown is not None:
            raise DataError(f"the row {row.id!r} has an object of class {unknown!r}, and the model knows {', '.join(classes)}")
        size = (row.size or [1, 1]) * 2
        own = np.array([[*np.clip(np.divide(box, size), 0, 1), number[label]] for box, label in zip(row.boxes, labels)])
        return own.reshape(-1, 5)

    return packed(map(objects, rows), 5)


def detected_field(objects: np.ndarray, size: Sequence[float], classes: Sequence[str]) -> dict[str, list]:
    """The field `detected` of a role, from the objects predicted on one image [D, 6] of size (width, height)."""
    there = objects[present(objects)]
    pixels = there[:, :4].astype(float) * np.tile(size, 2)
    return {
        "boxes": [[round(edge, 2) for edge in box] for box in pixels.tolist()],
        "labels": [classes[int(number)] for number in there[:, 4]],
        "scores": [round(float(score), 4) for score in there[:, 5]],
    }
