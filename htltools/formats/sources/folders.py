"""Sources of samples: folders, files and lists of images, joined with tables, masks and annotation files by name."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from htltools.errors import MissingInput
from htltools.formats.files.collecting import without_collecting
from htltools.formats.images.image import IMAGE_SUFFIXES
from htltools.formats.remote.address import address_of
from htltools.formats.sources.annotation_files import annotations_in, read_annotations
from htltools.formats.sources.candidate import Candidate, readable
from htltools.formats.sources.ids import COPY, copies, distinct_ids, second_suffixes, without_suffix
from htltools.formats.sources.joined_facts import JoinedFacts, no_facts
from htltools.formats.sources.listing import Listing, copied_source, files_listing, folder_listing, is_dicom_image, listed_paths
from htltools.formats.sources.mask_sources import ImageMasks, take_named_masks
from htltools.formats.sources.names import ImageNames
from htltools.formats.sources.path_facts import PathFacts, path_facts
from htltools.formats.sources.path_words import split_of_folder
from htltools.formats.sources.source_findings import Findings
from htltools.formats.tables.csv_table import Columns, read_table, read_tables
from htltools.formats.tables.facts import Annotations

EXAMPLES = 3  # images named of each conflict


@dataclass(frozen=True)
class Naming:
    """Paths of tables, annotation files and masks, where they are not the usual ones: `metadata.csv` and `masks/` of a folder."""

    tables: Sequence[Path] = ()
    annotations: Sequence[Path] = ()
    masks: Path | None = None
    columns: Columns = Columns()
    alone: bool = False  # whether images are taken alone, whatever tables and annotation files lie with them

    @property
    def complete(self) -> bool:
        """Whether boxes or masks are named, so that none are looked for outside the sources."""
        return bool(self.tables or self.annotations or self.masks)


@dataclass
class Images:
    """All images of the sources: `numbers` of those of each listing."""

    paths: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    relative: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)  # the name of the source
    roots: list[str] = field(default_factory=list)  # the folder that was named as the source
    numbers: list[list[int]] = field(default_factory=list)

    def some(self, numbers: Sequence[int]) -> ImageNames:
        """The names of some of them."""
        return ImageNames([self.paths[i] for i in numbers], [self.names[i] for i in numbers])


def find_candidates(sources: Iterable[str], listed: Iterable[str], naming: Naming) -> Findings:
    """The candidates of all sources, in the order of their ids; `-` stands for the paths listed.

    Raises: MissingInput where a source is not there, or none of them holds an image; DataError for a bad table.
    """
    findings = Findings()
    listings = listings_of(list(sources), listed, naming, findings)
    named = take_named_masks(naming.masks, listings) if naming.masks else None
    for listing in [*listings, *([named] if named else [])]:
        findings.skips += listing.skips
        findings.other_kinds += listing.other_kinds
        findings.layouts += [kind for kind in listing.kinds if kind not in findings.layouts]
        findings.unused_files.update({readable(folder): count for folder, count in listing.unused.items()})
    images = images_of(listings, findings)
    if not images.paths:
        reasons = dict.fromkeys(skip["reason"] for skip in findings.skips)
        looked = f"looked for {' '.join(sorted(IMAGE_SUFFIXES))} and DICOM"
        raise MissingInput(f"no images in {', '.join(sources)}", "; ".join([*reasons, looked]) if len(reasons) < EXAMPLES else looked)
    masks = masks_of(images, listings, named, findings)
    if not masks.masked and (twice := second_suffixes(images.paths)):
        findings.doubts.append(f"{twice} names have two images each, which differ in the suffix: if one is a mask, name it by --masks")
    with without_collecting():
        joined = facts_of(images, listings, naming, findings)
        findings.candidates = candidates_of(images, masks, joined, findings)
    findings.candidates.sort(key=lambda candidate: candidate.id)
    return findings


def listings_of(sources: list[str], listed: Iterable[str], naming: Naming, findings: Findings) -> list[Listing]:
    """The listing of each folder, then that of all files and listed paths together.

    Raises: MissingInput.
    """
    folders, files = [], []
    for source in dict.fromkeys(sources):
        look_beside, address = not naming.complete, address_of(source)
        path = copied_source(address, look_beside=look_beside) if address else Path(source)
        if source == "-":
            paths, skips = listed_paths(listed)
            files += paths
            findings.skips += skips
        elif path.is_dir():
            folders.append(folder_listing(path, look_beside=look_beside))
        elif not path.exists():
            raise MissingInput(f"{source} is not there")
        else:
            files.append(str(path))
    return [*folders, files_listing(files, look_beside=not naming.complete)] if files else folders


def images_of(listings: Sequence[Listing], findings: Findings) -> Images:
    """The images of all listings, each once, and with an id of its own."""
    names, paths, relative = ([each for listing in listings for each in getattr(listing, name)] for name in ("names", "paths", "relative"))
    ids, left_out = distinct_ids(names, paths)
    images, i = Images(), 0
    several = sum(bool(listing.own) for listing in listings) > 1
    for listing in listings:
        start = len(images.paths)
        left_out = {i + place: COPY for place in copies(listing.relative, listing.paths)} | left_out
        for _ in listing.paths:
            if i in left_out:
                findings.skips.append({"id": readable(without_suffix(names[i])), "source": readable(paths[i]), "reason": left_out[i]})
            else:
                images.paths.append(paths[i])
                images.names.append(names[i])
                images.relative.append(relative[i])
                images.ids.append(ids[i] or "")
                images.own.append(listing.own if several else "")
                images.roots.append(listing.root)
            i += 1
        images.numbers.append(list(range(start, len(images.paths))))
    return images


def masks_of(images: Images, listings: Sequence[Listing], named: Listing | None, findings: Findings) -> ImageMasks:
    """The masks of all images."""
    masks = ImageMasks()
    if named:
        masks.add(named, range(len(images.paths)), images.paths, images.names)
    for listing, numbers in zip(listings, images.numbers, strict=True):
        paths, relative = ([own[i] for i in numbers] for own in (images.paths, images.relative))
        masks.add(listing, numbers, paths, relative)
        if listing.beside and masks.masked.issuperset(numbers) and numbers:
            findings.notes.append(f"masks are those of {', '.join(sorted({os.path.dirname(path) for path in listing.masks}))}")
    findings.labelled |= bool(masks.masked)
    findings.dicom_masks |= masks.dicom
    findings.masks_without_image += map(readable, masks.without)
    findings.several_masks = sum(len(own) > 1 for own in masks.of.values())
    findings.unused_files.update(masks.unused)
    if masks.masked:
        findings.roles["boxes"] = "masks"
    return masks


def facts_of(images: Images, listings: Sequence[Listing], naming: Naming, findings: Findings) -> JoinedFacts:
    """What tables and annotation files say of all images."""
    everything = range(len(images.paths))
    tables, files, listed = no_facts(len(images.paths)), no_facts(len(images.paths)), set[int]()

    def add(annotations: Annotations, joined: JoinedFacts, name: str, numbers: Sequence[int], own: ImageNames) -> None:
        if annotations.path and annotations.path.is_file():
            findings.files[name] = annotations.path
        joined.add(annotations, own, numbers)
        listed.update(numbers)
        findings.labelled |= annotations.boxed
        findings.roles |= {role: where for role, where in annotations.roles.items() if role not in findings.roles}
        findings.skips += annotations.left_out
        findings.doubts += annotations.doubts
        findings.notes += annotations.notes
        if annotations.unused:
            findings.unused_columns[annotations.source] = annotations.unused

    if naming.tables or naming.annotations:
        own = images.some(everything)
        if naming.tables:
            add(read_tables(naming.tables, naming.columns, own), tables, "table", everything, own)
            findings.files |= {str(path): path for path in naming.tables[1:] if path.is_file()}
        for number, path in enumerate(naming.annotations):
            add(read_annotations(path, own, naming.columns.readers), files, "coco" if not number else str(path), everything, own)
    for listing, numbers in zip(listings, images.numbers, strict=True) if not naming.alone else ():
        usual = metadata_of(listing.folder) if listing.folder else None
        if usual and not naming.tables:
            own = images.some(numbers)
            add(read_table(usual, naming.columns, own), tables, str(usual), numbers, own)
        if listing.folder and numbers and not naming.complete:
            own = images.some(numbers)
            for annotations in annotations_in(listing.folder, own, naming.columns.readers):
                add(annotations, files, annotations.source, numbers, own)
    tables.overlay(files)
    findings.unused_names |= tables.unmatched
    findings.unlisted += [images.ids[i] for i in sorted(listed) if not tables.facts[i].known]
    for name, conflicting in tables.conflicts.items():
        examples = ", ".join(images.ids[i] for i in conflicting[:EXAMPLES])
        findings.doubts.append(f"{name} is another than before for {len(set(conflicting))} images, and not used ({examples})")
    return tables


def metadata_of(folder: Path) -> Path | None:
    """The usual table of a folder: `metadata.csv`, or the one whose name ends so, as HAM10000_metadata.csv does."""
    if (folder / "metadata.csv").is_file():
        return folder / "metadata.csv"
    ending = [path for path in folder.iterdir() if path.name.lower().endswith("metadata.csv") and not path.name.startswith(".")]
    return ending[0] if len(ending) == 1 and ending[0].is_file() else None


def candidates_of(images: Images, masks: ImageMasks, joined: JoinedFacts, findings: Findings) -> list[Candidate]:
    """A candidate for each image, but for those that only ambiguous names fit."""
    dicom = [is_dicom_image(path) for path in images.paths]
    folders = facts_of_folders(images, dicom)
    free = {name for name in ("split", "label", "group") if not any(getattr(facts, name) for facts in joined.facts)}
    findings.roles |= {role: where for role, where in folders.roles.items() if role.removesuffix("s") in free}
    candidates = []
    for i, path in enumerate(images.paths):
        reason = masks.ambiguous.get(i) or joined.ambiguous.get(i)
        if reason:
            findings.skips.append({"id": images.ids[i], "source": readable(path), "reason": reason})
            continue
        masked, own = i in masks.masked, joined.facts[i]
        if masked and (own.boxes is not None or own.outlines is not None):
            findings.ignored_boxes = True
            own = replace(own, boxes=None, labels=None, outlines=None)
        if masked and i not in masks.of:
            findings.images_without_mask.append(images.ids[i])
        own = folders.added_to(own, i, free)
        candidates.append(Candidate(images.ids[i], path, masks.of.get(i, ()), own, masked, dicom=dicom[i], root=images.roots[i]))
    return candidates


def facts_of_folders(images: Images, dicom: Sequence[bool]) -> PathFacts:
    """What the folders of the images say; of DICOM only the split, since folders may name patients, and headers know the rest."""

    def splits_of(path: str) -> str:
        return os.sep.join([*(part for part in path.split(os.sep)[:-1] if split_of_folder(part)), ""])

    return path_facts([splits_of(path) if of_dicom else path for path, of_dicom in zip(images.relative, dicom)], images.own)


def keep_first(candidates: list[Candidate], findings: Findings) -> None:
    """Keep the first candidate of each id, and skip the others with a reason. `candidates` are sorted by id."""
    kept = findings.candidates
    for candidate in candidates:
        if kept and kept[-1].id == candidate.id:
            reason = f"the id is taken by {kept[-1].origin}"
            findings.skips.append({"id": candidate.id, "source": candidate.origin, "reason": reason})
        else:
            kept.append(candidate)
