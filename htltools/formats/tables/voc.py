"""Pascal VOC: an XML file for each image, and lists of the images of a split."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from htltools.errors import DataError
from htltools.formats.tables.facts import Annotations, Facts, KnownImages
from htltools.formats.tables.marked_images import MarkedImages
from htltools.formats.tables.outlines import checked_number
from htltools.formats.tables.xml_file import parsed_xml, text_of

CORNERS = "xmin", "ymin", "xmax", "ymax"
IMAGES, LISTS = "JPEGImages", "ImageSets"
ONE_BASED = "the corners are pixels counted from 1, the last included, as Pascal VOC has them"
EDGES = "the corners are edges counted from 0, as labelling tools write them"


def is_voc(root: Element) -> bool:
    """Whether an XML file is an annotation of Pascal VOC."""
    return root.tag == "annotation"


def read_voc(source: Path, files: Sequence[Path], images: KnownImages) -> Annotations:
    """What XML files of one folder say. A file without objects means that its image holds none. `source`: the folder, or a single file.

    The image of a file is the one of its name, or else the one that <filename> names; where these are two images, it is left out.
    Corners are pixels counted from 1, the last included, where images lie in JPEGImages/ or <database> names VOC, and no corner is 0 or
    a decimal number; else they are edges. Splits come from ImageSets/ beside the folder.

    Raises: MissingInput; DataError where none of the files is of Pascal VOC.
    """
    marked = MarkedImages(str(source))
    roots = dict(documents(files, marked))
    if not roots:
        raise DataError(f"{source} holds no annotation of Pascal VOC")
    offset = 1 if counts_from_one(source, list(roots.values())) else 0
    splits = splits_beside(source)
    for path, root in roots.items():
        name, conflict = image_name(path, root, images)
        if conflict:
            marked.refuse(name, conflict)
        image = marked.add_image(name, Facts(split=splits.get(path.stem), frame=size_of(root)))
        for number, element in enumerate(root.iter("object"), 1):
            box = [corner(element, edge, offset if edge in CORNERS[:2] else 0) for edge in CORNERS]
            polygon = polygon_of(element)
            given = None if all(value is None for value in box) else box
            marked.mark(image, f"object {number} of {path.name}", given, text_of(element, "name"), polygon)
    objects = any(image.objects for image in marked.images.values())
    made = marked.annotations(source, [f"{source}: {ONE_BASED if offset else EDGES}"] if objects else [])
    if splits:
        made.roles["splits"] = LISTS
    return made


def documents(files: Iterable[Path], marked: MarkedImages) -> Iterable[tuple[Path, Element]]:
    """The files of Pascal VOC with their root. Damaged ones are left out, others passed over."""
    for path in files:
        try:
            root = parsed_xml(path)
        except DataError as error:
            marked.leave_out(path.name, str(error))
            continue
        if is_voc(root):
            yield path, root


def counts_from_one(source: Path, roots: Sequence[Element]) -> bool:
    """Whether corners are pixels counted from 1, see `read_voc`."""
    folder = source if source.is_dir() else source.parent
    original = any((place / IMAGES).is_dir() for place in (folder, folder.parent))
    if not original and not any("voc" in (root.findtext("source/database") or "").lower() for root in roots):
        return False
    texts = {(edge, (box.findtext(edge) or "").strip()) for root in roots for box in root.iter("bndbox") for edge in CORNERS}
    return all(text.isdecimal() and (int(text[:9]) > 0 or edge in CORNERS[2:]) for edge, text in texts if text)


def image_name(path: Path, root: Element, images: KnownImages) -> tuple[str, str]:
    """The name of the image of a file, and why it cannot be told, if so."""
    own = str(path.absolute().with_suffix(""))
    given = text_of(root, "filename")
    by_own, by_given = (images.candidates(name)[1] if name else [] for name in (own, given))
    if by_own and by_given and not set(by_own) & set(by_given):
        return own, f"the name of {path.name} and its <filename> {given!r} are those of two images"
    if given and by_given and (not by_own or len(by_own) > len(by_given)):
        return given, ""
    return own, ""


def corner(element: Element, edge: str, offset: int) -> float | str | None:
    """A corner of an object's box; what is no number stays text, to be refused."""
    text = text_of(element, f"bndbox/{edge}")
    try:
        return checked_number(text) - offset if text is not None else None
    except ValueError:
        return text


def polygon_of(element: Element) -> list[float | str] | None:
    """The polygon of an object, x1, y1, x2, y2 ... as Roboflow and others write it; None where there is none."""
    polygon = element.find("polygon")
    if polygon is None:
        return None
    numbers = {child.tag: (child.text or "").strip() for child in polygon}
    pairs = [(numbers[f"x{place}"], numbers.get(f"y{place}", "")) for place in range(1, len(numbers) + 1) if f"x{place}" in numbers]
    return [number for pair in pairs for number in pair]


def size_of(root: Element) -> tuple[float, float] | None:
    """(width, height) of the image; None where the file does not declare it."""
    try:
        width, height = (checked_number(text_of(root, f"size/{name}") or 0) for name in ("width", "height"))
    except ValueError:
        return None
    return (width, height) if min(width, height) > 0 else None


def splits_beside(source: Path) -> dict[str, str]:
    """The splits of images by stem, from the lists train, val and test in ImageSets/ of the data set, Main/ first."""
    folder = source if source.is_dir() else source.parent
    places = [place / LISTS for place in (folder, folder.parent) if (place / LISTS).is_dir()]
    nested = [folder for place in places for folder in (place / "Main", *sorted(place.iterdir()))]
    lists = next((folder for folder in nested if has_lists(folder)), None)
    splits: dict[str, str] = {}
    for split in ("test", "val", "train"):
        path = lists / f"{split}.txt" if lists else None
        if path and path.is_file():
            splits |= {fields[0]: split for line in path.read_text("utf-8", "replace").splitlines() if len(fields := line.split()) == 1}
    return splits


def has_lists(folder: Path) -> bool:
    """Whether a folder holds lists of the images of splits."""
    return folder.is_dir() and any((folder / f"{split}.txt").is_file() for split in ("train", "val", "test"))
