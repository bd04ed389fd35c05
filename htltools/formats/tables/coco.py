"""COCO annotations: boxes by image."""

from pathlib import Path
from typing import Any

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.jsonlines import parsed_json
from htltools.formats.rows.row import Box
from htltools.formats.rows.schema import OBJECT, SIDE
from htltools.formats.tables.facts import SPLIT_WORDS, Facts, image_key


def read_coco(path: Path) -> dict[str, Facts]:
    """Facts by image key (see `image_key`) from COCO annotations. Images without annotations hold no object: their boxes are [].

    The category is the label of an image with a single one, and the class of each box where the file uses several. Boxes are in the
    frame of the image that the file declares. Crowd annotations are skipped. Of files that `write_coco` wrote, group, split, label and
    meta of an image are read as well, and so is `annotated`: where it is false, the boxes are not known.

    Raises: MissingInput; DataError where it is no COCO file.
    """
    try:
        content = parsed_json(path.read_bytes())
        return coco_facts(content)
    except FileNotFoundError:
        raise MissingInput(f"the annotations {path} are not there") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{path} is no COCO JSON of boxes ({type(error).__name__}: {error})") from None


def coco_facts(content: dict) -> dict[str, Facts]:
    """Facts by image key, from the content of a file."""
    categories = {category["id"]: str(category["name"]) for category in content.get("categories", [])}
    facts = {image["id"]: image_facts(image) for image in content["images"]}
    kinds: dict[int, list[str | None]] = {number: [] for number in facts}
    for annotation in content["annotations"]:
        if annotation.get("iscrowd"):
            continue
        x, y, width, height = (bounded(value) for value in annotation["bbox"])
        own = facts[annotation["image_id"]]
        own.boxes = [*(own.boxes or []), [x, y, x + width, y + height]]
        kinds[annotation["image_id"]].append(categories.get(annotation.get("category_id")))
    several = len({name for names in kinds.values() for name in names}) > 1
    for number, names in kinds.items():
        own, categories_of_image = facts[number], set(names) - {None}
        own.label = own.label or (categories_of_image.pop() if len(categories_of_image) == 1 else None)
        own.labels = [name or OBJECT for name in names] if several and own.boxes is not None else None
    return {image_key(str(image["file_name"])): facts[image["id"]] for image in content["images"]}


def image_facts(image: dict[str, Any]) -> Facts:
    """The facts that the entry of an image gives."""
    group, split, label = (value if isinstance(value := image.get(name), str) and value else None for name in ("group", "split", "label"))
    meta = image.get("meta")
    boxes: list[Box] | None = None if image.get("annotated") is False else []
    return Facts(group, SPLIT_WORDS.get(split or ""), label, boxes, None, frame_of(image), meta if isinstance(meta, dict) else {})


def frame_of(image: dict) -> tuple[float, float] | None:
    """(width, height) of an image; None where the file does not declare it."""
    width, height = image.get("width"), image.get("height")
    return (bounded(width), bounded(height)) if width and height else None


def bounded(value: Any) -> float:
    """A number of a box.

    Raises: ValueError where it is no number, or beyond SIDE.
    """
    if not abs(number := float(value)) <= SIDE:
        raise ValueError(f"{value!r} is no number of a box")
    return number
