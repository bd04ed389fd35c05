"""COCO JSON: boxes by image."""

from pathlib import Path
from typing import Any

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.jsonlines import parsed_json
from htltools.formats.rows.schema import OBJECT, SIDE
from htltools.formats.tables.csv_table import SPLIT_WORDS, Facts, image_key


def read_coco(path: Path) -> dict[str, Facts]:
    """Facts by image key from COCO annotations. Images without annotations hold no object: their boxes are [].

    The category is the label where an image has a single one, and the class of each box where the file uses several. Boxes are in
    the frame that the file says the image has. Crowd annotations are passed over. Of images that `htl view --to coco` wrote, group,
    split, label and meta come back, and so does `annotated`: where it is false, nobody has looked, and there are no boxes rather
    than none to find.

    Raises: MissingInput; DataError where it is no COCO file.
    """
    try:
        content = parsed_json(path.read_bytes())
        return facts_of(content)
    except FileNotFoundError:
        raise MissingInput(f"the annotations {path} are not there") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{path} is no COCO JSON of boxes ({type(error).__name__}: {error})") from None


def facts_of(content: dict) -> dict[str, Facts]:
    """Facts by image key."""
    categories = {category["id"]: str(category["name"]) for category in content.get("categories", [])}
    facts = {image["id"]: facts_of_image(image) for image in content["images"]}
    kinds: dict[int, list[str | None]] = {number: [] for number in facts}
    for annotation in content["annotations"]:
        if annotation.get("iscrowd"):
            continue
        x, y, width, height = (finite(value) for value in annotation["bbox"])
        told = facts[annotation["image_id"]]
        told.boxes = [*(told.boxes or []), [x, y, x + width, y + height]]
        kinds[annotation["image_id"]].append(categories.get(annotation.get("category_id")))
    several = len({name for names in kinds.values() for name in names}) > 1
    for number, names in kinds.items():
        own = set(names) - {None}
        facts[number].label = facts[number].label or (own.pop() if len(own) == 1 else None)
        facts[number].labels = [name or OBJECT for name in names] if several and facts[number].boxes is not None else None
    return {image_key(str(image["file_name"])): facts[image["id"]] for image in content["images"]}


def facts_of_image(image: dict[str, Any]) -> Facts:
    """What an image says of itself."""
    group, split, label = (value if isinstance(value := image.get(name), str) and value else None for name in ("group", "split", "label"))
    meta = image.get("meta")
    boxes = None if image.get("annotated") is False else []
    return Facts(group, SPLIT_WORDS.get(split), label, boxes, None, frame_of(image), meta if isinstance(meta, dict) else {})


def frame_of(image: dict) -> tuple[float, float] | None:
    """(width, height) where the file says it."""
    width, height = image.get("width"), image.get("height")
    return (finite(width), finite(height)) if width and height else None


def finite(value: Any) -> float:
    """A number.

    Raises: ValueError where it is none, or beyond all bounds.
    """
    if not abs(number := float(value)) <= SIDE:
        raise ValueError(f"{value!r} is no number of a box")
    return number
