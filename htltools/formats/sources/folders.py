"""Sources of samples: folders, files and lists of images, joined with tables, masks and COCO annotations by name."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from htltools.errors import MissingInput
from htltools.formats.dicom.file import is_dicom
from htltools.formats.images.image import IMAGE_SUFFIXES
from htltools.formats.sources.candidate import UNKNOWN, Candidate, readable
from htltools.formats.tables.coco import read_coco
from htltools.formats.tables.csv_table import Columns, read_table
from htltools.formats.tables.facts import Facts

MASK_ENDINGS = "_segmentation", "_mask"


@dataclass
class Findings:
    """The candidates of all sources, and what was noticed on the way."""

    candidates: list[Candidate] = field(default_factory=list)
    skips: list[dict[str, str]] = field(default_factory=list)  # {id, source, reason}
    labelled: bool = False  # whether any source of boxes was given, be it masks, a table or annotations
    unused_lines: int = 0  # ids of tables and annotations without an image
    unlisted: int = 0  # images without a line, where a table or annotations were given
    ignored_boxes: bool = False  # whether boxes of a table gave way to masks
    files: dict[str, Path] = field(default_factory=dict)  # tables and annotations read
    dicom_masks: set[str] = field(default_factory=set)  # DICOM files in folders of masks: segmentations, or images of masks


@dataclass(frozen=True)
class Naming:
    """Paths of table, annotations and masks, where they are not the usual ones: `metadata.csv` and `masks/` of a folder."""

    table: Path | None = None
    coco: Path | None = None
    masks: Path | None = None
    columns: Columns = Columns()


def find_candidates(sources: Iterable[str], listed: Iterable[str], naming: Naming) -> Findings:
    """The candidates of all sources, in the order of their ids; `-` stands for the paths listed. The first of equal ids stays.

    Raises: MissingInput where a source is not there, or none of them holds an image; DataError for a bad table.
    """
    findings = Findings()
    candidates: list[Candidate] = []
    used: set[str] = set()
    tables: dict[str, dict[str, Facts]] = {}
    beside: dict[Path | None, tuple[dict, dict | None]] = {}  # facts and masks by folder; None: of all that come without one
    for source in sources:
        entries, folder = entries_of(source, listed)
        if folder not in beside:
            beside[folder] = facts_beside(folder, naming, findings, tables), masks_beside(folder, naming)
        facts, masks = beside[folder]
        findings.labelled |= masks is not None
        findings.dicom_masks |= {path for path in (masks or {}).values() if not has_suffix(path) and is_dicom(path)}
        for name, path in entries:
            key = matching_key(facts, name, path)
            used |= {key} if key is not None else set()
            findings.unlisted += bool(facts) and key is None
            mask = masks.get(matching_key(masks, name, path) or "") if masks is not None else None
            own = facts[key] if key is not None else UNKNOWN
            if masks is not None and own.boxes is not None:
                findings.ignored_boxes = True
                own = replace(own, boxes=None, labels=None)
            dicom = not has_suffix(path) and is_dicom(path)
            candidates.append(Candidate(readable(name), path, mask, own, masks is not None, dicom=dicom))
    findings.unused_lines = len({key for table in tables.values() for key in table} - used)
    if not candidates:
        raise MissingInput(f"no images in {', '.join(sources)}", f"looked for {' '.join(sorted(IMAGE_SUFFIXES))} and DICOM")
    candidates.sort(key=lambda candidate: candidate.id)
    keep_first(candidates, findings)
    return findings


def keep_first(candidates: list[Candidate], findings: Findings) -> None:
    """Keep the first candidate of each id, and skip the others with a reason. `candidates` are sorted by id."""
    kept = findings.candidates
    for candidate in candidates:
        if kept and kept[-1].id == candidate.id:
            reason = f"the id is taken by {kept[-1].origin}"
            findings.skips.append({"id": candidate.id, "source": candidate.origin, "reason": reason})
        else:
            kept.append(candidate)


def entries_of(source: str, listed: Iterable[str]) -> tuple[Iterable[tuple[str, str]], Path | None]:
    """(id, path) of the images of one source, and the folder that may hold facts beside them.

    Raises: MissingInput where it is not there.
    """
    if source == "-":
        paths = (Path(line.strip("\r\n")) for line in listed if line.strip())
        return ((without_suffix(path.name), str(path)) for path in paths), None
    path = Path(source)
    if path.is_dir():
        images = path / "images"
        return named_files(images if images.is_dir() else path), path
    if not path.exists():
        raise MissingInput(f"{source} is not there")
    return [(without_suffix(path.name), str(path))], None


def named_files(folder: Path) -> Iterator[tuple[str, str]]:
    """(relative name without suffix, path) of the images, DICOM among them, below a folder, in the order of their paths; no masks/."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "masks")
        here, below = (str(place) for place in (Path(root), Path(root).relative_to(folder)))
        start, below = (os.path.join("" if place == "." else place, "") for place in (here, below))
        for name in sorted(files):
            if not name.startswith(".") and (has_suffix(name) or is_dicom(start + name)):
                yield (below + without_suffix(name)).replace(os.sep, "/"), start + name


