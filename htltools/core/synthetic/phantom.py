"""Phantoms: synthetic dermoscopy-like images with planted difficulties.

An image is a function of (seed, index) alone. The difficulties, each in 3 to 4 % of the samples:

small    a lesion a third as wide as an ordinary one
faint    a lesion hardly darker than the skin around it
hairy    thick dark hair across the lesion
border   a lesion cut by the border of the image
rare     a rare subgroup: a pale bluish lesion on dark skin, on the sole
wrong    an ordinary image whose annotated box is wrong (IoU with the truth below 0.6); in the training split only

All but `small` have lesions as large as the ordinary ones, so that a score which only measures size finds only `small`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from htltools.core.geometry.boxes import box_of_mask, iou
from htltools.core.synthetic.painting import Outline, grid, hair, patches, rgb, sigmoid, skin

WIDTH, HEIGHT = 256, 192
SHARES = {"small": 0.035, "faint": 0.035, "hairy": 0.035, "border": 0.035, "rare": 0.035}
WRONG_SHARE = 0.05  # of the training split: with 70 % of the samples there, 3.5 % of all
PAIRED = 0.15  # share of neighbours 2k, 2k + 1 that show the same lesion
SITES = "back", "trunk", "face", "arm", "leg"
RARE_SITE = "sole"
LABELS = "nv", "mel", "bkl"
WRONG_IOU = 0.1, 0.6


@dataclass(frozen=True)
class Phantom:
    """One synthetic sample. Boxes are (x0, y0, x1, y1) in pixels of the image, x1 and y1 exclusive."""

    image: np.ndarray  # uint8 [H, W, 3]
    lesion_mask: np.ndarray  # bool [H, W], true even where the box is wrong
    box: tuple[float, ...]  # as annotated
    true_box: tuple[int, ...]
    label: str
    meta: dict[str, Any]  # age, sex, site, planted


def lesion_of(seed: int, index: int) -> int:
    """The number of the lesion that an image shows: its own index, or that of its even neighbour."""
    even = index - index % 2
    return even if np.random.default_rng([seed, even, 0]).random() < PAIRED else index


def phantom(seed: int, index: int, split: str | None = None) -> Phantom:
    """The synthetic sample of that seed and index; `split` "train" allows a wrong box, and changes nothing else."""
    patient = np.random.default_rng([seed, lesion_of(seed, index), 1])
    view = np.random.default_rng([seed, index, 2])
    planted = planted_kind(patient.random())
    metadata = metadata_of(patient, planted)
    outline = outline_of(patient, view, planted)
    lesion_mask = outline.depth > 0
    true_box = box_of_mask(lesion_mask)
    assert true_box is not None  # every lesion reaches into the frame
    image = painted(patient, view, outline, planted)
    box: tuple[float, ...] = true_box
    if planted is None and split == "train" and patient.random() < WRONG_SHARE / (1 - sum(SHARES.values())):
        planted, box = "wrong", wrong_box(view, true_box)
    return Phantom(image, lesion_mask, box, true_box, metadata.pop("label"), {**metadata, "planted": planted})


def planted_kind(place: float) -> str | None:
    """The difficulty at a place in [0, 1); None: an ordinary sample."""
    for kind, share in SHARES.items():
        if place < share:
            return kind
        place -= share
    return None


def metadata_of(rng: np.random.Generator, planted: str | None) -> dict[str, Any]:
    """Age in years, sex, site and label of a patient's lesion."""
    return {
        "age": int(np.clip(rng.normal(52, 17), 5, 90)),
        "sex": str(rng.choice(["female", "male"])),
        "site": RARE_SITE if planted == "rare" else str(rng.choice(SITES)),
        "label": str(rng.choice(LABELS, p=[0.66, 0.14, 0.2])),
    }


def outline_of(patient: np.random.Generator, view: np.random.Generator, planted: str | None) -> Outline:
    """The outline of the lesion: its shape is drawn for the patient, its position, angle and scale for the view."""
    radius = HEIGHT * np.exp(patient.uniform(np.log(0.17), np.log(0.34)))
    if planted == "small":
        radius /= 3
    if planted == "border":
        radius = HEIGHT * patient.uniform(0.26, 0.36)
    aspect, harmonics = patient.uniform(0.68, 1), patient.normal(size=(6, 2)) * patient.uniform(0.02, 0.1)
    radius *= view.uniform(0.92, 1.08)
    outline = Outline(radius, aspect, harmonics, view.uniform(0, 2 * np.pi))
    spread = (0.22, 0.22) if planted == "small" else (0.11, 0.1)
    centre = np.array([WIDTH, HEIGHT]) * (0.5 + view.normal(size=2) * spread)
    low, high = outline.extent  # of the outline around its centre
    centre = np.clip(centre, 3 - low, np.maximum(3 - low, [WIDTH - 3, HEIGHT - 3] - high))
    if planted == "border":
        axis, far = int(view.integers(2)), bool(view.integers(2))
        inset = view.uniform(0.05, 0.4) * radius
        centre[axis] = (WIDTH, HEIGHT)[axis] - inset if far else inset
    return outline.placed(centre, WIDTH, HEIGHT)


