"""YOLO data sets: a text file for each image, whose lines are a class and a box or polygon as shares of the image's sides."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from htltools.errors import DataError, MissingInput
from htltools.formats.tables.facts import Annotations, Facts, KnownImages
from htltools.formats.tables.marked_images import MarkedImages, shown

LABELS, IMAGES = "labels", "images"
NAMES_FILES = "classes.txt", "obj.names", "_darknet.labels"  # a class a line
LONGEST = 2**20  # bytes of a data.yaml
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BEYOND = 0.5  # of a side, that a box may leave its image
SPLIT_KEYS = "train", "val", "test"
NO_LABELS = {"classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "readme.txt", "license.txt", "requirements.txt"}


def read_yolo(folder: Path, images: KnownImages, settings: Path | None = None) -> Annotations:
    """What a YOLO data set says. An empty text file means that the image holds no object; an image without one is not annotated.

    Classes and splits come from `settings`, or the data.yaml of the folder, or classes from classes.txt or obj.names. The image of
    labels/train/a.txt is images/train/a with any suffix, or the file beside it. Lines that cannot be used are left out.

    Raises: MissingInput; DataError where the folder holds no label file, or its data.yaml is damaged.
    """
    settings = settings or settings_in(folder)
    content = settings_of(settings) if settings else {}
    names = class_names(content.get("names"), folder)
    marked = MarkedImages(str(settings or folder))
    splits = Splits(content, settings.parent if settings else folder)
    keypoints = "kpt_shape" in content
    files = list(label_files(folder, images, everywhere=bool(settings or names)))
    for path in files:
        name = image_of(path)
        image = marked.add_image(name, Facts(split=splits.of(name)))
        for number, line in enumerate(lines_of(path, marked), 1):
            if line.strip():
                part = f"line {number} of {path.relative_to(folder)}"
                try:
                    category, box, outline = parsed_line(line.split(), keypoints=keypoints)
                except ValueError as error:
                    marked.leave_out(part, str(error), image)
                    continue
                marked.mark(image, part, box, names.get(category, str(category)), outline)
    if not files:
        raise DataError(f"{settings or folder} names no label file: there is no {LABELS}/ with .txt files in {folder}")
    made = marked.annotations(settings or folder, splits.notes(), shares=True)
    if splits.used:
        made.roles["splits"] = str(settings)
    return made


def settings_in(folder: Path) -> Path | None:
    """The data.yaml of a folder: the YAML file there that has `names`, the usual one first; None where there is none."""
    known = sorted((path for path in folder.iterdir() if path.suffix.lower() in (".yaml", ".yml")), key=lambda path: path.stem != "data")
    for path in known:
        try:
            if "names" in settings_of(path):
                return path
        except DataError:
            if path.stem == "data":
                raise
    return None


def settings_of(path: Path) -> dict[str, Any]:
    """The content of a data.yaml.

    Raises: MissingInput; DataError.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise DataError(f"{path} is no data.yaml of YOLO: it is larger than {LONGEST} bytes")
        content = yaml.load(data, LOADER)
    except FileNotFoundError:
        raise MissingInput(f"the annotations {path} are not there") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"{path} is no YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} is no data.yaml of YOLO: it has no keys")
    return content


def class_names(names: Any, folder: Path) -> dict[int, str]:
    """Class names by number, from a list or mapping, or else from a file of the folder that lists them."""
    if isinstance(names, list):
        names = dict(enumerate(names))
    if isinstance(names, dict):
        return {int(number): str(name) for number, name in names.items() if is_number(number) and isinstance(name, (str, int, float))}
    for path in (place / name for place in (folder, folder / LABELS) for name in NAMES_FILES):
        if path.is_file():
            lines = path.read_text("utf-8", "replace").splitlines()
            return {number: line.strip() for number, line in enumerate(lines) if line.strip()}
    return {}


def is_number(value: Any) -> bool:
    """Whether a key of `names` is the number of a class."""
    return type(value) is int or (isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10)


