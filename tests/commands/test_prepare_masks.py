"""Masks and outlines of `htl prepare`: from files of many kinds to boxes and the masks of a store, or refused."""

import json

import numpy as np
import pytest
from PIL import Image

from htltools.commands.prepare.decode import Settings, Skip, decoded
from htltools.commands.prepare.lesion_masks import joined_masks
from htltools.formats.sources.candidate import Candidate
from htltools.formats.store.shard import mapped_dataset
from htltools.formats.tables.facts import Facts

A, B = (20, 15, 60, 45), (70, 50, 95, 75)
SIZE = 100, 80


def drawn(*areas, size=SIZE):
    """A mask of areas (box, value)."""
    values = np.zeros(size[::-1], np.uint8)
    for (x0, y0, x1, y1), value in areas:
        values[y0:y1, x0:x1] = value
    return values


def listed(folder):
    """What looks wrong in a store: (id, reason)."""
    lines = map(json.loads, (folder / "skips.jsonl").read_bytes().splitlines())
    return sorted((line["id"], line["reason"]) for line in lines if line.get("kept"))


def prepared(htl, folder, *flags, code=0):
    """The boxes of each row of a folder, what was said, and the folder of the store."""
    store = folder.parent / "store"
    status, out, err = htl("prepare", folder, "-o", store, "--size", "80x100", *flags)
    assert status == code, err
    return {row["id"]: row.get("boxes") for row in map(json.loads, out.splitlines()) if "id" in row}, err, store


@pytest.fixture
def study(tmp_path, save_image):
    """`study(name, mask)` adds an image of 100 x 80 with a mask; without arguments it gives the folder."""

    def add(name=None, mask=None, **options):
        if name:
            save_image(tmp_path / f"study/images/{name}.png", size=SIZE)
            save_image(tmp_path / f"study/masks/{name}.png", mask, **options)
        return tmp_path / "study"

    return add


def test_a_label_map_gives_a_box_for_each_value(study, htl):
    """Nets of several objects learn each value of a label map; the stored mask is the union; --one-box makes one box of it."""
    study("a", drawn((A, 1), (B, 2)))
    boxes, err, store = prepared(htl, study())
    assert boxes == {"a": [list(A), list(B)]} and "1 samples have several boxes" in err
    assert np.array_equal(mapped_dataset(store / "00000.h5", "masks")[0] > 0, drawn((A, 1), (B, 2)) > 0)
    assert prepared(htl, study(), "--one-box", "union", "--force")[0] == {"a": [[20, 15, 95, 75]]}


def test_what_was_guessed_is_listed_and_stays_listed(study, htl):
    """Void, a mask of black on white and stray pixels are said and listed with the sample, also by a run that decodes nothing anew."""
    study("void", drawn((A, 1), ((0, 76, 100, 80), 255)))
    study("white", 255 - drawn((A, 255)))
    study("stray", drawn((A, 1), ((3, 3, 4, 4), 9)))
    study("sound", drawn((A, 255)))
    boxes, err, store = prepared(htl, study())
    assert boxes == dict.fromkeys(["sound", "stray", "void", "white"], [list(A)])
    assert "htl prepare: look at 1: a mask is marked all around its border, and read as black on white (white)\n" in err
    expected = [
        ("stray", "1 pixels of its mask have odd values, and are taken for the ground"),
        ("void", "400 pixels of its mask are 255"),
        ("white", "its mask has the value 255 all around its border, which is taken for the ground"),
    ]
    assert [line for line in listed(store) if "same pixels" not in line[1]] == expected
    again, err, _ = prepared(htl, study())
    assert again == boxes and "taking up an earlier run" in err
    assert [line for line in listed(store) if "same pixels" not in line[1]] == expected


def test_a_mask_of_noise_is_not_known_to_be_empty(study, htl):
    """Two stray pixels are no lesion and no proof that there is none: the sample is left out, or kept without boxes."""
    study("noise", drawn(((90, 10, 91, 11), 2), ((3, 70, 4, 71), 3)))
    study("sound", drawn((A, 255)))
    boxes, err, _ = prepared(htl, study())
    assert set(boxes) == {"sound"}
    assert "left out 1: the mask is empty: 2 pixels of its mask have odd values, and are taken for the ground (noise)" in err
    assert prepared(htl, study(), "--keep-unlabelled", "--force")[0] == {"noise": None, "sound": [list(A)]}


