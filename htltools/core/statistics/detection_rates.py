"""Detection at a score threshold and over all of them: precision, recall and F1, FROC, and the points of the curves.

An object is found where a prediction of its class meets it with IoU >= .5, matched as for average precision: a second prediction for
the same object is a false positive.
"""

from typing import NamedTuple

import numpy as np

from htltools.core.statistics.average_precision import AT_ONCE, ClassMatches, DetectionMatches

RATES = 0.125, 0.25, 0.5, 1, 2, 4, 8  # false positives per image


class OperatingPoints(NamedTuple):
    """What each score threshold gives, from the highest score down, [P] each; precision, recall and f1 in [0, 1].

    recall: NaN where nothing is annotated. fp_per_image: false positives per image, those without objects included.
    """

    score: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    fp_per_image: np.ndarray


def rates_at(matches: DetectionMatches, threshold: float, times: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of the objects that score at least `threshold`, and false positives per image: [R] by name.

    Image n is taken times[r, n] times. All classes are pooled; of several also `CLASS/class_precision` .., those of each. NaN where there
    is nothing to divide by: precision without a prediction, recall without an annotated object, F1 without either.
    """
    counts = np.array([image_counts(own, threshold) for own in matches.classes])  # [classes, 3, N]
    rates = rates_of(counts.sum(0) @ times.T, times.sum(1))
    for name, own in zip(matches.names, counts) if len(matches.names) > 1 else ():
        of_class = rates_of(own @ times.T, times.sum(1))
        rates |= {f"{name}/class_{metric}": of_class[metric] for metric in ("precision", "recall", "f1")}
    return rates


def image_counts(matches: ClassMatches, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right predictions, predictions, and annotated objects of each image, of those that score enough: int [N] each."""
    kept, count = matches.scores.astype(np.float32) >= np.float32(threshold), len(matches.objects)  # as `geometry.objects.above` compares
    right, predicted = (np.bincount(matches.image[which], minlength=count) for which in (kept & matches.right[0], kept))
    return right, predicted, matches.objects


def rates_of(counts: np.ndarray, images: np.ndarray | int) -> dict[str, np.ndarray]:
    """Rates by name, [R] each, from right predictions, predictions and annotated objects, [3, R], on so many images, [R]."""
    right, predicted, objects = counts
    return {
        "precision": ratio(right, predicted),
        "recall": ratio(right, objects),
        "f1": ratio(2 * right, predicted + objects),
        "fp_per_image": (predicted - right) / images,
    }


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part over whole; NaN where that is 0."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)


def froc(matches: ClassMatches, times: np.ndarray) -> dict[str, np.ndarray]:
    """Sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per image, and the mean of these: [R] by name, in [0, 1].

    The largest share of objects found at a score threshold that leaves at most so many false positives per image; where even all
    predictions leave fewer, the share that they find. Image n is taken times[r, n] times; NaN where a draw holds no object.

    Reference: Bunch et al., "A free-response approach to the measurement and characterization of radiographic-observer performance",
    J. Appl. Photogr. Eng. 4, 1978, the curve; Niemeijer et al., "On combining computer-aided detection systems", IEEE TMI 30, 2011, and
    Setio et al. (LUNA16), Medical Image Analysis 42, 2017, the seven rates and their mean. Deviations: a hit is an IoU of .5 or more,
    a second prediction for an object is a false positive, and nothing is interpolated between thresholds.
    """
    last = last_of_equals(matches.scores)
    found = np.zeros((len(times), len(RATES)))
    step = max(AT_ONCE // max(len(matches.scores), 1), 1)
    for start in range(0, len(times), step):
        chunk = times[start : start + step]
        taken = chunk[:, matches.image]  # [r, D]
        right = (taken * matches.right[0]).cumsum(1)[:, last]  # [r, P]
        false = taken.cumsum(1)[:, last] - right
        right = np.concatenate([np.zeros((len(chunk), 1)), right], 1)  # the first: a threshold above all scores
        for i, rate in enumerate(RATES):
            place = (false <= rate * chunk.sum(1)[:, None]).sum(1)
            found[start : start + step, i] = right[np.arange(len(chunk)), place]
    sensitivity = ratio(found, np.broadcast_to((times @ matches.objects)[:, None], found.shape))
    return {f"froc@{rate:g}": values for rate, values in zip(RATES, sensitivity.T)} | {"froc_mean": sensitivity.mean(1)}


def last_of_equals(scores: np.ndarray) -> np.ndarray:
    """The place of the last of each run of equal numbers, int [P], of numbers [D] in order.

    >>> last_of_equals(np.array([0.9, 0.9, 0.5])).tolist()
    [1, 2]
    """
    return np.flatnonzero(np.append(np.diff(scores) != 0, True)[: len(scores)])


def operating_points(matches: ClassMatches) -> OperatingPoints:
    """The points of the precision-recall curve and of the FROC curve, one for each score that a prediction has."""
    last = last_of_equals(matches.scores)
    counts = np.array([matches.right[0].cumsum()[last], last + 1, np.full(len(last), matches.objects.sum())])
    rates = rates_of(counts, len(matches.objects))
    return OperatingPoints(matches.scores[last], rates["precision"], rates["recall"], rates["f1"], rates["fp_per_image"])
