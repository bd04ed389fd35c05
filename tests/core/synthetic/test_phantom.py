"""Phantoms: the same image for the same seed and index, with planted difficulties."""

from collections import Counter

import numpy as np
import pytest

from htltools.core.geometry.boxes import box_of_mask, iou
from htltools.core.synthetic.phantom import HEIGHT, LABELS, RARE_SITE, SITES, WIDTH, lesion_of, phantom

KINDS = "small", "faint", "hairy", "border", "rare", "wrong"


@pytest.fixture(scope="module")
def many():
    """300 phantoms of the training split."""
    return [phantom(0, i, "train") for i in range(300)]


def test_a_phantom_follows_from_seed_and_index():
    """Seed and index alone decide a phantom, to the last bit; another index or seed is another image."""
    once, again = phantom(3, 41, "train"), phantom(3, 41, "train")
    assert (once.image == again.image).all() and once.box == again.box and once.meta == again.meta
    assert (phantom(3, 42).image != once.image).any()
    assert (phantom(4, 41).image != once.image).any()


def test_parts_of_a_phantom(many):
    """A phantom is a uint8 RGB image with a lesion mask whose tight box is the true one, and metadata of a patient."""
    for sample in many[:50]:
        assert sample.image.shape == (HEIGHT, WIDTH, 3) and sample.image.dtype == np.uint8
        assert box_of_mask(sample.lesion_mask) == sample.true_box
        assert sample.label in LABELS and sample.meta["site"] in (*SITES, RARE_SITE) and 5 <= sample.meta["age"] <= 90
        assert sample.meta["planted"] in (None, *KINDS)


def test_each_difficulty_is_planted(many):
    """Every kind is there in a few per cent of the samples, and most samples are ordinary."""
    counts = Counter(sample.meta["planted"] for sample in many)
    assert all(3 <= counts[kind] <= 0.1 * len(many) for kind in KINDS), counts
    assert counts[None] > 0.7 * len(many)


def test_only_the_small_are_small(many):
    """The other difficulties are as large as ordinary lesions, so that a measure of size finds none of them."""
    area = {kind: np.mean([s.lesion_mask.mean() for s in many if s.meta["planted"] == kind]) for kind in (None, *KINDS)}
    assert area["small"] < 0.25 * area[None]
    assert all(area[kind] > 0.7 * area[None] for kind in KINDS if kind != "small"), area


def test_difficulties_are_measurable(many):
    """Faint lesions hardly differ from the skin around them, border lesions touch the border, rare ones have a separate site."""
    contrast = {kind: np.mean([contrast_of(s) for s in many if s.meta["planted"] == kind]) for kind in (None, "faint")}
    assert contrast["faint"] < 0.4 * contrast[None]
    for sample in many:
        x0, y0, x1, y1 = sample.true_box
        assert (x0 == 0 or y0 == 0 or x1 == WIDTH or y1 == HEIGHT) == (sample.meta["planted"] == "border")
        assert (sample.meta["site"] == RARE_SITE) == (sample.meta["planted"] == "rare")


def contrast_of(sample):
    """Mean difference of grey between a lesion and what lies around it in its box."""
    x0, y0, x1, y1 = sample.true_box
    grey, lesion = sample.image[y0:y1, x0:x1].mean(-1), sample.lesion_mask[y0:y1, x0:x1]
    return abs(grey[lesion].mean() - grey[~lesion].mean())


def test_wrong_boxes_are_wrong_and_only_trained_on(many):
    """A wrong box has IoU < 0.6 with the truth and lies in the image; no other split holds one, and the image is the same there."""
    for index, sample in enumerate(many):
        overlap = iou(np.array(sample.box), np.array(sample.true_box))
        assert (overlap < 0.6) == (sample.meta["planted"] == "wrong")
        assert 0 <= sample.box[0] < sample.box[2] <= WIDTH and 0 <= sample.box[1] < sample.box[3] <= HEIGHT
        if sample.meta["planted"] == "wrong":
            honest = phantom(0, index, "test")
            assert honest.meta["planted"] is None and honest.box == sample.true_box
            assert (honest.image == sample.image).all()


def test_some_lesions_have_two_images(many):
    """Some neighbours show one lesion of one patient, in two different images."""
    pairs = [i for i in range(0, 300, 2) if lesion_of(0, i + 1) == i]
    assert 0.05 < len(pairs) / 150 < 0.3
    for i in pairs[:10]:
        one, two = many[i], many[i + 1]
        assert (one.meta["age"], one.meta["sex"], one.label) == (two.meta["age"], two.meta["sex"], two.label)
        assert (one.image != two.image).any()
