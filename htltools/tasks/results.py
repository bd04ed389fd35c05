"""Predictions of another tool: a file of COCO results, held by row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from htltools.core.geometry.objects import packed
from htltools.core.nets.localizer import fraction_boxes
from htltools.errors import DataError, UsageError
from htltools.formats.rows.row import Row
from htltools.formats.tables.coco_results import read_categories, read_images, read_objects, read_results, result_of
from htltools.tasks.detect import object_classes, target_objects
from htltools.tasks.registry import TASKS
from htltools.tasks.rows import image_sizes, target_boxes
from htltools.tasks.task import Data

COUNTS = 0.5  # score from which on an object of another tool counts where sets are compared


class NoImages:
    """In the place of images where none are read."""

    shape: tuple[int, ...] = (0, 0, 0, 3)

    def batch(self, chosen: np.ndarray) -> np.ndarray:
        """Nothing."""
        raise NotImplementedError("COCO results need no images")


class ResultsPredictor:
    """The predictions of one file, of which rows without any are counted.

    results: by image key, one box each, or a list of (box, class, score) of several objects.
    """

    def __init__(self, path: Path, task: str, results: dict[str, list], classes: list[str]):
        self.path, self.task, self.results, self.classes = path, TASKS[task], results, classes
        self.threshold = COUNTS if classes else 0.0
        self.asked = self.without = 0

    def data(self, rows: list[Row]) -> Data:
        """As `Predictor.data`, without images."""
        return Data(rows, NoImages(), target_objects(rows, self.classes) if self.classes else target_boxes(rows))

    def predict(self, data: Data) -> np.ndarray:
        """As `Predictor.predict`: a box without area where a row has none, which overlaps with nothing, or objects [N, D, 6]."""
        predictions = self.predictions(data.rows)
        return np.nan_to_num(predictions) if predictions.ndim == 2 else predictions

    def predictions(self, rows: Sequence[Row]) -> np.ndarray:
        """The box of each row, float [N, 4], clipped to the image, NaN where there is none; or its objects [N, D, 6]."""
        results = [result_of(self.results, row.id) for row in rows]
        self.asked += len(rows)
        self.without += results.count(None)
        sizes = image_sizes(rows)
        if not self.classes:
            boxes = np.array([result or [np.nan] * 4 for result in results])
            return np.clip(fraction_boxes(boxes, sizes), 0, 1)
        number = {name: place for place, name in enumerate(self.classes)}
        objects = []
        for result, size in zip(results, sizes):
            own = [[*np.clip(box / np.tile(size, 2), 0, 1), number[name], score] for box, name, score in result or () if name in number]
            objects.append(np.array(sorted(own, key=lambda each: -each[5])).reshape(-1, 6))
        return packed(objects, 6)

    def more_metrics(self, data: Data) -> dict[str, float]:
        """None."""
        return {}

    def notes(self) -> list[str]:
        """A sentence on rows that had no prediction, if there are such.

        Raises: DataError where none had one: the names do not fit.
        """
        if self.without == self.asked:
            remedy = "image_id should be the id of a row; where it numbers the images of a data set, name that with --coco"
            raise DataError(f"{self.path} has a prediction for none of the {self.asked} rows", remedy)
        return [f"{self.path}: no prediction for {self.without} of {self.asked} rows"] if self.without else []


def hold_several(rows: Sequence[Row]) -> bool:
    """Whether rows hold several objects: a row has more than one box, or boxes have classes of their own."""
    return any(row.labels is not None or len(row.boxes or ()) > 1 for row in rows)


def results_predictor(path: Path, rows: Sequence[Row], coco: Path | None) -> ResultsPredictor:
    """The predictions of a file: of one box an image, or of several objects where the rows hold several.

    `coco`: the data set that numbers images and categories; without it the name of an image is its image_id, and there is one class.

    Raises: UsageError where there are several classes and no data set names them; DataError where no row holds an object.
    """
    images = read_images(coco) if coco else None
    if not hold_several(rows):
        return ResultsPredictor(path, "box", read_results(path, images), [])
    classes = object_classes(rows)
    if coco is None and len(classes) > 1:
        cause = f"the rows have objects of {len(classes)} classes, and nothing says which category_id is which"
        raise UsageError(cause, "name the data set that was predicted on with --coco")
    categories = read_categories(coco) if coco else None
    classes = sorted(set(categories.values()) | {*classes}) if categories else classes
    if not classes:
        raise DataError("no row holds an object")
    return ResultsPredictor(path, "detect", read_objects(path, images, categories, classes[0]), classes)
