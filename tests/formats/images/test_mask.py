"""Masks of many kinds come out as the objects that they mark, and what is not certain is told."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from htltools.formats.images.mask import objects_of, read_mask

A, B, C = (slice(5, 25), slice(5, 25)), (slice(30, 50), slice(40, 60)), (slice(55, 75), slice(70, 95))
SHAPE = 80, 100


def drawn(*areas, dtype=np.uint8, ground=0, shape=SHAPE):
    """A mask in which each area (place, value) has its value."""
    values = np.full(shape, ground, dtype)
    for place, value in areas:
        values[place] = value
    return values


def saved(path, image, **options):
    """The objects of a mask that was saved and read again."""
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return read_mask(path)


def numbers_at(objects, *places):
    """The one number of the object at each place, and that of all other pixels."""
    rest = objects.labels.copy()
    numbers = []
    for place in places:
        (number,) = np.unique(objects.labels[place])
        numbers.append(int(number))
        rest[place] = 0
    assert not rest.any()
    return numbers


def kinds(objects):
    """The kinds of doubts about a mask."""
    return [kind for kind, _ in objects.doubts]


@pytest.mark.parametrize("values", [(0, 255), (0, 1), (0, 65535), (False, True)])
def test_masks(tmp_path, values):
    """Pixels brighter than half of the mask's maximum are lesion, however the mask is coded."""
    low, high = values
    array = np.full((10, 20), low, np.uint16 if high == 65535 else bool if high is True else np.uint8)
    array[2:5, 3:9] = high
    Image.fromarray(array).save(tmp_path / "m.png")
    objects = read_mask(tmp_path / "m.png")
    assert objects.labels.sum() == 18 and objects.labels[2:5, 3:9].all() and not objects.doubts


def test_mask_without_lesion(tmp_path):
    """A black mask holds no lesion."""
    Image.new("L", (20, 10)).save(tmp_path / "m.png")
    assert not read_mask(tmp_path / "m.png").labels.any()


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "I", "P", "RGB", "RGBA", "LA"])
def test_masks_of_any_mode(tmp_path, mode):
    """A mask is the same lesion in whatever mode it is saved, also with a middle grey on either side of half."""
    values = np.zeros((10, 20), np.uint8)
    values[2:5, 3:9], values[0], values[9] = 201, 100, 101
    image = Image.fromarray(values)
    if mode in ("I;16", "I"):
        image = Image.fromarray(values.astype({"I;16": np.uint16, "I": np.int32}[mode]))
    elif mode == "1":
        image = Image.fromarray(values > 100)
    image = image if mode in ("L", "1", "I;16", "I") else image.convert(mode)
    image.save(tmp_path / "m.tif")
    assert (read_mask(tmp_path / "m.tif").labels == (values > 100)).all()


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ((1, 2, 3), np.uint8),
        ((1, 2, 7), np.uint8),
        ((85, 170, 255), np.uint8),
        ((101, 205, 399), np.uint16),
        ((1000, 1001, 1002), np.uint16),
    ],
)
def test_label_maps(tmp_path, values, dtype):
    """Each value of a label map is an object, whatever the values are, and none of them is lost."""
    objects = saved(tmp_path / "m.png", drawn(*zip((A, B, C), values), dtype=dtype))
    assert numbers_at(objects, A, B, C) == [1, 2, 3] and not objects.doubts


def test_many_small_objects():
    """Objects of a few pixels each that touch one another are all kept, as in a map of nuclei."""
    values = np.zeros((60, 60), np.uint16)
    for i in range(200):
        row, column = divmod(i, 20)
        values[row * 4 : row * 4 + 3, column * 3 : column * 3 + 3] = i + 1
    assert np.array_equal(objects_of(values).labels, values)


def test_void_beside_small_labels():
    """255 beside small labels is no lesion, and said to be taken for void; beside no other value it is the lesion."""
    frame = (slice(70, 80), slice(None))
    objects = objects_of(drawn((frame, 255), (A, 1)))
    assert numbers_at(objects, A) == [1] and kinds(objects) == ["255 in a mask of small labels is taken for void"]
    assert numbers_at(objects_of(drawn((frame, 255))), frame) == [1]


def test_void_needs_areas_of_labels():
    """A few dark pixels at the edge of a white lesion do not make it void."""
    values = drawn((B, 255))
    values[29, 41:59:3] = 30
    assert numbers_at(objects_of(values), B) == [1]


def test_stray_pixels_are_no_lesion():
    """Two pixels of odd values make no box across the image; beside a lesion they are told and left out."""
    alone = objects_of(drawn(((10, 90), 2), ((70, 3), 3)))
    assert not alone.labels.any() and kinds(alone) == ["a mask has stray pixels of odd values"]
    beside = objects_of(drawn(((10, 90), 2), ((70, 3), 3), (A, 1)))
    assert numbers_at(beside, A) == [1] and beside.doubts[0][1] == "2 pixels of its mask have odd values, and are taken for the ground"


