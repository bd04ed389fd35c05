"""Precision, recall, F1 and FROC, by numbers worked by hand and those of pycocotools."""

import numpy as np
import pytest

from htltools.core.geometry.objects import packed
from htltools.core.statistics.average_precision import ClassMatches, detection_matches
from htltools.core.statistics.detection_rates import RATES, froc, operating_points, rates_at
from tests.core.statistics.test_average_precision import scene

ONCE = np.ones((1, 4), int)
FIRST, SECOND, AWAY = [0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0.6, 0.3, 1]


@pytest.fixture(scope="module")
def by_hand():
    """Four images, four objects: three of class a, one of b. Right are .9 (a), .6 (a) and .3 (b); .9 twice is one of a false kind."""
    annotated = [[[*FIRST, 0], [*SECOND, 1]], [[*FIRST, 0]], [[*SECOND, 0]], []]
    predicted = [
        [[*FIRST, 0, 0.9], [*FIRST, 0, 0.5], [*SECOND, 1, 0.3]],  # a second box for the same object is false
        [[*AWAY, 0, 0.9]],
        [[*SECOND, 0, 0.6], [*SECOND, 1, 0.4]],  # of another class: false
        [[*AWAY, 1, 0.2]],
    ]
    arrays = [[np.reshape(own, (-1, columns)) for own in side] for side, columns in ((predicted, 6), (annotated, 5))]
    return detection_matches(packed(arrays[0], 6), packed(arrays[1], 5), ["a", "b"])


def test_rates_by_hand(by_hand):
    """Counts above a score give precision, recall and F1, over all classes and of each; the score itself counts."""
    rates = {name: value[0] for name, value in rates_at(by_hand, 0.5, ONCE).items()}
    assert rates == {
        "precision": 2 / 4,
        "recall": 2 / 4,
        "f1": 0.5,
        "fp_per_image": 2 / 4,
        "a/class_precision": 2 / 4,
        "a/class_recall": pytest.approx(2 / 3),
        "a/class_f1": pytest.approx(4 / 7),
        "b/class_precision": pytest.approx(np.nan, nan_ok=True),  # none of this class is predicted
        "b/class_recall": 0,
        "b/class_f1": 0,
    }
    rates = rates_at(by_hand, 0.3, np.array([[2, 0, 1, 0]]))  # the first image twice, the third once
    assert [rates[name][0] for name in ("precision", "recall", "fp_per_image")] == [5 / 8, 1.0, 1.0]


def test_froc_by_hand(by_hand):
    """Sensitivity at each rate of false positives; equal scores are one threshold, so that .9 finds nothing at 1/8 false positives."""
    found = froc(by_hand.pooled, ONCE)
    # down the scores: .9 one right, one false (1/4 an image), .6 two right, .5 two false (1/2), .4 three false, .3 three right (3/4),
    # .2 four false (1)
    assert [found[f"froc@{rate:g}"][0] for rate in RATES] == [0, 0.5, 0.5, 0.75, 0.75, 0.75, 0.75]
    assert found["froc_mean"][0] == pytest.approx(4 / 7)
    points = operating_points(by_hand.pooled)
    assert points.score.tolist() == [0.9, 0.6, 0.5, 0.4, 0.3, 0.2]
    assert points.fp_per_image.tolist() == [0.25, 0.25, 0.5, 0.75, 0.75, 1]
    assert points.recall.tolist() == [0.25, 0.5, 0.5, 0.5, 0.75, 0.75]
    assert points.precision == pytest.approx([1 / 2, 2 / 3, 2 / 4, 2 / 5, 3 / 6, 3 / 7])
    assert points.f1 == pytest.approx([2 / 6, 4 / 7, 4 / 8, 4 / 9, 6 / 10, 6 / 11])


def test_a_draw_equals_copies_of_its_images():
    """Taking images several times, or not at all, gives the numbers of that many copies, in every draw."""
    predicted, annotated = scene(7)
    times = np.random.default_rng(0).integers(0, 3, (3, len(predicted)))
    matches = detection_matches(predicted, annotated, ["a", "b"])
    drawn = rates_at(matches, 0.5, times) | froc(matches.pooled, times)
    for i, own in enumerate(times):
        again = np.repeat(np.arange(len(predicted)), own)
        copies, once = detection_matches(predicted[again], annotated[again], ["a", "b"]), np.ones((1, len(again)), int)
        expected = rates_at(copies, 0.5, once) | froc(copies.pooled, once)
        assert {name: value[i] for name, value in drawn.items()} == {name: pytest.approx(value[0]) for name, value in expected.items()}


def test_recall_over_all_scores_is_that_of_pycocotools():
    """The last point of the curve of a class has the recall that the library gives, and a perfect prediction has everything."""
    import contextlib
    import io

    from htltools.core.statistics.average_precision import coco_evaluation

    predicted, annotated = scene(3)
    evaluation = coco_evaluation(predicted, annotated, 2)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    matches = detection_matches(predicted, annotated, ["a", "b"])
    for number, own in enumerate(matches.classes):
        assert operating_points(own).recall[-1] == pytest.approx(evaluation.eval["recall"][0, number, 0, 0])
    perfect = np.concatenate([annotated, (annotated[..., 4:] >= 0).astype(np.float32)], 2)
    found = froc(detection_matches(perfect, annotated, ["a", "b"]).pooled, np.ones((1, len(annotated)), int))
    assert {name: value[0] for name, value in found.items()} == dict.fromkeys(found, 1.0)


def test_nothing_to_divide_by():
    """Without predictions there is no precision, and sensitivity 0; without objects there is no sensitivity."""
    nothing = ClassMatches(np.zeros(0, int), np.zeros((10, 0), bool), np.array([1, 0]), np.zeros(0))
    once = np.ones((1, 2), int)
    assert froc(nothing, once)["froc_mean"].tolist() == [0] and len(operating_points(nothing).score) == 0
    empty = ClassMatches(np.zeros(1, int), np.zeros((10, 1), bool), np.array([0, 0]), np.array([0.9]))
    assert np.isnan(froc(empty, once)["froc@1"]).all() and np.isnan(operating_points(empty).recall).all()
