"""Average precision of several objects an image, as COCO defines it: pycocotools matches once, resampled images reuse the matches."""

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from htltools.core.geometry.boxes import DIGITS
from htltools.core.geometry.objects import is_known, present

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of IoU
RECALLS = np.linspace(0, 1, 101)
MOST = 100  # objects of a class that count on an image, those of the highest scores, as COCO has it
AT_ONCE = 4_000_000  # numbers in memory
PRECISIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # of average precision by threshold [R, T]
    "ap": lambda values: values.mean(1),
    "ap50": lambda values: values[:, 0],
    "ap75": lambda values: values[:, 5],
}


@dataclass(frozen=True)
class ClassMatches:
    """Matches of one class. image, int [D]: the image of each of D predicted objects, the highest score first; right, bool [T, D]:
    whether it matches an annotated one, at each of T thresholds of IoU; objects, int [N]: annotated objects of each image; scores, [D].

    Objects are matched in the order of their scores, so that those above any score are matched as they would be alone.
    """

    image: np.ndarray
    right: np.ndarray
    objects: np.ndarray
    scores: np.ndarray

    def at(self, places: np.ndarray) -> "ClassMatches":
        """The matches on some of the images: int [n], each at most once."""
        number = np.full(len(self.objects), -1)
        number[places] = np.arange(len(places))
        inside = number[self.image] >= 0
        return ClassMatches(number[self.image[inside]], self.right[:, inside], self.objects[places], self.scores[inside])


@dataclass(frozen=True)
class DetectionMatches:
    """Matches of predicted and annotated objects on N images, by class; names: of the classes."""

    names: tuple[str, ...]
    classes: tuple[ClassMatches, ...]

    def at(self, places: np.ndarray) -> "DetectionMatches":
        """The matches on some of the images: int [n], each at most once."""
        return DetectionMatches(self.names, tuple(matches.at(places) for matches in self.classes))

    @property
    def pooled(self) -> ClassMatches:
        """The matches of all classes together, each object matched within its class."""
        scores = np.concatenate([each.scores for each in self.classes])
        order = np.argsort(-scores, kind="stable")
        image = np.concatenate([each.image for each in self.classes])[order]
        right = np.concatenate([each.right for each in self.classes], 1)[:, order]
        return ClassMatches(image, right, np.sum([each.objects for each in self.classes], 0), scores[order])

    def values(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """`ap` (mean over IoU .5 to .95), `ap50` and `ap75`, [R] each, where image n is taken times[r, n] times.

        The mean over the classes that a draw holds; NaN where it holds no object at all. Of several classes also `CLASS/class_ap` ..,
        those of each.
        """
        by_class = np.array([average_precision(matches, times) for matches in self.classes])  # [classes, R, T]
        known = ~np.isnan(by_class)
        count = known.sum(0)
        mean = np.divide(np.where(known, by_class, 0).sum(0), count, out=np.full(count.shape, np.nan), where=count > 0)  # [R, T]
        values = {name: of(mean) for name, of in PRECISIONS.items()}
        for name, own in zip(self.names, by_class) if len(self.names) > 1 else ():
            values |= {f"{name}/class_{metric}": of(own) for metric, of in PRECISIONS.items()}
        return values


def average_precision(matches: ClassMatches, times: np.ndarray) -> np.ndarray:
    """Area under the precision envelope at 101 recalls, for each of R draws and T thresholds: [R, T], in [0, 1]; NaN without an object.

    Reference: COCO detection evaluation, as pycocotools' `accumulate`; with every image taken once the numbers are the same.
    """
    thresholds, predicted = matches.right.shape
    out = np.full((len(times), thresholds), np.nan)
    objects = times @ matches.objects
    step = max(AT_ONCE // max(thresholds * predicted, 1), 1)
    for start in range(0, len(times), step):
        chunk = slice(start, start + step)
        taken = times[chunk][:, matches.image]  # [r, D]
        right = (taken[:, None] * matches.right).cumsum(2)  # [r, T, D]
        counted = taken.cumsum(1)[:, None]
        precision = np.divide(right, counted, out=np.zeros(right.shape), where=counted > 0)
        envelope = np.maximum.accumulate(precision[:, :, ::-1], 2)[:, :, ::-1]
        for r in np.flatnonzero(objects[chunk]):
            recall = right[r] / objects[start + r]  # [T, D]
            for t in range(thresholds):
                places = np.searchsorted(recall[t], RECALLS, side="left")
                out[start + r, t] = envelope[r, t, places[places < predicted]].sum() / len(RECALLS)
    return out


def detection_matches(predicted: np.ndarray, annotated: np.ndarray, classes: Sequence[str]) -> DetectionMatches:
    """The matches of predicted objects [N, D, 6] and annotated ones [N, M, 5], see `geometry.objects`; all images are annotated.

    Raises: ValueError where objects of an image are unknown.
    """
    if not is_known(predicted).all() or not is_known(annotated).all():
        raise ValueError("average precision needs an annotation and a prediction for every image")
    evaluation = coco_evaluation(predicted, annotated, len(classes))
    by_class, count = [], len(annotated)
    for number in range(len(classes)):
        images = [each for each in evaluation.evalImgs[number * count : (number + 1) * count] if each]
        image = np.concatenate([np.zeros(0, int), *(np.full(len(each["dtScores"]), each["image_id"]) for each in images)])
        scores = np.concatenate([np.zeros(0), *(each["dtScores"] for each in images)])
        right = np.concatenate([np.zeros((len(THRESHOLDS), 0), bool), *(each["dtMatches"] > 0 for each in images)], 1)
        order = np.argsort(-scores, kind="stable")
        objects = (present(annotated) & (annotated[..., 4] == number)).sum(1)
        by_class.append(ClassMatches(image[order], right[:, order], objects, scores[order]))
    return DetectionMatches(tuple(classes), tuple(by_class))


def coco_evaluation(predicted: np.ndarray, annotated: np.ndarray, classes: int) -> Any:
    """A pycocotools `COCOeval` of objects of any size, evaluated image by image."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    class RoundedEval(COCOeval):
        """COCOeval whose IoU meets a threshold also where the edges are shares of the sides, see `geometry.boxes.iou`."""

        def computeIoU(self, imgId, catId):
            return np.round(super().computeIoU(imgId, catId), DIGITS)

    with contextlib.redirect_stdout(io.StringIO()):
        truth, predictions = COCO(), COCO()
        for data, objects in ((truth, annotated), (predictions, predicted)):
            data.dataset = {
                "images": [{"id": i} for i in range(len(objects))],
                "categories": [{"id": i} for i in range(classes)],
                "annotations": list(coco_annotations(objects)),
            }
            data.createIndex()
        evaluation = RoundedEval(truth, predictions, "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [MOST]
        evaluation.evaluate()
    return evaluation


def coco_annotations(objects: np.ndarray) -> Iterator[dict[str, Any]]:
    """The objects [N, M, 5 or 6] as annotations of COCO; ids begin at 1, because pycocotools takes 0 for no match."""
    for number, (image, place) in enumerate(zip(*np.nonzero(present(objects))), 1):
        x0, y0, x1, y1, category, *score = objects[image, place].astype(float).tolist()
        box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0, "ignore": 0}
        known = {"score": score[0]} if score else {}
        yield {"id": number, "image_id": int(image), "category_id": int(category), **box} | known
