"""Random scenes, written by code that shares nothing with htl's readers: every box is where it was drawn, or its image is left out."""

import csv
import io
import json
import string
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

SIZE = 100, 80  # width, height of an image as it is seen
TURNS = {  # how an upright image is stored under each EXIF orientation
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "WEBP": ".webp"}
WORD = st.text(string.ascii_letters + string.digits + " _-äé", min_size=1, max_size=8).map(str.strip).filter(bool)


@dataclass
class Picture:
    """One image of a scene, and all that is true of it."""

    name: str  # without suffix, perhaps within a folder
    box: tuple[int, int, int, int]
    patient: str
    kind: str = "PNG"
    turn: int = 1

    @property
    def file(self) -> str:
        """Its path below the folder of images."""
        return self.name + SUFFIXES[self.kind]


@dataclass
class Scene:
    """Images with one lesion each, and how their annotation is written down."""

    pictures: list[Picture]
    layout: str
    dialect: dict = field(default_factory=dict)


@st.composite
def boxes(draw):
    """A box in an upright image, away from the border."""
    x0, y0 = draw(st.integers(4, 50)), draw(st.integers(4, 40))
    return x0, y0, x0 + draw(st.integers(12, 40)), y0 + draw(st.integers(12, 30))


@st.composite
def scenes(draw):
    """Up to four images; a few names may stand in two folders."""
    count = draw(st.integers(2, 4))
    folders = draw(st.sampled_from([[""], ["", "a/"], ["a/", "b/"], ["deep/er/"]]))
    names = draw(st.lists(WORD, min_size=count, max_size=count, unique_by=str.casefold))
    same = draw(st.booleans()) and len(folders) > 1
    paths = [folders[i % len(folders)] + (names[i // 2] if same else names[i]) for i in range(count)]
    patients = draw(st.lists(st.sampled_from(["P1", "P2", "007"]), min_size=count, max_size=count))
    kinds = draw(st.lists(st.sampled_from(list(SUFFIXES)), min_size=count, max_size=count))
    turns = draw(st.lists(st.sampled_from([1, 1, *TURNS]), min_size=count, max_size=count))
    pictures = [Picture(*each) for each in zip(paths, draw(st.lists(boxes(), min_size=count, max_size=count)), patients, kinds, turns)]
    dialect = {
        "delimiter": draw(st.sampled_from(",;\t")),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])),
        "patient": draw(st.sampled_from(["patient_id", "PatientID", "Patient ID", "subject_id", "patient"])),
        "name": draw(st.sampled_from(["image", "filename", "image_id", "path", "Image Name"])),
        "columns": draw(st.sampled_from(["xyxy", "minmax", "xywh"])),
        "newline": draw(st.sampled_from(["\n", "\r\n"])),
        "with_suffix": draw(st.booleans()),
        "order": draw(st.randoms(use_true_random=False)),
    }
    return Scene(pictures, draw(st.sampled_from(["table", "masks", "coco", "yolo", "voc"])), dialect)


