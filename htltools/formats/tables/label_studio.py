"""Label Studio: a JSON export, a list of tasks with the regions that people marked."""

import re
from pathlib import Path
from typing import Any

from htltools.errors import DataError
from htltools.formats.csv.readers import agreed_boxes
from htltools.formats.tables.brush_masks import brush_outline
from htltools.formats.tables.coco import json_of
from htltools.formats.tables.facts import Annotations, Facts, KnownImages
from htltools.formats.tables.marked_images import MarkedImage, MarkedImages, shown
from htltools.formats.tables.outlines import Outline, box_of_outline, checked_number, ellipse, turned_polygon

UPLOADED = re.compile(r"(.*[/\\])?[0-9a-f]{8}-(?P<name>[^/\\]+)")  # Label Studio puts it before the name of an uploaded file
USUAL = "image", "img", "image_url", "url", "file", "path"  # keys of the image of a task
OF_A_TASK = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}  # keys of a task in the short export


def is_label_studio(content: Any) -> bool:
    """Whether the content of a JSON file is an export of Label Studio, in full or the short form (JSON-MIN)."""
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, dict):
        return False
    return ("data" in first and ("annotations" in first or "completions" in first)) or ("annotation_id" in first and "lead_time" in first)


def read_label_studio(path: Path, images: KnownImages, readers: str | None = None) -> Annotations:
    """What an export says. A finished annotation without regions means that the image holds no object; a skipped task says nothing.

    Rectangles, polygons, ellipses and brush masks are read, in per cent of the sides of the image; other regions are left out. Turned
    rectangles are read as polygons. Several annotations of one task are those of several readers, see `agreed_boxes`; but for `first`
    they keep no outlines. A choice is the label of its image. The name of an uploaded image is also known without the letters that
    Label Studio puts before it.

    Raises: MissingInput; DataError where it is no export of Label Studio.
    """
    content = json_of(path)
    if not is_label_studio(content):
        raise DataError(f"{path} is no JSON export of Label Studio")
    marked = MarkedImages(str(path))
    several: list[str] = []
    for place, task in enumerate(content, 1):
        name = image_of(task, images) if isinstance(task, dict) else None
        if name is None:
            marked.leave_out(f"task {place}", "it names no image")
            continue
        finished = regions_of(task)
        differing = any(own != finished[0] for own in finished[1:])
        image = marked.add_image(name, Facts(), annotated=bool(finished))
        if differing and readers != "first":
            add_agreed(marked, image, finished, name, readers or "union")
        else:
            add_regions(marked, image, finished[0] if finished else [], name)
        several += [name] if differing else []
    made = marked.annotations(path, shares=True)
    if several:
        said = f"{len(several)} images were annotated several times and differently, such as {shown(several)}"
        outlines = "" if readers == "first" else "; their outlines are not kept"
        if readers:
            made.notes.append(f"{said}: --readers {readers}{outlines}")
        else:
            made.doubts.append(
                f"{said}: all objects are kept, those that overlap by half as one (--readers union){outlines}; see --readers"
            )
    return made


def add_regions(marked: MarkedImages, image: MarkedImage, regions: list[Any], name: str) -> None:
    """Add the regions of one annotation of an image."""
    for number, region in enumerate(regions, 1):
        add_region(marked, image, region, f"region {number} of {name}")


def add_agreed(marked: MarkedImages, image: MarkedImage, finished: list[list[Any]], name: str, rule: str) -> None:
    """Add the objects of several annotations of an image, without outlines; of several choices the first."""
    by_reader = [MarkedImage(Facts()) for _ in finished]
    for reader, own, regions in zip(range(len(finished)), by_reader, finished, strict=True):
        add_regions(marked, own, regions, f"{name}, annotation {reader + 1}")
    objects = [(tuple(box), kind or "", f"{reader:06}") for reader, own in enumerate(by_reader) for box, kind, _ in own.objects.values()]
    for box, kind in agreed_boxes(objects, [f"{reader:06}" for reader in range(len(finished))], rule):
        marked.mark(image, name, box, kind or None)
    image.unusable += sum(own.unusable for own in by_reader)
    for facts in (own.facts for own in by_reader):
        marked.merge(name, image.facts, facts)


