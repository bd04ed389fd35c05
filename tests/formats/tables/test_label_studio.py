"""Label Studio: regions in per cent of the image."""

import json
from itertools import pairwise

import numpy as np
import pytest

from htltools.errors import DataError
from htltools.formats.images.outlines import outlined
from htltools.formats.sources.names import ImageNames
from htltools.formats.tables.label_studio import read_label_studio

SIZE = {"original_width": 100, "original_height": 80}
BOX = {"x": 20, "y": 18.75, "width": 40, "height": 37.5, "rotation": 0, "rectanglelabels": ["lesion"]}


def task(*regions, image="/data/upload/1/a.png", **more):
    """A task with one annotation of these regions."""
    return {"data": {"image": image}, "annotations": [{"result": [SIZE | {"value": each} for each in regions]}], **more}


@pytest.fixture
def read(tmp_path):
    """Reads tasks as a file, of images by their paths."""

    def reading(tasks, *paths, **options):
        path = tmp_path / "export.json"
        path.write_text(json.dumps(tasks))
        images = ImageNames([f"/set/{path}" for path in paths])
        made = read_label_studio(path, images, **options)
        return made, {paths[number]: made.facts[name] for number, (name, *_) in images.match(made.facts).names.items()}

    return reading


def test_rectangles(read):
    """Boxes are in pixels of the original size; a finished task without regions holds no object, a skipped or open one says nothing."""
    skipped = {"data": {"image": "c.png"}, "annotations": [{"result": [], "was_cancelled": True}]}
    tasks = [task(BOX), task(image="http://h/data/local-files/?d=set/b.png"), skipped, {"data": {"image": "d.png"}, "annotations": []}]
    made, facts = read(tasks, "a.png", "b.png", "c.png", "d.png")
    assert facts["a.png"].boxes == [[20, 15, 60, 45]] and facts["a.png"].label == "lesion" and facts["a.png"].frame == (100, 80)
    assert [facts[name].boxes for name in ("b.png", "c.png", "d.png")] == [[], None, None] and not made.left_out


def test_other_shapes(read):
    """Polygons, ellipses and turned rectangles are outlines with their extent as box; damaged brush masks and points are left out."""
    polygon = {"points": [[20, 18.75], [60, 18.75], [60, 56.25]], "polygonlabels": ["nv"]}
    oval = {"x": 40, "y": 37.5, "radiusX": 20, "radiusY": 18.75, "ellipselabels": ["nv"]}
    turned = BOX | {"x": 60, "y": 18.75, "rotation": 90, "width": 30, "height": 50}
    brush, point = {"format": "rle", "rle": [0, 1], "brushlabels": ["nv"]}, {"x": 1, "y": 2, "width": 0.5, "keypointlabels": ["nv"]}
    made, facts = read([task(polygon, oval, turned, brush, point)], "a.png")
    assert facts["a.png"].boxes[0] == [20, 15, 60, 45]
    assert facts["a.png"].boxes[1] == pytest.approx([20, 15, 60, 45]) and facts["a.png"].boxes[2] == pytest.approx([20, 15, 60, 45])
    assert len(facts["a.png"].outlines) == 3 and facts["a.png"].labels == ["nv", "nv", "lesion"]
    assert "its brush mask is cut short" in made.left_out[0]["reason"] and len(made.left_out) == 2


def test_uploaded_names(read):
    """The letters before an uploaded file's name are taken off where no image has them."""
    uploaded = "/data/upload/4/ab12cd34-a.png"
    assert list(read([task(BOX, image=uploaded)], "a.png")[1]) == ["a.png"]
    assert list(read([task(BOX, image=uploaded)], "a.png", "ab12cd34-a.png")[1]) == ["ab12cd34-a.png"]


def test_short_form_and_choices(read):
    """JSON-MIN is read too, and a choice is the label of its image."""
    short = {"image": "a.png", "id": 1, "annotation_id": 3, "lead_time": 1.5, "label": [BOX | SIZE], "annotator": 1}
    assert read([short], "a.png")[1]["a.png"].boxes == [[20, 15, 60, 45]]
    assert read([task({"choices": ["mel"]}, BOX)], "a.png")[1]["a.png"].label == "mel"


def packed(mask):
    """A mask [H, W] as Label Studio packs it: RGBA, runs of up to 65536 equal bytes, and bytes on their own."""
    values = np.repeat(mask.ravel() * np.uint8(255), 4)
    bits = f"{values.size:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}"
    edges = np.flatnonzero(np.diff(values, prepend=values[0] ^ 1, append=values[-1] ^ 1))
    for start, end in pairwise(edges.tolist()):
        for place in range(start, end, 2**16):
            bits += (
                f"111{min(end - place, 2**16) - 1:016b}{values[start]:08b}"
                if end - start != 4
                else f"000{3:03b}" + f"{values[start]:08b}" * 4
            )
    return list(int(bits + "0" * (-len(bits) % 8), 2).to_bytes(-(-len(bits) // 8)))


def test_brush_masks(read):
    """A brush mask is an outline: the pixels that are not transparent."""
    mask = np.zeros((80, 100), bool)
    mask[15:45, 20:60] = mask[50, 70] = True
    _, facts = read([task({"format": "rle", "rle": packed(mask), "brushlabels": ["nv"]})], "a.png")
    assert (outlined(facts["a.png"].outlines[0], (100, 80), (100, 80)) == mask).all()
    assert (facts["a.png"].boxes, facts["a.png"].label) == ([[20, 15, 71, 51]], "nv")


def test_brush_masks_of_another_size(read):
    """A brush mask that is not of the size of its image is left out with the reason."""
    made, facts = read([task({"format": "rle", "rle": packed(np.ones((8, 8), bool)), "brushlabels": ["nv"]})], "a.png")
    assert facts["a.png"].boxes is None and made.left_out[0]["reason"] == "its brush mask is of another size than its image"


@pytest.mark.parametrize(
    ("readers", "boxes"),
    [(None, [[25, 15, 65, 45], [90, 72, 95, 76]]), ("union", [[25, 15, 65, 45], [90, 72, 95, 76]]),
     ("majority", [[25, 15, 65, 45]]), ("first", [[20, 15, 60, 45]])],
)  # fmt: skip
def test_several_annotations(read, readers, boxes):
    """Where people mark one task differently, --readers says what counts; without it all objects do, and that is doubted."""
    both = task(BOX)
    both["annotations"].append(task(BOX | {"x": 30}, {"x": 90, "y": 90, "width": 5, "height": 5})["annotations"][0])
    made, facts = read([both], "a.png", readers=readers)
    assert np.allclose(facts["a.png"].boxes, boxes)
    assert "annotated several times and differently" in (made.notes if readers else made.doubts)[0]


def test_what_is_no_export(read):
    """Other JSON is refused, and odd tasks are left out."""
    for content in ([], {}, [{"image_id": 1}], 7):
        with pytest.raises(DataError, match="no JSON export of Label Studio"):
            read(content, "a.png")
    made, facts = read([task(BOX), 7, {"data": {}}, task(7, {"x": "y"}, [], {"points": 3})], "a.png", "b.png")
    assert not facts["a.png"].boxes[1:] and len(made.left_out) == 6
