"""Answers of other tools in place of models: COCO results by row, for `score` and `evaluate`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from htltools import console
from htltools.commands.shared import inputs
from htltools.core.geometry.objects import packed
from htltools.core.nets.localizer import fraction_boxes
from htltools.errors import DataError, MissingInput, UsageError
from htltools.formats.tables.coco_results import is_json, read_categories, read_images, read_objects, read_results, result_of

COUNTS = 0.5  # score from which on an object of another tool counts where sets are compared


def are_predictions(paths: list[Path]) -> bool:
    """Whether these files hold predictions rather than models.

    Raises: UsageError where some do and some do not; MissingInput.
    """
    missing = next((path for path in paths if not path.exists()), None)
    if missing:
        raise MissingInput(f"{missing} is not there")
    told = [is_json(path) for path in paths]
    if any(told) and not all(told):
        cause = f"{paths[told.index(True)]} holds predictions, {paths[told.index(False)]} does not"
        raise UsageError(cause, "score predictions with predictions, and models with models")
    return all(told)


class Predictions:
    """The answers of one file, of which the rows without any are counted."""

    def __init__(self, path: Path, results: dict[str, list]):
        self.path, self.results = path, results
        self.asked = self.without = 0

    def boxes(self, rows: list[dict]) -> np.ndarray:
        """The box of each row as shares of its image's sides, clipped to it: float32 [N, 4]; NaN where there is none."""
        found = [told or [np.nan] * 4 for told in self.told(rows)]
        return np.clip(fraction_boxes(np.array(found), inputs.image_sizes(rows)), 0, 1)

    def told(self, rows: list[dict]) -> list[list | None]:
        """What there is of each row."""
        found = [result_of(self.results, row["id"]) for row in rows]
        self.asked += len(rows)
        self.without += found.count(None)
        return found

    def tell(self) -> None:
        """Say how many rows had no prediction.

        Raises: DataError where none had one: the names do not fit.
        """
        if self.without == self.asked:
            remedy = "image_id should be the id of a row; where it numbers the images of a data set, name that with --coco"
            raise DataError(f"{self.path} has a prediction for none of the {self.asked} rows", remedy)
        if self.without:
            console.say(f"{self.path}: no prediction for {self.without} of {self.asked} rows")


def opened(paths: list[Path], coco: Path | None) -> list[Predictions]:
    """The predictions of these files, whose images are numbered as in the data set `coco`, if there is one."""
    images = read_images(coco) if coco else None
    return [Predictions(path, read_results(path, images)) for path in paths]


def boxes_of_results(path: Path, rows: list[dict], coco: Path | None) -> np.ndarray:
    """The box of each row in one file: float32 [N, 4], shares of the sides; without area, and counted aloud, where it has none."""
    (predictions,) = opened([path], coco)
    boxes = predictions.boxes(rows)
    predictions.tell()
    return np.nan_to_num(boxes)


def hold_several(rows: Sequence[dict]) -> bool:
    """Whether rows hold several objects: a row has more than one box, or boxes have classes of their own."""
    return any(row.get("labels") is not None or len(row.get("boxes") or ()) > 1 for row in rows)


class ObjectPredictions(Predictions):
    """The objects of one file. An image that it does not speak of holds none, as far as it says.

    `categories`: names by category_id; None: whatever the number, it is the one class there is.
    """

    def __init__(self, path: Path, images: dict[str, str] | None, categories: dict[str, str] | None, classes: Sequence[str]):
        super().__init__(path, read_objects(path, images, categories, classes[0]))
        self.classes = list(classes)

    def objects(self, rows: list[dict]) -> np.ndarray:
        """The objects of each row, see `core.objects`: float32 [N, D, 6]."""
        number = {name: place for place, name in enumerate(self.classes)}
        objects = []
        for told, size in zip(self.told(rows), inputs.image_sizes(rows)):
            own = [[*np.clip(box / np.tile(size, 2), 0, 1), number[name], score] for box, name, score in told or () if name in number]
            objects.append(np.array(sorted(own, key=lambda each: -each[5])).reshape(-1, 6))
        return packed(objects, 6)


def opened_objects(paths: Sequence[Path], coco: Path | None, classes: Sequence[str]) -> list[ObjectPredictions]:
    """The objects of these files. The data set `coco` numbers images and categories; without it there can be but one class.

    Raises: UsageError where there are more; DataError where there is none.
    """
    if coco is None and len(classes) > 1:
        cause = f"the rows have objects of {len(classes)} classes, and nothing says which category_id is which"
        raise UsageError(cause, "name the data set that was predicted on with --coco")
    categories = read_categories(coco) if coco else None
    classes = sorted(set(categories.values()) | {*classes}) if categories else classes
    if not classes:
        raise DataError("no row holds an object")
    return [ObjectPredictions(path, read_images(coco) if coco else None, categories, classes) for path in paths]
