"""A review that comes back: rows to a labelling tool with their images, and its corrections into rows, or a new store."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.formats.rows.row import Row
from htltools.formats.store.masked_images import MaskedImages

BOX = [10.0, 5.0, 25.0, 15.0]  # of each image of `study`


def rows_of(out) -> list[Row]:
    """The rows among lines."""
    return [Row(line) for line in split_lines(out) if "id" in line]


@pytest.fixture
def scored(study, tmp_path, htl):
    """The rows of `study` with scores: path of the file."""
    code, out, err = htl("prepare", study, "-o", tmp_path / "store", "--size", "20x40")
    assert code == 0, err
    rows = [row | {"hardness": {"suspect": number, "loss": 0.5, "pruned_disagreement": 0.25}} for number, row in enumerate(rows_of(out))]
    (tmp_path / "scored.jsonl").write_bytes(joined_lines(rows))
    return tmp_path / "scored.jsonl"


@pytest.fixture
def review(htl, scored, tmp_path):
    """The rows as a COCO data set with their images: path of the file."""
    flags = "--sort", "suspect", "--limit", 100, "--to", f"coco:{tmp_path}/review.json", "--copy-images", tmp_path / "images"
    code, out, err = htl("view", scored, *flags)
    assert (code, out) == (0, b""), err
    assert err.splitlines() == [f"htl view: {tmp_path}/images: 3 original images", f"htl view: {tmp_path}/review.json: 3 rows"]
    return tmp_path / "review.json"


def through_a_tool(path, changes: dict[str, list], *, flat: bool = False) -> None:
    """Write a COCO file once more, as a tool does that read it by pycocotools: it keeps only what COCO knows, numbers anew, and rounds.
    changes: [x, y, width, height, category] of each object of an image that a person changed, by file name."""
    read = COCO(str(path))
    categories = read.loadCats(read.getCatIds())
    names = {each["id"]: each["name"] for each in categories}
    images, annotations = [], []
    for number, image in enumerate(read.loadImgs(read.getImgIds()), 100):
        name = image["file_name"]
        kept = [
            [*(round(value + 0.004, 2) for value in own["bbox"]), names[own["category_id"]]]
            for own in read.loadAnns(read.getAnnIds([image["id"]]))
        ]
        for *box, category in changes.get(name, kept):
            number_of = next(each["id"] for each in categories if each["name"] == category)
            annotations.append(
                {"id": len(annotations) + 7, "image_id": number, "category_id": number_of, "bbox": box, "area": box[2] * box[3]}
            )
        written = name.rpartition("/")[2] if flat else name
        images.append({"id": number, "file_name": written, "width": image["width"], "height": image["height"]})
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def test_what_a_tool_gets(review, study, tmp_path):
    """The most suspect comes first; each image is there under its file_name, byte for byte; boxes are in its pixels."""
    read = COCO(str(review))
    images = read.loadImgs(read.getImgIds())
    assert [image["file_name"] for image in images] == ["images/c.png", "images/b.png", "images/a.png"]
    for image in images:
        assert (tmp_path / "images" / image["file_name"]).read_bytes() == (study / image["file_name"]).read_bytes()
        assert (image["width"], image["height"]) == (40, 20)
        assert [own["bbox"] for own in read.loadAnns(read.getAnnIds([image["id"]]))] == [[10, 5, 15, 10]]


@pytest.mark.parametrize("flat", [False, True])
def test_round_trip(htl, scored, review, flat):
    """Boxes that a person moved replace those before, with what they were; what nobody touched stays to the last digit, whatever the tool
    rounded, dropped or numbered anew; and what changed is said."""
    changes = {"images/a.png": [[12, 5, 20, 10, "nv"]], "images/b.png": []}
    through_a_tool(review, changes, flat=flat)
    before = rows_of(scored.read_bytes())
    code, out, err = htl("resample", scored, "--corrections", review)
    assert code == 0, err
    a, b, c = rows_of(out)
    assert a["boxes"] == [[12, 5, 32, 15]] and b["boxes"] == [] and c == before[2]
    assert a["corrected"] == [{"by": "review.json", "boxes": [BOX], "label": "nv"}] and a["mask_outdated"]
    assert {name: a[name] for name in ("id", "group", "split", "label", "meta", "file")} == {
        name: before[0][name] for name in ("id", "group", "split", "label", "meta", "file")
    }
    assert a["hardness"] == {"pruned_disagreement": 0.25}, "scores of the old box are gone"
    assert err.splitlines() == [
        "htl resample: review.json: 2 of 3 images are corrected (objects: 1 moved, 1 removed), 1 stay as they were",
        "htl resample: 1 images hold no object any more: b",
    ]
    record = split_lines(out)[0]["history"][-1]
    assert record["parameters"]["corrections"] == str(review) and str(review) in record["inputs"]


def test_twice(htl, scored, review, tmp_path):
    """A second review replaces the boxes of the first, and the row knows both before it."""
    through_a_tool(review, {"images/a.png": [[12, 5, 20, 10, "nv"]]})
    once = htl("resample", scored, "--corrections", review)[1]
    through_a_tool(review, {"images/a.png": [[0, 0, 20, 10, "nv"]]})
    row = rows_of(htl("resample", "--corrections", review, stdin=once)[1])[0]
    assert row["boxes"] == [[0, 0, 20, 10]]
    assert [each["boxes"] for each in row["corrected"]] == [[BOX], [[12, 5, 32, 15]]]


def test_lesion_masks_of_corrected_boxes_are_not_used(htl, scored, review):
    """The mask in the store is that of the box before: a training takes the new box instead of it."""
    through_a_tool(review, {"images/a.png": [[12, 5, 20, 10, "nv"]]})
    rows = rows_of(htl("resample", scored, "--corrections", review)[1])
    assert MaskedImages(rows).has_mask.tolist() == [False, True, True]


def test_classes(htl, scored, review):
    """Another class on the only object is another label of the image; objects of several classes get classes of their own."""
    through_a_tool(review, {"images/a.png": [[10, 5, 15, 10, "mel"]], "images/c.png": [[10, 5, 15, 10, "nv"], [1, 1, 5, 5, "mel"]]})
    a, b, c = rows_of(htl("resample", scored, "--corrections", review)[1])
    assert (a["label"], a["boxes"], a.get("labels")) == ("mel", [BOX], None) and a["corrected"][0]["label"] == "nv"
    assert (c["label"], c["labels"], c["boxes"]) == ("nv", ["nv", "mel"], [BOX, [1, 1, 6, 6]])
    assert "corrected" not in b


def test_label_studio(htl, scored, tmp_path):
    """Label Studio's own export comes back by the name that it gave the uploaded image, in per cent of the sides."""
    value = {"x": 50, "y": 25, "width": 25, "height": 50, "rotation": 0, "rectanglelabels": ["nv"]}
    region = {"type": "rectanglelabels", "original_width": 40, "original_height": 20, "value": value}
    tasks = [{"id": 1, "data": {"image": "/data/upload/1/0123abcd-a.png"}, "annotations": [{"result": [region]}]},
             {"id": 2, "data": {"image": "/data/upload/1/0123abcd-c.png"}, "annotations": []}]  # fmt: skip
    (tmp_path / "ls.json").write_text(json.dumps(tasks))
    code, out, err = htl("resample", scored, "--corrections", tmp_path / "ls.json")
    assert code == 0, err
    assert [row["boxes"] for row in rows_of(out)] == [[[20, 5, 30, 15]], [BOX], [BOX]]