def pixels(box) -> Image.Image:
    """An upright image with a bright lesion at the box."""
    values = np.random.default_rng(sum(box)).integers(40, 70, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
    x0, y0, x1, y1 = box
    values[y0:y1, x0:x1] = 210, 160, 120
    return Image.fromarray(values)


def write_image(path: Path, picture: Picture) -> None:
    """The image as a camera stores it: turned, with a tag that says how."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image, exif = pixels(picture.box), Image.Exif()
    if picture.turn != 1:
        image = image.transpose(TURNS[picture.turn])
        exif[0x0112] = picture.turn
    image.save(path, picture.kind, exif=exif, **({"quality": 95} if picture.kind in ("JPEG", "WEBP") else {}))


def written(scene: Scene, folder: Path) -> list[str]:
    """Write a scene as its layout says; the arguments of `htl prepare`."""
    for picture in scene.pictures:
        write_image(folder / "images" / picture.file, picture)
    shuffled = scene.pictures[:]
    scene.dialect["order"].shuffle(shuffled)
    return LAYOUTS[scene.layout](shuffled, scene.dialect, folder)


def as_table(pictures, dialect, folder) -> list[str]:
    """A table with boxes."""
    headings = {"xyxy": ["x0", "y0", "x1", "y1"], "minmax": ["xmin", "ymin", "xmax", "ymax"], "xywh": ["x", "y", "width", "height"]}
    lines = [[dialect["name"], dialect["patient"], *headings[dialect["columns"]]]]
    for picture in pictures:
        x0, y0, x1, y1 = picture.box
        numbers = (x0, y0, x1 - x0, y1 - y0) if dialect["columns"] == "xywh" else picture.box
        lines.append([picture.file if dialect["with_suffix"] else picture.name, picture.patient, *numbers])
    write_csv(folder / "metadata.csv", lines, dialect)
    return [str(folder)]


def write_csv(path: Path, lines, dialect) -> None:
    """A CSV in some dialect."""
    text = io.StringIO()
    csv.writer(text, delimiter=dialect["delimiter"], lineterminator=dialect["newline"]).writerows(lines)
    path.write_bytes(text.getvalue().encode(dialect["encoding"]))


def as_masks(pictures, dialect, folder) -> list[str]:
    """Upright masks, and a table of patients. Masks of turned images are turned as these are seen."""
    for picture in pictures:
        mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
        x0, y0, x1, y1 = picture.box
        mask[y0:y1, x0:x1] = 255
        path = folder / "masks" / f"{picture.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    names = [(picture.file if dialect["with_suffix"] else picture.name, picture.patient) for picture in pictures]
    write_csv(folder / "metadata.csv", [[dialect["name"], dialect["patient"]], *names], dialect)
    return [str(folder)]


def as_coco(pictures, dialect, folder) -> list[str]:
    """COCO annotations of the upright images."""
    images = [{"id": i, "file_name": p.file, "width": SIZE[0], "height": SIZE[1], "group": p.patient} for i, p in enumerate(pictures, 1)]
    annotations = []
    for number, picture in enumerate(pictures, 1):
        x0, y0, x1, y1 = picture.box
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "lesion"}]}
    (folder / "coco.json").write_text(json.dumps(content))
    return [str(folder / "images"), "--coco", str(folder / "coco.json")]


def as_yolo(pictures, dialect, folder) -> list[str]:
    """labels/ beside images/, boxes as shares around their middle."""
    (folder / "data.yaml").write_text("path: .\ntrain: images\nnames: [lesion]\n")
    for picture in pictures:
        x0, y0, x1, y1 = picture.box
        shares = (x0 + x1) / 2 / SIZE[0], (y0 + y1) / 2 / SIZE[1], (x1 - x0) / SIZE[0], (y1 - y0) / SIZE[1]
        path = folder / "labels" / f"{picture.name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0 " + " ".join(f"{share:.8f}" for share in shares) + "\n")
    return [str(folder)]


def as_voc(pictures, dialect, folder) -> list[str]:
    """Annotations/*.xml; the first pixel is 1 and the last one belongs to the box."""
    for picture in pictures:
        x0, y0, x1, y1 = picture.box
        path = folder / "Annotations" / f"{picture.name}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        edges = f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>"
        thing = f"<object><name>lesion</name><bndbox>{edges}</bndbox></object>"
        path.write_text(f"<annotation><filename>{Path(picture.file).name}</filename>{size}{thing}</annotation>", "utf-8")
    return [str(folder)]


LAYOUTS = {"table": as_table, "masks": as_masks, "coco": as_coco, "yolo": as_yolo, "voc": as_voc}
SLACK = {"masks": 0, "table": 0, "coco": 0, "yolo": 0.01, "voc": 1}  # pixels


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(scenes())
def test_boxes_are_where_they_were_drawn_or_the_image_is_left_out(htl, tmp_path_factory, scene):
    """Whatever the layout, names, dialect, format and orientation: no box at a wrong place, no patient in two splits or split up."""
    folder = tmp_path_factory.mktemp("scene")
    arguments = written(scene, folder)
    code, out, err = htl("prepare", *arguments, "-o", folder / "store", "-j", 1, "--size", 32)
    assert code in (0, 65), err
    rows = [row for row in map(json.loads, out.splitlines()) if "htl" not in row] if code == 0 else []
    by_name = {picture.name: picture for picture in scene.pictures} | {picture.file: picture for picture in scene.pictures}
    for row in rows:
        picture = by_name[row["id"]]
        assert row["size"] == list(SIZE), err
        assert len(row["boxes"]) == 1, (row, picture, err)
        assert max(abs(ours - drawn) for ours, drawn in zip(row["boxes"][0], picture.box)) <= SLACK[scene.layout], (row, picture, err)
        if scene.layout in ("table", "masks", "coco") and code == 0:
            assert row.get("group") == picture.patient, (row, picture, err)
    splits = {}
    for row in rows:
        assert splits.setdefault(by_name[row["id"]].patient, row["split"]) == row["split"] or scene.layout in ("yolo", "voc")
    told = len(rows) + sum(json.loads(line).get("kept") is None for line in skipped(folder / "store"))
    assert code or told >= len(scene.pictures), err


def skipped(store: Path) -> list[str]:
    """The lines of what was left out."""
    path = store / "skips.jsonl"
    return [line for line in path.read_text().splitlines() if '"htl"' not in line] if path.exists() else []
