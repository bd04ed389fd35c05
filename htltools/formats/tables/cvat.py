"""CVAT for images: an XML file with the shapes of all images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from htltools.errors import DataError
from htltools.formats.tables.facts import Annotations, Facts
from htltools.formats.tables.marked_images import MarkedImage, MarkedImages
from htltools.formats.tables.outlines import checked_number, ellipse, runs_of_rows, turned_polygon
from htltools.formats.tables.xml_file import parsed_xml

OTHERS = "polyline", "points", "cuboid", "skeleton"


def is_cvat(root: Element) -> bool:
    """Whether an XML file is an export of CVAT."""
    return root.tag == "annotations" and (root.find("image") is not None or root.find("track") is not None or root.find("meta") is not None)


def read_cvat(path: Path) -> Annotations:
    """What an export "CVAT for images" says. An image without shapes holds no object. Boxes, polygons, ellipses and masks are read.

    Turned boxes and ellipses are read as polygons. A tag is the label of its image, `subset` its split. Other shapes, and tracks of
    videos, are left out.

    Raises: MissingInput; DataError where it is no export of CVAT.
    """
    root = parsed_xml(path)
    if not is_cvat(root):
        raise DataError(f"{path} is no export of CVAT: it has no <annotations> of images")
    marked = MarkedImages(str(path))
    for place, element in enumerate(root.iter("image"), 1):
        name = element.get("name")
        if not name:
            marked.leave_out(f"image {place}", "it has no name")
            continue
        tags = {tag.get("label") for tag in element.iter("tag")} - {None}
        label = tags.pop() if len(tags) == 1 else None
        frame = numbers_of(element, ("width", "height"))
        size = (frame[0], frame[1]) if frame and min(frame) > 0 else None
        facts = Facts(split=marked.split_named(subset_of(element)), label=label, frame=size)
        add_shapes(marked, marked.add_image(name, facts), element, name)
    if tracks := sum(1 for _ in root.iter("track")):
        marked.leave_out(f"{tracks} tracks", "objects of videos are not read: export it as CVAT for images")
    return marked.annotations(path)


def subset_of(element: Element) -> str | None:
    """The subset of an image, `default` being none."""
    subset = element.get("subset")
    return None if subset in (None, "", "default", "Default") else subset


def add_shapes(marked: MarkedImages, image: MarkedImage, element: Element, name: str) -> None:
    """Add the shapes of one image."""
    for number, shape in enumerate(element, 1):
        part = f"shape {number} of {name}"
        if shape.tag in OTHERS:
            marked.leave_out(part, f"a shape of the kind {shape.tag} is no object")
        elif shape.tag in ("box", "polygon", "ellipse", "mask"):
            try:
                box, outline = drawn(shape, image.facts.frame)
            except (ValueError, OverflowError) as error:
                marked.leave_out(part, str(error), image)
                continue
            marked.mark(image, part, box, shape.get("label"), outline)


def drawn(shape: Element, frame: tuple[float, float] | None) -> tuple[list[float] | None, Any]:
    """Box and outline of a shape.

    Raises: ValueError with a short reason.
    """
    turned = numbers_of(shape, ("rotation",)) or [0.0]
    if shape.tag == "box":
        box = numbers_of(shape, ("xtl", "ytl", "xbr", "ybr"))
        if not box or not turned[0]:
            return box, None
        x0, y0, x1, y1 = box
        return None, turned_polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], turned[0])
    if shape.tag == "ellipse":
        values = numbers_of(shape, ("cx", "cy", "rx", "ry"))
        return None, ellipse((values[0], values[1]), (values[2], values[3]), turned[0]) if values else None
    if shape.tag == "polygon":
        points = [point.split(",") for point in (shape.get("points") or "").split(";")]
        return None, [[checked_number(value) for point in points for value in point]]
    piece = numbers_of(shape, ("left", "top", "width", "height"))
    if not piece or not frame:
        raise ValueError("its mask has no place in the image")
    left, top, width, height = (int(value) for value in piece)
    counts = [int(checked_number(value)) for value in (shape.get("rle") or "").split(",")]
    return None, runs_of_rows(counts, left, top, width, height, (int(frame[0]), int(frame[1])))


def numbers_of(element: Element, names: Sequence[str]) -> list[float] | None:
    """Attributes as numbers; None where one is missing.

    Raises: ValueError where one is no number.
    """
    texts = [element.get(name) for name in names]
    return [checked_number(text) for text in texts] if all(text is not None for text in texts) else None