def test_cvat(htl, scored, tmp_path):
    """CVAT's own export comes back; what it names and no row has is said."""
    shape = '<box label="nv" xtl="1.00" ytl="2.00" xbr="9.00" ybr="8.00"/>'
    images = f'<image id="0" name="images/a.png" width="40" height="20">{shape}</image><image id="1" name="z.png" width="4" height="2"/>'
    (tmp_path / "cvat.xml").write_text(f"<annotations><version>1.1</version><meta/>{images}</annotations>")
    code, out, err = htl("resample", scored, "--corrections", tmp_path / "cvat.xml")
    assert code == 0 and rows_of(out)[0]["boxes"] == [[1, 2, 9, 8]]
    assert "1 names of cvat.xml are no image of the rows, or several: z.png" in err


def test_what_cannot_be_used(htl, scored, review):
    """An image of another form keeps its boxes, which is said; a file that names none of the images is refused."""
    content = json.loads(review.read_text())
    content["images"][2] |= {"width": 40, "height": 40}
    review.write_text(json.dumps(content))
    code, out, err = htl("resample", scored, "--corrections", review)
    assert code == 0 and rows_of(out)[0]["boxes"] == [BOX]
    assert "1 images are not corrected: it was corrected as 40x40, and is 40x20 (a)" in err
    for number, image in enumerate(content["images"]):
        image["file_name"] = f"other{number}.png"
    review.write_text(json.dumps(content))
    code, _, err = htl("resample", scored, "--corrections", review)
    assert code == 65 and "names none of the 3 images; it names 'other0.png'" in err


def test_without_annotation(htl, scored, tmp_path):
    """An image that nobody annotated stays so where the review marks nothing in it: a tool does not tell whether a person looked."""
    rows = rows_of(scored.read_bytes())
    del rows[0]["boxes"], rows[1]["boxes"]
    code, _, err = htl("view", "--to", f"coco:{tmp_path}/r.json", stdin=joined_lines(rows))
    assert code == 0 and "2 of them not annotated" in err
    through_a_tool(tmp_path / "r.json", {"images/b.png": [[1, 1, 5, 5, "nv"]]})
    code, out, err = htl("resample", "--corrections", tmp_path / "r.json", stdin=joined_lines(rows))
    a, b, c = rows_of(out)
    assert "boxes" not in a and b["boxes"] == [[1, 1, 6, 6]] and "boxes" not in b["corrected"][0] and c == rows[2]
    assert "1 images stay without annotation, for the review marks nothing in them: a" in err