@pytest.mark.parametrize("how", ["smooth", "jpeg", "jpeg as png", "enlarged", "reduced"])
@pytest.mark.parametrize("ground", [0, 255])
def test_soft_edges_are_one_lesion(tmp_path, how, ground):
    """A mask with grey edges or the noise of JPEG is one lesion up to half of its maximum, black on white as well."""
    y, x = np.mgrid[:120, :160]
    disc = (x - 70) ** 2 + (y - 60) ** 2 < 30**2
    image, expected, path = Image.fromarray(np.where(disc, 255 - ground, ground).astype(np.uint8)), disc, tmp_path / "m.png"
    if how == "smooth":
        image = image.filter(ImageFilter.GaussianBlur(1))
    elif how == "jpeg":
        path = tmp_path / "m.jpg"
    elif how == "jpeg as png":
        image.save(tmp_path / "x.jpg", quality=60)
        image = Image.open(tmp_path / "x.jpg")
    else:
        factor = 3 if how == "enlarged" else 0.5
        image = image.resize((int(160 * factor), int(120 * factor)), Image.Resampling.BICUBIC)
        expected = np.asarray(Image.fromarray(disc).resize(image.size))
    objects = saved(path, image, **({"quality": 80} if path.suffix == ".jpg" else {}))
    assert set(np.unique(objects.labels)) == {0, 1}
    assert np.mean((objects.labels > 0) != expected) < 0.01
    assert kinds(objects) == (["a mask is marked all around its border, and read as black on white"] if ground else [])


def test_probabilities_are_one_lesion(tmp_path):
    """A map of probabilities, as bytes or as floats, is lesion from half of its maximum on."""
    y, x = np.mgrid[:80, :100]
    probability = np.exp(-((x - 50) ** 2 + (y - 40) ** 2) / 600)
    for values in (probability * 255).astype(np.uint8), probability.astype(np.float32):
        objects = saved(tmp_path / "m.tif", values)
        assert np.mean((objects.labels > 0) != (probability > 0.5)) < 0.01 and objects.labels.max() == 1


@pytest.mark.parametrize(("ground", "lesion"), [(255, 0), (1, 0), (65535, 0)])
def test_black_on_white(ground, lesion):
    """A mask that is marked all around its border is black on white, and said to be."""
    dtype = np.uint16 if ground > 255 else np.uint8
    objects = objects_of(drawn((B, lesion), ground=ground, dtype=dtype))
    assert numbers_at(objects, B) == [1]
    assert kinds(objects) == ["a mask is marked all around its border, and read as black on white"]


def test_black_on_white_with_two_classes():
    """A white ground around grey and black: both are objects."""
    assert numbers_at(objects_of(drawn((A, 128), (B, 0), ground=255)), A, B) == [2, 1]


def test_a_lesion_over_everything_stays_one():
    """A lesion that leaves only two corners free is not turned into its opposite, nor is one without an end."""
    corner = (slice(0, 20), slice(0, 30))
    assert objects_of(drawn((corner, 0), ground=255)).labels.sum() == 80 * 100 - 600
    assert objects_of(drawn(ground=255)).labels.all()


def test_colours_are_objects(tmp_path):
    """Each colour of a mask is an object; the ground is black, or what the border shows most."""
    for ground, doubts in ((0, 0, 0), []), ((255, 255, 255), ["no pixel of a mask is 0"]):
        pixels = np.full((*SHAPE, 3), ground, np.uint8)
        pixels[A], pixels[B] = (0, 0, 255), (255, 0, 0)
        objects = saved(tmp_path / "m.png", pixels)
        assert numbers_at(objects, A, B) == [1, 2] and kinds(objects) == doubts


def with_palette(values, colours):
    """An image of indices with a palette."""
    image = Image.fromarray(values)
    image.putpalette([channel for colour in colours for channel in colour])
    return image


@pytest.mark.parametrize(
    "colours",
    [
        [(0, 0, 0), (128, 0, 0), (0, 0, 40)],
        [(255, 255, 255), (128, 0, 0), (0, 0, 40)],
        [(0, 0, 0), (0, 0, 0), (0, 0, 0)],
        [(0, 0, 0), (100, 100, 100), (200, 200, 200)],
    ],
    ids=["on black", "on white", "all black", "greys"],
)
def test_palettes(tmp_path, colours):
    """Dark and bright colours of a palette count alike."""
    assert len(set(numbers_at(saved(tmp_path / "m.png", with_palette(drawn((A, 1), (B, 2)), colours)), A, B)) - {0}) == 2


def test_a_palette_that_turns_black_and_white(tmp_path):
    """Index 0 may be white, and 1 black: the colours count."""
    objects = saved(tmp_path / "m.png", with_palette(drawn((B, 1)), [(255, 255, 255), (0, 0, 0)]))
    assert numbers_at(objects, B) == [1]


def test_the_shape_in_alpha(tmp_path):
    """A mask whose shape lies in its transparency alone is read; a transparency of nothing changes nothing."""
    pixels = np.zeros((*SHAPE, 4), np.uint8)
    pixels[A][..., 3] = 255
    assert numbers_at(saved(tmp_path / "m.png", pixels), A) == [1]
    pixels[..., 3] = 255
    pixels[B] = 255
    assert numbers_at(saved(tmp_path / "m.png", pixels), B) == [1]


def test_lesion_values_are_asked_for(tmp_path):
    """The values that are named are the objects, each its own, and nothing is guessed."""
    Image.fromarray(drawn((A, 1), (B, 2), (C, 255))).save(tmp_path / "m.png")
    assert numbers_at(read_mask(tmp_path / "m.png", (255, 1)), A, C) == [2, 1]
    pixels = np.zeros((*SHAPE, 3), np.uint8)
    pixels[A] = 255, 0, 0
    Image.fromarray(pixels).save(tmp_path / "c.png")
    assert numbers_at(read_mask(tmp_path / "c.png", (0xFF0000,)), A) == [1]


def test_what_looks_like_no_mask_is_told(tmp_path):
    """A photograph among the masks, or a mask that is all but black, is told."""
    noise = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
    assert kinds(saved(tmp_path / "m.png", noise)) == ["a mask has many grey levels"]
    assert kinds(saved(tmp_path / "m.jpg", drawn((A, 3), (B, 9)))) == ["a mask is nearly black"]