def label_files(folder: Path, images: KnownImages, *, everywhere: bool) -> Iterable[Path]:
    """The label files below a folder, in order: those in folders `labels`, and with `everywhere` those beside images of their name."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        in_labels = LABELS in Path(root).parts[len(folder.parent.parts) :]
        for name in sorted(files):
            path = Path(root, name)
            if path.suffix.lower() != ".txt" or name.startswith(".") or name.lower() in NO_LABELS or not path.is_file():
                continue
            if in_labels or (everywhere and images.candidates(image_of(path))[1]):
                yield path


def image_of(path: Path) -> str:
    """The path of the image of a label file, without suffix.

    >>> image_of(Path("/y/labels/train/a.txt"))
    '/y/images/train/a'
    """
    parts = list(Path(os.path.abspath(path)).with_suffix("").parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == LABELS]
    if places:
        parts[places[-1]] = IMAGES
    return str(Path(*parts))


def lines_of(path: Path, marked: MarkedImages) -> list[str]:
    """The lines of a label file; none where it cannot be read, which is left out with its reason."""
    try:
        return path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no text"
        marked.refuse(image_of(path), f"its label file cannot be read ({reason})")
        return []


def parsed_line(fields: list[str], *, keypoints: bool = False) -> tuple[int, list[float] | None, list[float] | None]:
    """The class, and the box [x0, y0, x1, y1] or the polygon [x, y, ...] of a line. Of key points the box alone is used.

    >>> parsed_line("0 0.5 0.5 0.5 0.25".split()), parsed_line("1 0 0 .5 0 .5 1".split())
    ((0, [0.25, 0.375, 0.75, 0.625], None), (1, None, [0.0, 0.0, 0.5, 0.0, 0.5, 1.0]))

    Raises: ValueError with a short reason.
    """
    try:
        category, *numbers = (float(field) for field in fields)
    except ValueError:
        raise ValueError("it is no class with numbers") from None
    if not (0 <= category < 2**31 and category.is_integer()):
        raise ValueError(f"{fields[0][:40]!r} is no number of a class")
    numbers = numbers[:4] if keypoints else numbers
    if numbers and not (max(numbers) <= 1 + BEYOND and min(numbers) >= -BEYOND):
        raise ValueError("its numbers are no shares of the image's sides")
    if len(numbers) == 4:
        x, y, width, height = numbers
        return int(category), [x - width / 2, y - height / 2, x + width / 2, y + height / 2], None
    if len(numbers) == 5:
        raise ValueError("it has a sixth number: label files of predictions are no annotation")
    if len(numbers) < 6 or len(numbers) % 2:
        raise ValueError(f"it has {len(numbers)} numbers, neither a box nor a polygon")
    return int(category), None, numbers


class Splits:
    """Which split the data.yaml gives an image: its keys name folders, or files that list images."""

    def __init__(self, content: dict[str, Any], folder: Path):
        self.folders: dict[tuple[str, ...], list[str]] = {}
        self.files: dict[tuple[str, ...], list[str]] = {}
        self.several: list[str] = []
        self.used = False
        keys = {"val": content.get("val", content.get("valid", content.get("validation")))}
        for split in SPLIT_KEYS:
            entries = keys.get(split, content.get(split))
            for entry in entries if isinstance(entries, list) else [entries]:
                if isinstance(entry, str) and entry.endswith(".txt"):
                    self.add_list(folder, path_parts(entry), split)
                elif isinstance(entry, str):
                    self.folders.setdefault(path_parts(entry), []).append(split)

    def add_list(self, folder: Path, entry: tuple[str, ...], split: str) -> None:
        """Add the images that a file lists, where it is there."""
        path = folder.joinpath(*entry)
        if path.is_file():
            for line in path.read_text("utf-8", "replace").splitlines():
                if parts := path_parts(line.strip()):
                    self.files.setdefault((*parts[:-1], os.path.splitext(parts[-1])[0]), []).append(split)

    def of(self, name: str) -> str | None:
        """The split of an image by its path without suffix; of validation and test the first, none where training shares it."""
        parts = path_parts(name)
        splits = next((self.files[parts[start:]] for start in range(len(parts)) if parts[start:] in self.files), None)
        if splits is None:
            below = [entry for entry in self.folders if entry and any(parts[i : i + len(entry)] == entry for i in range(len(parts)))]
            splits = self.folders[max(below, key=len)] if below else []
        if "train" in splits and len(set(splits)) > 1:
            self.several.append(name)
            return None
        self.used |= bool(splits)
        return splits[0] if splits else None

    def notes(self) -> list[str]:
        """A sentence on images of several splits, if there are such."""
        if not self.several:
            return []
        return [f"{len(self.several)} images are both in train and in another split, such as {shown(self.several)}: they get none of them"]


def path_parts(name: str) -> tuple[str, ...]:
    """The names of a path, without those that only lead to it.

    >>> path_parts("../train/images/"), path_parts("C:\\\\y\\\\a")
    (('train', 'images'), ('y', 'a'))
    """
    return tuple(part for part in re.split(r"[\\/]", name) if part not in ("", ".", "..") and not re.fullmatch("[A-Za-z]:", part))
