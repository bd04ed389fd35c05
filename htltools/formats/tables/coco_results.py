"""COCO results, the predictions of another tool: a JSON list of {image_id, category_id, bbox, score}."""

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.jsonlines import parsed_json
from htltools.formats.tables.coco import category_names, id_key

REMEDY = "they are a list of {image_id, category_id, bbox: [x, y, width, height], score}"
NUMBERED = "name the data set that was predicted on with --coco"


class Result(NamedTuple):
    """One predicted object: the name of its image, [x0, y0, x1, y1] in pixels of the original image, its category_id as text, its score."""

    image: str
    box: list[float]
    category: str | None
    score: float


@dataclass(frozen=True)
class DataSet:
    """A COCO data set that numbers images and categories: names by id as text. `shared`: ids that several images have."""

    path: Path
    images: dict[str, str]
    categories: dict[str, str]
    shared: set[str] = field(default_factory=set)


def is_json(path: Path) -> bool:
    """Whether a file is JSON by its first character, which no checkpoint and no ONNX file starts with."""
    try:
        with path.open("rb") as file:
            return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")
    except OSError:
        return False


def read_results(path: Path, data_set: DataSet | None = None) -> list[Result]:
    """The objects of a file of results, in its order.

    `data_set`: where an image_id is the number of an image; without it the image_id itself is the name of the image, or where that is a
    number, the `file_name` beside it.

    Raises: MissingInput; DataError where the file is no list of results, names an image that is not in the data set, numbers images
    or uses several categories without one.
    """
    try:
        results = checked_results(parsed_json(path.read_bytes().removeprefix(b"\xef\xbb\xbf")), data_set)
    except FileNotFoundError:
        raise MissingInput(f"the predictions {path} are not there") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{path} holds no COCO results ({type(error).__name__}: {error})", REMEDY) from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    categories = {result.category for result in results}
    if data_set is None and len(categories) > 1:
        raise DataError(f"{path} has predictions of {len(categories)} categories, and nothing says which they are", NUMBERED)
    return results


def checked_results(results: Any, data_set: DataSet | None) -> list[Result]:
    """As `read_results`, from the content of a file."""
    if not isinstance(results, list):
        raise TypeError("it is no list")
    checked = []
    for result in results:
        x, y, width, height = (float(value) for value in result["bbox"])
        score = float(result["score"])
        if not all(map(math.isfinite, (x, y, width, height, score))):
            raise ValueError(f"a number of {result['image_id']!r} is not finite")
        number, file_name = result["image_id"], result.get("file_name")
        is_named = data_set is None and isinstance(number, int) and isinstance(file_name, str)  # as Ultralytics names images 0001.png
        name = str(file_name) if is_named else image_name(number, data_set)
        checked.append(Result(name, [x, y, x + width, y + height], id_key(result.get("category_id")), score))
    return checked


def image_name(image_id: Any, data_set: DataSet | None) -> str:
    """The name of an image by its image_id.

    Raises: DataError where a number has no data set, the data set has no such image, or several.
    """
    if not isinstance(image_id, (str, int)) or isinstance(image_id, bool):
        raise TypeError(f"image_id is {image_id!r}, neither a text nor a whole number")
    if data_set is None:
        if isinstance(image_id, int):
            raise DataError(f"the image_id {image_id} is a number, and nothing says which image that is", NUMBERED)
        return image_id
    key = str(image_id)
    if key in data_set.shared:
        raise DataError(f"several images of {data_set.path} share the id {key}", "give each its own")
    if key not in data_set.images:
        raise DataError(f"the image {image_id!r} is none of the data set", "name the one that it was predicted on with --coco")
    return data_set.images[key]


def read_data_set(path: Path) -> DataSet:
    """The names of images and categories of a COCO data set. Entries without id or name are passed over.

    Raises: MissingInput; DataError where it is none.
    """
    try:
        content = parsed_json(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
        images, categories = content["images"], category_names(content.get("categories"))
        entries = {(key, str(image["file_name"])) for image in images if (key := id_key(image.get("id"))) and image.get("file_name")}
    except FileNotFoundError:
        raise MissingInput(f"the data set {path} is not there") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{path} is no COCO JSON with images ({type(error).__name__}: {error})") from None
    counts = Counter(key for key, _ in entries)
    named = {key: name for key, name in categories.items() if key is not None}
    return DataSet(path, dict(entries), named, {key for key, count in counts.items() if count > 1})
