"""Sources of samples: folders, files and lists of pictures, joined with tables, masks and COCO annotations by name."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from htltools.errors import MissingInput
from htltools.formats.coco import read_coco
from htltools.formats.picture import SUFFIXES
from htltools.formats.table import Columns, Facts, read_table

MASK_ENDINGS = "_segmentation", "_mask"


@dataclass
class Candidate:
    """A sample to be: what is known of it before its picture is decoded. Small, and fit to be sent to another process."""

    id: str
    picture: Path | None = None
    mask: Path | None = None
    facts: Facts = field(default_factory=lambda: Facts(known=False))  # what tables and annotations say of it
    masked: bool = False  # whether its source has masks: then boxes come from them alone
    phantom: int | None = None  # index of a synthetic picture

    @property
    def origin(self) -> str:
        """What the candidate was made from, to be shown to people."""
        return "phantom" if self.picture is None else readable(self.picture)

    def stamp(self) -> list:
        """What must be the same for an old result to stand: facts, and name, size and time of the files."""
        files = [file_stamp(path) for path in (self.picture, self.mask)]
        return [self.id, files, vars(self.facts), self.masked, self.phantom]


@dataclass
class Findings:
    """What the sources hold."""

    candidates: list[Candidate] = field(default_factory=list)
    skips: list[dict[str, str]] = field(default_factory=list)  # {id, source, reason}
    labelled: bool = False  # whether any source of boxes was given, be it masks, a table or annotations
    unused_lines: int = 0  # ids of tables and annotations without a picture
    unlisted: int = 0  # pictures without a line, where a table or annotations were given
    ignored_boxes: bool = False  # whether boxes of a table gave way to masks
    files: dict[str, Path] = field(default_factory=dict)  # tables and annotations read


@dataclass(frozen=True)
class Naming:
    """Where facts lie beside the pictures, if not in the usual places: `metadata.csv` and `masks/` of a folder."""

    table: Path | None = None
    coco: Path | None = None
    masks: Path | None = None
    columns: Columns = Columns()


def find_candidates(sources: Iterable[str], listed: Iterable[str], naming: Naming) -> Findings:
    """The candidates of all sources, in the order of their ids; `-` stands for the paths listed. The first of equal ids stays.

    Raises: MissingInput where a source is not there, or none of them holds a picture; DataError for a bad table.
    """
    findings = Findings()
    found: list[Candidate] = []
    used: set[str] = set()
    tables: dict[str, dict[str, Facts]] = {}
    for source in sources:
        entries, folder = entries_of(source, listed)
        facts = facts_beside(folder, naming, findings, tables)
        masks = masks_beside(folder, naming)
        findings.labelled |= masks is not None
        for name, path in entries:
            key = matching(facts, name, path)
            used |= {key} if key is not None else set()
            findings.unlisted += bool(facts) and key is None
            mask = masks.get(matching(masks, name, path) or "") if masks is not None else None
            told = replace(facts[key]) if key is not None else Facts(known=False)
            if masks is not None:
                findings.ignored_boxes |= told.boxes is not None
                told.boxes = None
            found.append(Candidate(readable(name), path, mask, told, masks is not None))
    findings.unused_lines = len({key for table in tables.values() for key in table} - used)
    if not found:
        raise MissingInput(f"no pictures in {', '.join(sources)}", f"looked for {' '.join(sorted(SUFFIXES))}")
    keep_first(sorted(found, key=lambda candidate: candidate.id), findings)
    return findings


def keep_first(found: list[Candidate], findings: Findings) -> None:
    """Keep the first candidate of each id; skip the others with a reason."""
    first: dict[str, Candidate] = {}
    for candidate in found:
        earlier = first.setdefault(candidate.id, candidate)
        if earlier is candidate:
            findings.candidates.append(candidate)
        else:
            findings.skips.append({"id": candidate.id, "source": candidate.origin, "reason": f"the id is taken by {earlier.origin}"})


def entries_of(source: str, listed: Iterable[str]) -> tuple[list[tuple[str, Path]], Path | None]:
    """(id, path) of the pictures of one source, and the folder where facts may lie beside them."""
    if source == "-":
        paths = [Path(line.strip("\r\n")) for line in listed if line.strip()]
        return [(path.stem, path) for path in paths], None
    path = Path(source)
    if path.is_dir():
        images = path / "images"
        return list(named_files(images if images.is_dir() else path)), path
    if not path.exists():
        raise MissingInput(f"{source} is not there")
    return [(path.stem, path)], None


def named_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """(relative name without suffix, path) of the picture files below a folder, in the order of their paths; no masks/."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "masks")
        for name in sorted(files):
            path = Path(root, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                yield path.relative_to(folder).with_suffix("").as_posix(), path


def facts_beside(folder: Path | None, naming: Naming, findings: Findings, tables: dict[str, dict[str, Facts]]) -> dict[str, Facts]:
    """Facts by picture key from the table and the annotations of a source; COCO's boxes count where both have some."""
    usual = folder / "metadata.csv" if folder else None
    path = naming.table or (usual if usual and usual.exists() else None)
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
    return facts | {key: merged(facts.get(key), told) for key, told in annotated.items()}


def merged(table: Facts | None, coco: Facts) -> Facts:
    """Boxes from COCO, the rest from the table where it says it."""
    return replace(table, boxes=coco.boxes, frame=coco.frame, label=table.label or coco.label) if table else coco


def masks_beside(folder: Path | None, naming: Naming) -> dict[str, Path] | None:
    """Mask files by the name of their picture; None where there is no folder of masks.

    Raises: MissingInput where the folder named holds none.
    """
    masks = naming.masks or (folder / "masks" if folder else None)
    if masks is None or not masks.is_dir():
        if naming.masks:
            raise MissingInput(f"the masks {naming.masks} are not there")
        return None
    found = {}
    for name, path in named_files(masks):
        for ending in MASK_ENDINGS:
            name = name.removesuffix(ending)
        found.setdefault(name, path)
    if naming.masks and not found:
        raise MissingInput(f"no masks in {naming.masks}")
    return found or None


def matching(known: dict | None, name: str, path: Path) -> str | None:
    """The key under which a picture is known: its id, its path, or its bare name; None: it is not."""
    keys = name, path.with_suffix("").as_posix(), PurePosixPath(name).name
    return next((key for key in keys if known and key in known), None)


def file_stamp(path: Path | None) -> list | None:
    """Name, size in bytes and time of change of a file; None where it is not there."""
    try:
        stat = path.stat() if path else None
    except OSError:
        return [readable(path)]
    return [readable(path), stat.st_size, stat.st_mtime_ns] if stat else None


def readable(name: str | Path) -> str:
    """A file name as text; bytes that are no UTF-8 as \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
