"""Average precision: the numbers of pycocotools, also of resampled images."""

import contextlib
import io

import numpy as np
import pytest

from htltools.core.geometry.objects import packed
from htltools.core.statistics.average_precision import coco_evaluation, detection_matches


def scene(seed, count=40, classes=2):
    """Predicted and annotated objects of random images: most predictions are near an annotation, others are false."""
    random = np.random.default_rng(seed)
    annotated, predicted = [], []
    for _ in range(count):
        low = random.random((random.integers(0, 4), 2)) * 0.6
        boxes = np.concatenate([low, low + 0.1 + 0.3 * random.random(low.shape)], 1)
        kinds = random.integers(0, classes, (len(boxes), 1))
        annotated.append(np.concatenate([boxes, kinds], 1))
        near = np.clip(boxes + random.normal(0, 0.03, boxes.shape), 0, 1)
        false = np.tile([0.1, 0.1, 0.5, 0.6], (random.integers(0, 3), 1)) + random.random() * 0.2
        both = np.concatenate([near, false])
        guessed = np.concatenate([kinds, random.integers(0, classes, (len(false), 1))])
        predicted.append(np.concatenate([both, guessed, random.random((len(both), 1)).round(2) * 0.9 + 0.05], 1))
    return packed(predicted, 6), packed(annotated, 5)


def test_with_each_image_once_it_is_that_of_pycocotools():
    """AP, AP50 and AP75 equal the library's summary, ties between scores included."""
    for seed in range(5):
        predicted, annotated = scene(seed)
        evaluation = coco_evaluation(predicted, annotated, 2)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate()
        precision = evaluation.eval["precision"][:, :, :, 0, 0]  # [T, recalls, classes]
        values = detection_matches(predicted, annotated, ["a", "b"]).values(np.ones((1, len(predicted)), int))
        assert values["ap"][0] == pytest.approx(precision.mean(), abs=1e-12)
        assert values["ap50"][0] == pytest.approx(precision[0].mean(), abs=1e-12)
        assert values["ap75"][0] == pytest.approx(precision[5].mean(), abs=1e-12)


def test_a_draw_equals_copies_of_its_images():
    """Taking images several times, or not at all, gives the numbers of pycocotools for that many copies."""
    predicted, annotated = scene(7)
    times = np.random.default_rng(0).integers(0, 3, (1, len(predicted)))
    drawn = detection_matches(predicted, annotated, ["a", "b"]).values(times)
    again = np.repeat(np.arange(len(predicted)), times[0])
    copies = detection_matches(predicted[again], annotated[again], ["a", "b"]).values(np.ones((1, len(again)), int))
    for name, value in drawn.items():
        assert value == pytest.approx(copies[name], abs=1e-12)


def test_matches_of_some_images_are_those_of_these_images_alone():
    """Choosing images after matching gives the same numbers as matching them alone."""
    predicted, annotated = scene(3)
    places = np.array([1, 5, 6, 20, 33])
    once = np.ones((1, len(places)), int)
    alone = detection_matches(predicted[places], annotated[places], ["a", "b"]).values(once)
    chosen = detection_matches(predicted, annotated, ["a", "b"]).at(places).values(once)
    assert {name: value.tolist() for name, value in alone.items()} == {name: value.tolist() for name, value in chosen.items()}


def test_perfect_and_empty():
    """The annotation itself has 1, no prediction 0; without annotated objects it is NaN; an absent class does not count."""
    _, annotated = scene(1)
    perfect = np.concatenate([annotated, (annotated[..., 4:] >= 0).astype(np.float32)], 2)
    once = np.ones((1, len(annotated)), int)
    assert detection_matches(perfect, annotated, ["a", "b"]).values(once)["ap"] == [1.0]
    assert detection_matches(perfect, annotated, ["a", "b", "never"]).values(once)["ap"] == [1.0]
    nothing = packed([np.zeros((0, 6))] * len(annotated), 6)
    assert detection_matches(nothing, annotated, ["a", "b"]).values(once)["ap50"] == [0.0]
    assert np.isnan(detection_matches(nothing, nothing[..., :5], ["a", "b"]).values(once)["ap50"]).all()


def test_unknown_objects_are_refused():
    """An image that is not annotated has no precision."""
    with pytest.raises(ValueError, match="every image"):
        detection_matches(packed([np.zeros((0, 6))], 6), packed([None], 5), ["a"])
