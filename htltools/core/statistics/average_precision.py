"""Average precision of several objects an image, as COCO has it: the matches are pycocotools', drawn again and again here."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from htltools.core.geometry.objects import is_known, present

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of IoU
RECALLS = np.linspace(0, 1, 101)
AT_ONCE = 4_000_000  # numbers in memory


@dataclass(frozen=True)
class ClassMatches:
    """One class: for each of D finds, the highest score first, its image, int [D], and whether it is right at each of T
    thresholds, bool [T, D]; and how many annotated objects each of N images has, int [N]."""

    image: np.ndarray
    right: np.ndarray
    objects: np.ndarray


@dataclass(frozen=True)
class DetectionMatches:
    """What a model found on N images, held against the annotation, by class."""

    classes: tuple[ClassMatches, ...]

    def at(self, places: np.ndarray) -> "DetectionMatches":
        """That of some of the images: int [n], each at most once."""
        return DetectionMatches(tuple(part(each, places) for each in self.classes))

    def values(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """`ap` (mean over IoU .5 to .95), `ap50` and `ap75`, [R] each, where image n is taken times[r, n] times.

        The mean over the classes that a draw holds; NaN where it holds no object at all.
        """
        each = np.array([average_precision(own, times) for own in self.classes])  # [classes, R, T]
        known = ~np.isnan(each)
        total = known.sum(0)
        mean = np.divide(np.where(known, each, 0).sum(0), total, out=np.full(total.shape, np.nan), where=total > 0)  # [R, T]
        return {"ap": mean.mean(1), "ap50": mean[:, 0], "ap75": mean[:, 5]}


def part(own: ClassMatches, places: np.ndarray) -> ClassMatches:
    """A class on some of the images."""
    number = np.full(len(own.objects), -1)
    number[places] = np.arange(len(places))
    there = number[own.image] >= 0
    return ClassMatches(number[own.image[there]], own.right[:, there], own.objects[places])


def average_precision(own: ClassMatches, times: np.ndarray) -> np.ndarray:
    """Area under the precision envelope at 101 recalls, for each of R draws and T thresholds: [R, T], in [0, 1]; NaN without an object.

    Reference: COCO detection evaluation, as pycocotools' `accumulate`; with every image taken once the numbers are the same.
    """
    count, found = len(own.right), len(own.image)
    out = np.full((len(times), count), np.nan)
    objects = times @ own.objects
    step = max(AT_ONCE // max(count * found, 1), 1)
    for start in range(0, len(times), step):
        chunk = slice(start, start + step)
        taken = times[chunk][:, own.image]  # [r, D]
        hits = (taken[:, None] * own.right).cumsum(2)  # [r, T, D]
        finds = taken.cumsum(1)[:, None]
        precision = np.divide(hits, finds, out=np.zeros(hits.shape), where=finds > 0)
        envelope = np.maximum.accumulate(precision[:, :, ::-1], 2)[:, :, ::-1]
        for r in np.flatnonzero(objects[chunk]):
            recall = hits[r] / objects[start + r]  # [T, D]
            for t in range(count):
                reached = np.searchsorted(recall[t], RECALLS, side="left")
                inside = reached[reached < found]
                out[start + r, t] = envelope[r, t, inside].sum() / len(RECALLS)
    return out


def detection_matches(found: np.ndarray, annotated: np.ndarray, classes: Sequence[str]) -> DetectionMatches:
    """What there is to say of objects found [N, D, 6] where annotated are [N, M, 5], see `core.objects`; the images are all annotated.

    Raises: ValueError where something is unknown.
    """
    if not is_known(found).all() or not is_known(annotated).all():
        raise ValueError("average precision needs an annotation and an answer for every image")
    evaluation = coco_evaluation(found, annotated, len(classes))
    by_class = []
    count = len(annotated)
    for number in range(len(classes)):
        parts = [each for each in evaluation.evalImgs[number * count : (number + 1) * count] if each]
        image = np.concatenate([np.full(len(each["dtScores"]), each["image_id"]) for each in parts] or [np.zeros(0)]).astype(int)
        scores = np.concatenate([each["dtScores"] for each in parts] or [np.zeros(0)])
        right = np.concatenate([each["dtMatches"] > 0 for each in parts] or [np.zeros((len(THRESHOLDS), 0), bool)], 1)
        order = np.argsort(-scores, kind="stable")
        objects = (present(annotated) & (annotated[..., 4] == number)).sum(1)
        by_class.append(ClassMatches(image[order], right[:, order], objects))
    return DetectionMatches(tuple(by_class))


def coco_evaluation(found: np.ndarray, annotated: np.ndarray, classes: int):
    """A pycocotools `COCOeval`, evaluated image by image, of objects of any size."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth, predictions = COCO(), COCO()
        for data, objects in ((truth, annotated), (predictions, found)):
            data.dataset = {
                "images": [{"id": i} for i in range(len(objects))],
                "categories": [{"id": i} for i in range(classes)],
                "annotations": [annotation(i, own, number) for number, (i, own) in enumerate(every(objects), 1)],
            }
            data.createIndex()
        evaluation = COCOeval(truth, predictions, "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [found.shape[1]]
        evaluation.evaluate()
    return evaluation


def every(objects: np.ndarray):
    """Image and object of every object there is, in order."""
    return ((i, own) for i, place in zip(*np.nonzero(present(objects))) for own in [objects[i, place].astype(float)])


def annotation(image: int, own: np.ndarray, number: int) -> dict:
    """An object as COCO writes it; ids begin at 1, because 0 means no match there."""
    x0, y0, x1, y1 = own[:4].tolist()
    box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0, "ignore": 0}
    return {"id": number, "image_id": int(image), "category_id": int(own[4]), **box} | ({"score": float(own[5])} if len(own) > 5 else {})