def painted(patient: np.random.Generator, view: np.random.Generator, outline: Outline, planted: str | None) -> np.ndarray:
    """The image, uint8 [H, W, 3]: skin, lesion, hair, illumination."""
    tone = patient.uniform(0.95, 1.1) if planted == "rare" else patient.uniform(0, 0.65)
    field = skin(view, WIDTH, HEIGHT, tone)
    first, second = tones(patient, planted)
    blend = sigmoid(5 * patches(view, WIDTH, HEIGHT, 9) + np.float32(1.5 * patient.normal()))  # the two tones, in patches
    grain = 1 + 0.06 * patches(view, WIDTH, HEIGHT, 48)
    strength = patient.uniform(0.1, 0.17) if planted == "faint" else patient.uniform(0.42, 0.85)
    cover = np.float32(strength) * sigmoid(outline.depth / np.float32(patient.uniform(1, 4)))
    field += ((first + (second - first) * blend) * grain - field) * cover
    field = with_hair(view, field, outline, planted) * illumination(view)
    return np.ascontiguousarray(np.rint(np.clip(field, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def tones(patient: np.random.Generator, planted: str | None) -> tuple[np.ndarray, np.ndarray]:
    """The two colours of a lesion, [3, 1, 1] each: browns, or pale blues where `rare`."""
    lightness, depth, blue = patient.uniform([0.75, 0.35, 1], [1.2, 0.75, 1.5]).astype(np.float32)
    if planted == "rare":
        return rgb(0.55, 0.56, 0.62) * lightness, rgb(0.36, 0.43, 0.56) * lightness
    first = rgb(0.47, 0.27, 0.2) * lightness
    return first, first * depth * rgb(1, 1, blue)


def with_hair(view: np.random.Generator, field: np.ndarray, outline: Outline, planted: str | None) -> np.ndarray:
    """The image [3, H, W] with hair: thick and across the lesion where `hairy`, thin and sparse in a third of the others."""
    if planted == "hairy":
        count, thickness = int(view.integers(14, 24)), int(view.integers(1, 3))
        cover = hair(view, WIDTH, HEIGHT, count=count, thickness=thickness, around=outline.centre, spread=outline.radius)
    elif view.random() < 0.33:
        cover = np.float32(0.6) * hair(view, WIDTH, HEIGHT, count=int(view.integers(2, 9)), thickness=0, around=None, spread=0)
    else:
        return field
    colour = rgb(0.16, 0.1, 0.08) * np.float32(view.uniform(0.6, 1.6))
    return field + (colour - field) * cover


def illumination(view: np.random.Generator) -> np.ndarray:
    """Illumination [H, W], about 1: brighter in the middle, in some images with dark corners."""
    x, y = grid(WIDTH, HEIGHT)
    far = x**2 + (y * (HEIGHT / WIDTH)) ** 2  # 0 in the centre, 1 at the left and right
    lamp = np.float32(view.uniform(0.9, 1.08)) * (1 - np.float32(view.uniform(0.03, 0.25)) * far)
    if view.random() < 0.15:
        lamp *= 0.06 + 0.94 * sigmoid(40 * (np.float32(view.uniform(1, 1.25)) - far))
    return lamp


def wrong_box(rng: np.random.Generator, true_box: tuple[int, ...]) -> tuple[float, ...]:
    """A box shifted and resized until its IoU with the true one lies in WRONG_IOU; inside the image."""
    x0, y0, x1, y1 = true_box
    centre, sides = np.array([x0 + x1, y0 + y1]) / 2, np.array([x1 - x0, y1 - y0])
    while True:
        middle = centre + sides * rng.uniform(-0.6, 0.6, 2)
        half = sides * np.exp(rng.uniform(-0.6, 0.5, 2)) / 2
        box = np.concatenate([np.clip(middle - half, 0, None), np.minimum(middle + half, [WIDTH, HEIGHT])])
        box = np.rint(box)
        if WRONG_IOU[0] <= iou(box, np.array(true_box)) < WRONG_IOU[1]:
            return tuple(box.tolist())