def test_prepare(htl, study, scored, review, tmp_path):
    """A new store has the corrected boxes, knows those before, and holds no mask of theirs; an outline of the review becomes the mask."""
    through_a_tool(review, {"images/a.png": [[12, 5, 20, 10, "nv"]]})
    content = json.loads(review.read_text())
    place = next(image["id"] for image in content["images"] if image["file_name"] == "images/b.png")
    own = next(own for own in content["annotations"] if own["image_id"] == place)
    own |= {"bbox": [0, 0, 20, 20], "segmentation": [[0, 0, 20, 0, 20, 20, 0, 20]]}
    review.write_text(json.dumps(content))
    code, out, err = htl("prepare", study, "-o", tmp_path / "new", "--size", "20x40", "--corrections", review)
    assert code == 0, err
    a, b, c = rows_of(out)
    assert (a["boxes"], b["boxes"], c["boxes"]) == ([[12, 5, 32, 15]], [[0, 0, 20, 20]], [BOX])
    assert a["corrected"] == [{"by": "review.json", "boxes": [BOX], "label": "nv"}] and "corrected" not in c
    assert "review.json: 2 of 3 images are corrected (objects: 2 moved), 1 stay as they were" in err
    masks = MaskedImages([a, b, c])
    assert masks.has_mask.tolist() == [False, True, True]
    assert masks.lesion(np.array([1]))[0].astype(bool).sum() == 20 * 20
    assert "mask_files" not in a and c["mask_files"] == ["masks/c.png"] and "mask_outdated" not in a


def test_prepare_takes_what_had_no_annotation(htl, study, scored, review, tmp_path):
    """An image that would be left out for want of a mask is there once a review has marked it."""
    (study / "masks" / "a.png").unlink()
    through_a_tool(review, {"images/a.png": [[12, 5, 20, 10, "nv"]]})
    out = htl("prepare", study, "-o", tmp_path / "new", "--corrections", review)[1]
    assert [(row.id, row.boxes) for row in rows_of(out)] == [("a", [[12, 5, 32, 15]]), ("b", [BOX]), ("c", [BOX])]


def test_images_without_an_original(htl, scored, study, tmp_path):
    """Where the original is gone, the stored image in its size takes its place, so that boxes fit; it is said, and comes back as well."""
    (study / "images/b.png").unlink()
    flags = "--to", f"coco:{tmp_path}/r.json", "--copy-images", tmp_path / "images"
    code, _, err = htl("view", scored, *flags)
    assert code == 0 and "1 have no original, and come as enlarged copies of the store: b; --originals DIR says where they lie now" in err
    assert Image.open(tmp_path / "images/images/b.png").size == (40, 20)
    through_a_tool(tmp_path / "r.json", {"images/b.png": [[1, 1, 5, 5, "mel"]]})
    assert rows_of(htl("resample", scored, "--corrections", tmp_path / "r.json")[1])[1]["boxes"] == [[1, 1, 6, 6]]
    assert htl("view", scored, *flags)[0] == 73, "nothing is overwritten"
    code, _, err = htl("view", scored, "--copy-images", tmp_path / "more")
    assert code == 2 and "--copy-images copies what a COCO data set names; give --to coco:FILE as well" in err


def test_images_of_one_name(htl, save_image, tmp_path):
    """Images of one name in two sources have names of their own in a review, by which its corrections find each."""
    for source, side in ("one", 20), ("two", 40):
        save_image(tmp_path / source / "a.png", size=(40, side))
        (tmp_path / source / "metadata.csv").write_text("image_id,x0,y0,x1,y1\na,1,1,9,9\n")
    out = htl("prepare", tmp_path / "one", tmp_path / "two", "-o", tmp_path / "store")[1]
    (tmp_path / "rows.jsonl").write_bytes(out)
    code, _, err = htl("view", tmp_path / "rows.jsonl", "--to", f"coco:{tmp_path}/r.json", "--copy-images", tmp_path / "images")
    assert code == 0, err
    assert sorted(path.relative_to(tmp_path / "images").as_posix() for path in (tmp_path / "images").rglob("*.png")) == [
        "one/a.png", "two/a.png",
    ]  # fmt: skip
    through_a_tool(tmp_path / "r.json", {"two/a.png": [[2, 2, 9, 9, "object"]]})
    rows = rows_of(htl("resample", tmp_path / "rows.jsonl", "--corrections", tmp_path / "r.json")[1])
    assert [(row.id, row.boxes) for row in rows] == [("one/a", [[1, 1, 9, 9]]), ("two/a", [[2, 2, 11, 11]])]