def has_suffix(name: str) -> bool:
    """Whether a file is an image by its suffix."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def without_suffix(name: str) -> str:
    """The name without its suffix. Digits after a dot are no suffix: many DICOM files are named by their UID.

    >>> without_suffix("a/b.png"), without_suffix("1.2.840.113")
    ('a/b', '1.2.840.113')
    """
    stem, suffix = os.path.splitext(name)
    return name if suffix[1:].isdecimal() else stem


def facts_beside(folder: Path | None, naming: Naming, findings: Findings, tables: dict[str, dict[str, Facts]]) -> dict[str, Facts]:
    """Facts by image key from the table and the annotations of a source; boxes are those of COCO where both have some."""
    usual = folder / "metadata.csv" if folder else None
    path = naming.table or (usual if usual and usual.is_file() else None)
    facts: dict[str, Facts] = {}
    if path and str(path) not in tables:
        tables[str(path)], columns = read_table(path, naming.columns)
        findings.files["table" if path == naming.table else str(path)] = path
        findings.labelled |= columns.boxes is not None
    if path:
        facts = tables[str(path)]
    if not naming.coco:
        return facts
    if str(naming.coco) not in tables:
        tables[str(naming.coco)] = read_coco(naming.coco)
        findings.files["coco"] = naming.coco
        findings.labelled = True
    annotated = tables[str(naming.coco)]
    return facts | {key: merged_facts(facts.get(key), coco) for key, coco in annotated.items()}


def merged_facts(table: Facts | None, coco: Facts) -> Facts:
    """Boxes from COCO, the rest from the table where it has it."""
    if not table:
        return coco
    words = {name: getattr(table, name) or getattr(coco, name) for name in ("group", "split", "label")}
    return replace(table, boxes=coco.boxes, labels=coco.labels, frame=coco.frame, meta=coco.meta | table.meta, **words)


def masks_beside(folder: Path | None, naming: Naming) -> dict[str, str] | None:
    """Mask files by the name of their image; None where there is no folder of masks.

    Raises: MissingInput where a folder was named that holds none.
    """
    masks = naming.masks or (folder / "masks" if folder else None)
    if masks is None or not masks.is_dir():
        if naming.masks:
            raise MissingInput(f"the masks {naming.masks} are not there")
        return None
    files: dict[str, str] = {}
    for name, path in named_files(masks):
        for ending in MASK_ENDINGS:
            name = name.removesuffix(ending)
        files.setdefault(name, path)
    if naming.masks and not files:
        raise MissingInput(f"no masks in {naming.masks}")
    return files or None


def matching_key(known: dict | None, name: str, path: str) -> str | None:
    """The key of an image among the known ones: its id, its path, or its bare name; None where it is not known."""
    if not known or name in known:
        return name if known else None
    keys = without_suffix(path).replace(os.sep, "/"), name.rpartition("/")[2]
    return next((key for key in keys if key in known), None)