def image_of(task: dict[str, Any], images: KnownImages) -> str | None:
    """The name of the image of a task: its value that fits an image, the usual keys first; None where there is none."""
    data = task["data"] if isinstance(task.get("data"), dict) else {key: value for key, value in task.items() if key not in OF_A_TASK}
    keys = [*(key for key in USUAL if key in data), *(key for key in data if key not in USUAL)]
    texts = [text for key in keys if isinstance(text := data[key], str) and text]
    for text in texts:
        uploaded = UPLOADED.fullmatch(text)
        for name in (text, uploaded["name"] if uploaded else ""):
            if name and images.candidates(name)[1]:
                return name
    return texts[0] if texts else None


def regions_of(task: dict[str, Any]) -> list[list[Any]]:
    """The regions of each finished annotation of a task."""
    if not isinstance(task.get("data"), dict):
        return [[region for value in task.values() if isinstance(value, list) for region in value]]
    annotations = task.get("annotations", task.get("completions"))
    finished = [each for each in annotations if isinstance(each, dict)] if isinstance(annotations, list) else []
    results = [each.get("result") for each in finished if not each.get("was_cancelled")]
    return [result for result in results if isinstance(result, list)]


def add_region(marked: MarkedImages, image: MarkedImage, region: Any, part: str) -> None:
    """Add one region of an image, an object or a choice."""
    value = region.get("value", region) if isinstance(region, dict) else None
    if not isinstance(value, dict):
        return marked.leave_out(part, "it is no region", image)
    if "choices" in value:
        choices = value["choices"]
        image.facts.label = image.facts.label or (str(choices[0]) if isinstance(choices, list) and len(choices) == 1 else None)
        return None
    if "text" in value or "rating" in value or "taxonomy" in value:
        return None
    try:
        frame = frame_of(region)
        box, outline = drawn(value, frame)
        image.facts.frame = image.facts.frame or frame
        marked.mark(image, part, box, class_of(value), outline)
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        marked.leave_out(part, str(error) if type(error) is ValueError else "its numbers are missing", image)


def class_of(value: dict[str, Any]) -> str | None:
    """The class of a region."""
    names = next((own for key, own in value.items() if key.endswith("labels") and isinstance(own, list) and own), None)
    return str(names[0]) if names else None


def frame_of(region: dict[str, Any]) -> tuple[float, float] | None:
    """(width, height) of the image of a region; None where it does not say."""
    width, height = (checked_number(region.get(f"original_{side}") or 0) for side in ("width", "height"))
    return (width, height) if min(width, height) > 0 else None


def drawn(value: dict[str, Any], frame: tuple[float, float] | None) -> tuple[list[float] | None, Outline | None]:
    """Box and outline of a region, as shares of the image's sides.

    Raises: ValueError with a short reason; KeyError, TypeError where its numbers are missing.
    """
    degrees = checked_number(value.get("rotation") or 0)
    width, height = frame or (1.0, 1.0)
    if degrees and not frame:
        raise ValueError("it is turned, and the size of its image is not told")
    if "points" in value:
        return None, [[checked_number(number) / 100 for point in value["points"] for number in (point[0], point[1])]]
    if "radiusX" in value:
        x, y, across, down = (checked_number(value[key]) / 100 for key in ("x", "y", "radiusX", "radiusY"))
        return None, as_shares(ellipse((x * width, y * height), (across * width, down * height), degrees), width, height)
    if "rle" in value:
        outline = brush_outline(value["rle"], frame)
        return [edge / side for edge, side in zip(box_of_outline(outline), (width, height) * 2)], outline
    if "width" not in value:
        raise ValueError("a region of this kind is not read: export it as COCO, or as PNG files of masks")
    x, y, across, down = (checked_number(value[key]) / 100 for key in ("x", "y", "width", "height"))
    if not degrees:
        return [x, y, x + across, y + down], None
    corners = [(x, y), (x + across, y), (x + across, y + down), (x, y + down)]
    in_pixels = [(left * width, top * height) for left, top in corners]
    return None, as_shares(turned_polygon(in_pixels, degrees, in_pixels[0]), width, height)


def as_shares(polygons: list[list[float]], width: float, height: float) -> list[list[float]]:
    """Polygons in pixels as shares of the image's sides."""
    return [[number / (height if place % 2 else width) for place, number in enumerate(polygon)] for polygon in polygons]
