"""COCO results, the predictions of another tool: a JSON list of {image_id, category_id, bbox, score}."""

import math
from pathlib import Path
from typing import Any

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.jsonlines import parsed_json
from htltools.formats.tables.facts import image_key


def is_json(path: Path) -> bool:
    """Whether a file is JSON by its first character, which no checkpoint and no ONNX file starts with."""
    try:
        with path.open("rb") as file:
            return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")
    except OSError:
        return False


def read_results(path: Path, images: dict[str, str] | None = None) -> dict[str, list[float]]:
    """The box of highest score by image key, [x0, y0, x1, y1] in pixels of the original image; the first of equal scores.

    `images`: the key of each image by its image_id, as `read_images` gives them; without them the image_id itself is the name of
    the image.

    Raises: MissingInput; DataError where the file is no list of results, or names an image that is not among `images`.
    """
    best: dict[str, tuple[float, list[float]]] = {}
    for key, box, _, score in results_of(path, images):
        if key not in best or score > best[key][0]:
            best[key] = score, box
    return {key: box for key, (_, box) in best.items()}


def read_objects(
    path: Path, images: dict[str, str] | None, categories: dict[str, str] | None, only: str
) -> dict[str, list[tuple[list[float], str, float]]]:
    """All boxes by image key, each with the name of its category and its score.

    `categories`: names by category_id; without them everything is of the category `only`.

    Raises: as `read_results`; DataError also for a category that is none of them.
    """
    objects: dict[str, list[tuple[list[float], str, float]]] = {}
    for key, box, category, score in results_of(path, images):
        if categories is None:
            objects.setdefault(key, []).append((box, only, score))
            continue
        if str(category) not in categories:
            known = ", ".join(f"{number} {name}" for number, name in categories.items())
            remedy = "name the data set that it was predicted on with --coco"
            raise DataError(f"{path}: the category {category!r} is none of {known}", remedy)
        objects.setdefault(key, []).append((box, categories[str(category)], score))
    return objects


def results_of(path: Path, images: dict[str, str] | None) -> list[tuple[str, list[float], Any, float]]:
    """Image key, box [x0, y0, x1, y1], category_id and score of each result."""
    try:
        return checked_results(parsed_json(path.read_bytes()), images)
    except FileNotFoundError:
        raise MissingInput(f"the predictions {path} are not there") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        cause = f"{path} holds no COCO results ({type(error).__name__}: {error})"
        raise DataError(cause, "they are a list of {image_id, category_id, bbox: [x, y, width, height], score}") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def checked_results(results: Any, images: dict[str, str] | None) -> list[tuple[str, list[float], Any, float]]:
    """As `results_of`, from the content of a file."""
    if not isinstance(results, list):
        raise TypeError("it is no list")
    checked = []
    for result in results:
        x, y, width, height = (float(value) for value in result["bbox"])
        score = float(result["score"])
        if not all(map(math.isfinite, (x, y, width, height, score))):
            raise ValueError(f"a number of {result['image_id']!r} is not finite")
        checked.append((image_key_of(result["image_id"], images), [x, y, x + width, y + height], result.get("category_id"), score))
    return checked


def image_key_of(image_id: str | int, images: dict[str, str] | None) -> str:
    """The image key of an image_id.

    Raises: DataError where the data set has no such image.
    """
    if not isinstance(image_id, (str, int)):
        raise TypeError(f"image_id is {image_id!r}, neither a text nor a whole number")
    if images is None:
        return image_key(str(image_id))
    if str(image_id) not in images:
        raise DataError(f"the image {image_id!r} is none of the data set", "name the one that it was predicted on with --coco")
    return images[str(image_id)]


def read_images(path: Path) -> dict[str, str]:
    """The image key of each image of a COCO data set, by its id.

    Raises: MissingInput; DataError where it is none.
    """
    try:
        return {str(image["id"]): image_key(str(image["file_name"])) for image in parsed_json(path.read_bytes())["images"]}
    except FileNotFoundError:
        raise MissingInput(f"the data set {path} is not there") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{path} is no COCO JSON with images ({type(error).__name__}: {error})") from None


def read_categories(path: Path) -> dict[str, str]:
    """The name of each category of a COCO data set, by its id.

    Raises: MissingInput; DataError where it has none.
    """
    try:
        return {str(category["id"]): str(category["name"]) for category in parsed_json(path.read_bytes())["categories"]}
    except FileNotFoundError:
        raise MissingInput(f"the data set {path} is not there") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no COCO JSON with categories ({type(error).__name__}: {error})") from None


def result_of(results: dict[str, list], name: str) -> list | None:
    """The results for the row of that name: under its name, its bare name, or its number, which some tools write without leading zeros.

    >>> result_of({"12": [0, 0, 1, 1]}, "val/000012")
    [0, 0, 1, 1]
    """
    key = image_key(name)
    bare = key.rpartition("/")[2]
    number = str(int(bare)) if bare.isascii() and bare.isdecimal() else bare
    return next((results[known] for known in (key, bare, number) if known in results), None)