def test_lesion_values(study, htl):
    """--lesion-values names what is lesion; nothing is guessed then."""
    study("a", drawn((A, 1), (B, 2), ((0, 76, 100, 80), 255)))
    assert prepared(htl, study(), "--lesion-values", "2")[0] == {"a": [list(B)]}
    assert prepared(htl, study(), "--lesion-values", "1, 255", "--force")[0] == {"a": [list(A), [0, 76, 100, 80]]}


@pytest.mark.parametrize("text", ["", "one", "1,1", "-1", "#ff", "1.5"])
def test_wrong_lesion_values(study, htl, text):
    """--lesion-values takes whole numbers or colours."""
    study("a", drawn((A, 1)))
    _, err, _ = prepared(htl, study(), f"--lesion-values={text}", code=2)
    assert f"--lesion-values takes whole numbers or colours such as 1,2 or #ff0000, not {text!r}" in err


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((200, 160), None),
        ((64, 51), None),
        ((50, 40), None),
        ((80, 80), "its mask is 80x80, but the image is 100x80"),
        ((80, 100), "its mask is 80x100, but the image is 100x80: one of them is turned"),
        ((200, 150), "its mask is 200x150, but the image is 100x80"),
    ],
)
def test_a_mask_of_another_shape_is_refused(study, htl, size, reason):
    """A mask of another scale is fitted, one of another shape refused: it would move the box."""
    study("sound", drawn((A, 1)))
    study("a", drawn(((size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2), 1), size=size))
    boxes, err, _ = prepared(htl, study())
    assert ("a" in boxes) == (reason is None)
    assert reason is None or f"left out 1: {reason} (a)\n" in err


def turned(array, orientation):
    """What a file of EXIF orientation 3 or 6 holds for an upright array."""
    return np.rot90(array, {3: 2, 6: 1}[orientation]).copy()


