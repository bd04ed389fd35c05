"""COCO annotations: boxes and outlines by image."""

from pathlib import Path
from typing import Any

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.jsonlines import parsed_json
from htltools.formats.tables.facts import Annotations, Facts
from htltools.formats.tables.marked_images import MarkedImage, MarkedImages
from htltools.formats.tables.outlines import checked_number


def read_coco(path: Path) -> Annotations:
    """What COCO annotations say. Images without annotations hold no object: their boxes are [].

    The category is the label of an image with a single one, and the class of each box where the file uses several. Boxes and outlines
    are in the frame of the image that the file declares. Crowd regions are not used, and images with nothing else are not annotated. Of
    files that `write_coco` wrote, group, split, label and meta of an image are read as well, and so is `annotated`: where it is false,
    the boxes are not known. Ids are compared as text. Annotations and images that cannot be used are left out with their reason.

    Raises: MissingInput; DataError where it is no COCO file.
    """
    content = json_of(path)
    if not is_coco(content):
        raise DataError(f"{path} is no COCO JSON: it has no lists `images` and `annotations`")
    return coco_annotations(content, path)


def json_of(path: Path) -> Any:
    """The content of a JSON file.

    Raises: MissingInput; DataError where it is none.
    """
    try:
        return parsed_json(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except FileNotFoundError:
        raise MissingInput(f"the annotations {path} are not there") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error})") from None


def is_coco(content: Any) -> bool:
    """Whether the content of a JSON file is a COCO data set."""
    return isinstance(content, dict) and all(isinstance(content.get(name), list) for name in ("images", "annotations"))


def coco_annotations(content: dict[str, Any], path: Path) -> Annotations:
    """What the content of a file says, see `read_coco`."""
    marked = MarkedImages(str(path))
    images = images_by_id(content["images"], marked)
    categories = category_names(content.get("categories"))
    unnamed = 0
    for place, annotation in enumerate(content["annotations"], 1):
        if not isinstance(annotation, dict):
            marked.leave_out(f"annotation {place} of the list", "it is no object of JSON")
            continue
        part = f"annotation {str(annotation['id'])[:40] if 'id' in annotation else f'{place} of the list'}"
        name = id_key(annotation.get("image_id"))
        if name not in images:
            known = "it has no image_id" if name is None else f"its image {name} is none of the file"
            marked.leave_out(part, known)
            continue
        if (image := images[name]) is None:
            continue  # of an image that is left out
        if annotation.get("iscrowd") in (1, "1", True):
            image.crowds += 1
            continue
        category = categories.get(id_key(annotation.get("category_id")))
        unnamed += category is None
        marked.mark(image, part, annotation.get("bbox"), category, annotation.get("segmentation"), sized=True)
    notes = [f"{unnamed} annotations have a category that the file does not name"] if unnamed and categories else []
    return marked.annotations(path, notes)


def images_by_id(entries: list, marked: MarkedImages) -> dict[str, MarkedImage | None]:
    """The images by id, None for those that are left out: several images that share an id, and entries without id or name."""
    names: dict[str, dict[str, None]] = {}
    images: dict[str, MarkedImage | None] = {}
    for place, entry in enumerate(entries, 1):
        number, name = (entry.get("id"), entry.get("file_name")) if isinstance(entry, dict) else (None, None)
        if (key := id_key(number)) is None or not isinstance(name, str) or not name:
            missing = "id" if key is None else "file_name"
            marked.leave_out(name if isinstance(name, str) and name else f"image {place} of the list", f"it has no {missing}")
            if key is not None:
                images.setdefault(key, None)
            continue
        names.setdefault(key, {})[name] = None
        classed = "annotated" not in entry or "labels" in entry  # of a row that `write_coco` wrote
        images[key] = marked.add_image(name, image_facts(entry, marked), annotated=entry.get("annotated") is not False, classed=classed)
    for key, own in names.items():
        if len(own) > 1:
            images[key] = None
            for name in own:
                marked.refuse(name, f"{len(own)} images of {marked.source} share the id {key}")
    return images


def id_key(number: Any) -> str | None:
    """An id as text, so that 1 and "1" are one; None where it is none.

    >>> id_key(7), id_key("7"), id_key(7.0), id_key(None), id_key([])
    ('7', '7', '7', None, None)
    """
    if type(number) is int:
        return str(number)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    return str(number) if isinstance(number, (int, str)) and not isinstance(number, bool) else None


def category_names(categories: Any) -> dict[str | None, str]:
    """The names of categories by id as text; entries without one are passed over."""
    entries = [entry for entry in categories if isinstance(entry, dict)] if isinstance(categories, list) else []
    return {key: str(entry["name"]) for entry in entries if (key := id_key(entry.get("id"))) is not None and entry.get("name") is not None}


def image_facts(entry: dict[str, Any], marked: MarkedImages) -> Facts:
    """The facts that the entry of an image gives."""
    group, label = (id_key(entry.get(name)) or None for name in ("group", "label"))
    meta = entry.get("meta")
    split = marked.split_named(entry.get("split"))
    return Facts(group, split, label, None, None, frame_of(entry), dict(meta) if isinstance(meta, dict) else {})


def frame_of(entry: dict[str, Any]) -> tuple[float, float] | None:
    """(width, height) of an image; None where the file does not declare it."""
    try:
        width, height = (checked_number(entry.get(name)) for name in ("width", "height"))
    except (ValueError, TypeError, OverflowError):
        return None
    return (width, height) if min(width, height) > 0 else None
