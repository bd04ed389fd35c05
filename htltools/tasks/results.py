"""Predictions of another tool: a file of COCO results, held by row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from htltools.core.geometry.boxes import fraction_boxes
from htltools.core.geometry.objects import packed
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import OBJECT
from htltools.formats.sources.names import ImageNames
from htltools.formats.tables.coco_results import NUMBERED, DataSet, Result, read_data_set, read_results
from htltools.tasks.detect import object_classes, target_objects
from htltools.tasks.registry import TASKS
from htltools.tasks.rows import image_sizes, target_boxes
from htltools.tasks.task import Data

COUNTS = 0.5  # score from which on an object of another tool counts where sets are compared
MOST = 100  # objects of an image and class that are used, those of highest score: maxDets of COCO


class NoImages:
    """In the place of images where none are read."""

    shape: tuple[int, ...] = (0, 0, 0, 3)

    def batch(self, chosen: np.ndarray) -> np.ndarray:
        """Nothing."""
        raise NotImplementedError("COCO results need no images")


class ResultsPredictor:
    """The predictions of one file, of which rows without any are counted.

    results: by the id of a row. classes: of several objects, empty for one box an image. kind: a sentence on which of both it is.
    """

    threshold_origin = "which nothing tells of other tools: set it with --threshold"

    def __init__(self, path: Path, results: dict[str, list[Result]], classes: list[str], names: dict[str | None, str], kind: str):
        self.path, self.task, self.results, self.classes = path, TASKS["detect" if classes else "box"], results, classes
        self.names, self.kind = names, kind  # classes by category, for several objects
        self.threshold = COUNTS if classes else 0.0
        self.asked = self.without = 0

    def data(self, rows: Sequence[Row]) -> Data:
        """As `Predictor.data`, without images."""
        return Data(rows, NoImages(), target_objects(rows, self.classes) if self.classes else target_boxes(rows))

    def predict(self, data: Data) -> np.ndarray:
        """As `Predictor.predict`: a box without area where a row has none, which overlaps with nothing, or objects [N, D, 6]."""
        predictions = self.predictions(data.rows)
        return np.nan_to_num(predictions) if predictions.ndim == 2 else predictions

    def predictions(self, rows: Sequence[Row]) -> np.ndarray:
        """The box of highest score of each row, the first of equal ones, float [N, 4], clipped to the image, NaN where there is none.

        Or its objects [N, D, 6], of each class the 100 of highest score.
        """
        results = [self.results.get(row.id, []) for row in rows]
        self.asked += len(rows)
        self.without += results.count([])
        sizes = image_sizes(rows)
        if not self.classes:
            boxes = np.array([max(own, key=lambda each: each.score).box if own else [np.nan] * 4 for own in results])
            return np.clip(fraction_boxes(boxes, sizes), 0, 1)
        return packed([self.objects(own, size) for own, size in zip(results, sizes)], 6)

    def objects(self, results: list[Result], size: np.ndarray) -> np.ndarray:
        """The objects of one image of that size as an array [D, 6]."""
        number = {name: place for place, name in enumerate(self.classes)}
        counts = dict.fromkeys(range(len(number)), 0)
        objects = []
        for result in sorted(results, key=lambda each: -each.score):
            place = number[self.names[result.category]]
            counts[place] += 1
            if counts[place] <= MOST:
                objects.append([*np.clip(np.divide(result.box, np.tile(size, 2)), 0, 1), place, result.score])
        return np.array(objects).reshape(-1, 6)

    def use_threshold(self, threshold: float) -> None:
        """As `Predictor.use_threshold`."""
        self.threshold = threshold

    def more_metrics(self, data: Data) -> dict[str, float]:
        """None."""
        return {}

    def notes(self) -> list[str]:
        """A sentence on the kind of predictions, and one on rows that had none, if there are such.

        Raises: DataError where none had one: the names do not fit.
        """
        if self.without == self.asked:
            remedy = "image_id should be the id of a row; where it numbers the images of a data set, name that with --coco"
            raise DataError(f"{self.path} has a prediction for none of the {self.asked} rows", remedy)
        without = [f"{self.path}: no prediction for {self.without} of {self.asked} rows"] if self.without else []
        return [f"{self.path}: {self.kind}", *without]


def results_predictor(path: Path, rows: Sequence[Row], coco: Path | None, objects: bool | None = None) -> ResultsPredictor:
    """The predictions of a file for rows, all of which must be known: a name may fit several.

    `coco`: the data set that numbers images and categories; without it the name of an image is its image_id, and there is one class.
    `objects`: whether they are several objects an image, or one box; None: see `hold_objects`.

    Raises: DataError where a name fits several rows, where a row has several boxes and one is predicted, and where classes do not fit.
    """
    data_set = read_data_set(coco) if coco else None
    results = by_row(path, read_results(path, data_set), rows)
    objects, kind = (objects, "as asked") if objects is not None else hold_objects(rows, data_set)
    if not objects:
        several = next((row for row in rows if len(row.boxes or ()) > 1), None)
        if several is not None:
            cause = f"{several.id!r} has {len(several.boxes or ())} boxes, and the predictions are read as one box an image"
            raise DataError(cause, "name --objects where they are several objects")
        return ResultsPredictor(path, results, [], {}, f"read as one box an image: {kind}")
    classes, names = class_of_categories(path, results, rows, data_set)
    return ResultsPredictor(path, results, classes, names, f"read as several objects an image: {kind}")


def hold_objects(rows: Sequence[Row], data_set: DataSet | None) -> tuple[bool, str]:
    """Whether predictions for rows are several objects an image, and why: boxes have classes of their own, in rows or the data set.

    How many boxes a row has does not decide: a single row would change what is measured of all others.
    """
    if any(row.labels is not None for row in rows):
        return True, "rows have the field labels"
    if data_set and len(data_set.categories) > 1 and not any(row.boxes for row in rows):
        return True, f"{data_set.path} has {len(data_set.categories)} categories"
    return False, "no row has the field labels"


def by_row(path: Path, results: Sequence[Result], rows: Sequence[Row]) -> dict[str, list[Result]]:
    """The results by the id of the row that their name means.

    Raises: DataError where a name fits several rows.
    """
    ids = list(dict.fromkeys(row.id for row in rows))
    matches = ImageNames([f"/{name}.png" for name in ids], ids).match(dict.fromkeys(result.image for result in results))
    for name, fitting in matches.ambiguous.items():
        cause = f"{path}: the name {name!r} fits {len(fitting)} rows, such as {ids[fitting[0]]!r} and {ids[fitting[1]]!r}"
        raise DataError(cause, "name images by longer paths")
    rows_of = {name: ids[i] for i, names in matches.names.items() for name in names}
    held: dict[str, list[Result]] = {}
    for result in results:
        if result.image in rows_of:
            held.setdefault(rows_of[result.image], []).append(result)
    return held


def class_of_categories(
    path: Path, results: dict[str, list[Result]], rows: Sequence[Row], data_set: DataSet | None
) -> tuple[list[str], dict[str | None, str]]:
    """The classes, and the class of each category. A single category is the single class of the rows, whatever it is called.

    Raises: DataError where classes and categories do not fit, or no row holds an object.
    """
    classes, used = object_classes(rows), {result.category for own in results.values() for result in own}
    if not classes:
        raise DataError("no row holds an object")
    known = data_set.categories if data_set else {}
    if data_set and (unknown := used - known.keys()):
        words = ", ".join(f"{number} {name}" for number, name in known.items())
        raise DataError(f"{path}: the category {min(map(str, unknown))} is none of {words}", NUMBERED)
    if len(classes) == 1 and (len(known) <= 1 or (classes == [OBJECT] and len(used) <= 1)):
        return classes, dict.fromkeys(used, classes[0])
    if not data_set:
        cause = f"the rows have objects of {len(classes)} classes, and nothing says which category_id is which"
        raise DataError(cause, NUMBERED)
    if not any(row.labels is not None for row in rows):
        raise DataError(
            f"{path} has predictions of {len(used)} categories, and the rows have no field labels",
            "name --one-box, or prepare rows with classes",
        )
    return sorted({*known.values(), *classes}), {number: name for number, name in known.items()}