def exif_of(orientation):
    """EXIF of an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def test_a_photo_that_was_turned_and_a_mask_that_was_not(study, htl, save_image):
    """Where a photo is turned and its mask is not: shapes that differ are refused; where they cannot tell, it is listed."""
    upright = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    names = {"both": (6, 6), "drawn_upright": (6, None), "drawn_as_stored": (6, 0), "half_turn": (3, None)}
    for name, (photo, mask) in names.items():
        save_image(study() / f"images/{name}.jpg", turned(upright, photo), exif=exif_of(photo))
        stored = turned(drawn((A, 255)), 6) if mask is not None else drawn((A, 255))
        save_image(study() / f"masks/{name}.png", stored, **({"exif": exif_of(mask)} if mask else {}))
    boxes, err, store = prepared(htl, study())
    assert boxes == dict.fromkeys(["both", "drawn_upright", "half_turn"], [list(A)])
    assert "left out 1: its mask is 80x100, but the image is 100x80: one of them is turned (drawn_as_stored)" in err
    doubts = [line for line in listed(store) if "EXIF" in line[1]]
    assert doubts == [("half_turn", "by EXIF the image is turned (orientation 3), and the other is not")]


def candidate(tmp_path, save_image, **facts):
    """A candidate of an image of 100 x 80 with facts."""
    save_image(tmp_path / "a.png", size=SIZE)
    return Candidate("a", str(tmp_path / "a.png"), facts=Facts(**facts))


def square(x0, y0, x1, y1):
    """A polygon around a box."""
    return [[x0, y0, x1, y0, x1, y1, x0, y1]]


FRAME = Settings((80, 100), labelled=True)


def test_files_of_masks_are_joined(study, htl):
    """Several masks of an image by name are several lesions."""
    study("a", drawn((A, 255)))
    Image.fromarray(drawn((B, 255))).save(study() / "masks/a_1.png")
    assert prepared(htl, study())[0] == {"a": [list(A), list(B)]}


def test_several_masks_of_one_image(tmp_path, save_image):
    """Each file gives boxes of its own, also where lesions overlap; the mask is their union; files of different sizes are refused."""
    overlapping = (50, 30, 80, 60)
    for name, values in {"a": drawn((A, 255)), "b": drawn((overlapping, 1)), "c": drawn(size=(50, 40))}.items():
        save_image(tmp_path / f"{name}.png", values)
    lesions = joined_masks([str(tmp_path / "a.png"), str(tmp_path / "b.png")])
    assert lesions.boxes == [list(A), list(overlapping)]
    assert np.array_equal(lesions.pixels, drawn((A, 1), (overlapping, 1)) > 0)
    with pytest.raises(Exception, match="^its files differ in size$"):
        joined_masks([str(tmp_path / "a.png"), str(tmp_path / "c.png")])


def test_outlines_are_masks(tmp_path, save_image):
    """Outlines give a box each where no boxes are given, exact ones of polygons, and their union is the stored mask."""
    runs = {"size": [80, 100], "counts": [int(n) for n in np.diff(np.flatnonzero(np.diff(drawn((B, 1)).T.ravel(), prepend=0, append=0)))]}
    start = int(np.flatnonzero(drawn((B, 1)).T.ravel())[0])
    runs["counts"] = [start, *runs["counts"]]
    runs["counts"].append(8000 - sum(runs["counts"]))
    sample = decoded(candidate(tmp_path, save_image, outlines=[square(20.5, 15.25, 60, 45), runs]), FRAME)
    assert sample.row.boxes == [[20.5, 15.25, 60, 45], list(B)]
    assert np.count_nonzero(sample.lesion_mask != drawn((A, 255), (B, 255))) < 100
    given = decoded(candidate(tmp_path, save_image, outlines=[square(*A)], boxes=[[19, 14, 61, 46]], labels=["nv"]), FRAME)
    assert given.row.boxes == [[19, 14, 61, 46]] and given.row.labels == ["nv"]
    assert np.array_equal(given.lesion_mask, drawn((A, 255)))
    partly = decoded(candidate(tmp_path, save_image, outlines=[square(*A)], boxes=[list(A), list(B)]), FRAME)
    assert partly.row.boxes == [list(A), list(B)] and partly.lesion_mask is None


def test_outlines_in_another_frame_and_as_shares(tmp_path, save_image):
    """Outlines and boxes are in the frame that is declared, or shares of the sides."""
    halved = decoded(candidate(tmp_path, save_image, outlines=[square(10, 7.5, 30, 22.5)], frame=(50, 40)), FRAME)
    shares = {"outlines": [square(0.2, 0.1875, 0.6, 0.5625)], "boxes": [[0.2, 0.1875, 0.6, 0.5625]], "shares": True}
    for sample in halved, decoded(candidate(tmp_path, save_image, **shares), FRAME):
        assert sample.row.boxes == [list(A)]
        assert np.count_nonzero(sample.lesion_mask != drawn((A, 255))) <= 40
    refused = decoded(candidate(tmp_path, save_image, outlines=[square(*A)], frame=(80, 100)), FRAME)
    assert refused == Skip("annotated as 80x100, but the image is 100x80")


def test_no_outlines_are_no_lesions(tmp_path, save_image):
    """An image that is known to hold no object has no boxes; one with a damaged outline is left out."""
    assert decoded(candidate(tmp_path, save_image, outlines=[], boxes=[]), FRAME).row.boxes == []
    assert decoded(candidate(tmp_path, save_image, outlines=[7]), FRAME) == Skip("an outline is neither polygons nor run lengths")
    other = {"size": [100, 80], "counts": [8000]}
    reason = "its mask is 80x100, but the image is 100x80: one of them is turned"
    assert decoded(candidate(tmp_path, save_image, outlines=[other]), FRAME) == Skip(reason)


def test_boxes_of_another_image_and_images_of_nothing_are_listed(tmp_path, htl, save_image):
    """A box that loses much at the border, and an image of one value, are said and listed."""
    save_image(tmp_path / "images/a.png", size=SIZE)
    save_image(tmp_path / "images/black.png", np.zeros((80, 100, 3), np.uint8))
    (tmp_path / "images/metadata.csv").write_text("image,x0,y0,x1,y1\na,60,20,140,60\nblack,20,15,60,45\n")
    _, err, store = prepared(htl, tmp_path / "images")
    assert "look at 1: a box loses much at the border (a)\n" in err and "look at 1: an image of one value (black)\n" in err
    assert listed(store) == [
        ("a", "the box [60.0, 20.0, 140.0, 60.0] loses 50% of its area at the border of its image of 100x80"),
        ("black", "all pixels are [0, 0, 0]"),
    ]
