"""What `prepare` understood of its sources, as one record: it is said on stderr and kept in the history."""

import re
from collections.abc import Sequence
from typing import Any

from htltools.commands.prepare.findings import PrepareFindings
from htltools.formats.rows.schema import SPLITS
from htltools.formats.sources.candidate import Candidate

ROLES = "ids", "groups", "labels", "splits", "boxes"
PERSON = re.compile(r"patient|subject|person|case|study|exam|lesion|group|participant", re.IGNORECASE)
DISTINCT = 0.2, 0.98  # share of different values, between which a column may name patients


def understanding(findings: PrepareFindings, shares: Sequence[float], seed: int) -> dict[str, Any]:
    """Where each role comes from, how many samples and groups each split has, and what was not used. Splits are settled."""
    sources, candidates = findings.sources, findings.candidates
    headers = {"ids": "DICOM SOPInstanceUID, keyed", "groups": "DICOM PatientID, keyed"} if findings.dicom else {"ids": "file names"}
    roles = {**headers, **sources.roles}
    if any(candidate.facts.split is None for candidate in candidates):
        drawn = f"by hash of the group, {':'.join(f'{share:g}' for share in shares)}, seed {seed}"
        some = any(candidate.facts.split for candidate in candidates)
        roles["splits"] = f"{roles['splits']}, the others {drawn}" if some and "splits" in roles else drawn
    if any(candidate.phantom is not None for candidate in candidates):
        roles |= dict.fromkeys(ROLES, "synthetic")
    return {
        "roles": {role: roles.get(role) for role in ROLES},
        "layouts": sources.layouts,
        "samples": {split: counts_of(candidates, split) for split in SPLITS},
        "without_group": sum(candidate.facts.group is None for candidate in candidates),
        "perhaps_groups": perhaps_groups(candidates) if not roles.get("groups") else [],
        "columns_kept": sorted({name for candidate in candidates for name in candidate.facts.meta}),
        "columns_unused": sources.unused_columns,
        "names_without_image": {source: len(names) for source, names in sources.unused_names.items()},
        "images_without_line": len(sources.unlisted),
        "masks_without_image": len(sources.masks_without_image),
        "images_without_mask": len(sources.images_without_mask),
        "images_of_several_masks": sources.several_masks,
        "kinds_not_read": dict(sources.other_kinds),
        "images_not_used": dict(sources.unused_files),
    }


def counts_of(candidates: Sequence[Candidate], split: str) -> dict[str, int]:
    """Samples and groups of a split."""
    own = [candidate for candidate in candidates if candidate.split == split]
    return {"samples": len(own), "groups": len({candidate.facts.group or candidate.id for candidate in own})}


def perhaps_groups(candidates: Sequence[Candidate]) -> list[str]:
    """Columns of metadata that may name patients: by their name, or as words of which several images share many.

    Numbers and columns of a few words, such as an age or a sex, are none.
    """
    columns: dict[str, list[Any]] = {}
    for candidate in candidates:
        for name, value in candidate.facts.meta.items():
            columns.setdefault(name, []).append(value)
    likely = []
    for name, values in columns.items():
        share = len(set(map(str, values))) / len(values)
        shared = DISTINCT[0] < share < DISTINCT[1] and len(values) > 4
        if share < 1 and (PERSON.search(name) or shared and all(isinstance(value, str) for value in values)):
            likely.append(name)
    return sorted(likely, key=lambda name: (not PERSON.search(name), name))


def doubts_of(findings: PrepareFindings, record: dict[str, Any]) -> list[str]:
    """Sentences on what may have been understood wrongly; `--strict` refuses each of them."""
    sources, doubts = findings.sources, list(findings.sources.doubts)
    if record["perhaps_groups"]:
        names = " or ".join(record["perhaps_groups"][:3])
        doubts.append(
            f"no column of groups is known: images of one patient may stand in several splits; is it {names}? Name it with --group-column"
        )
    if record["kinds_not_read"]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sources.other_kinds.most_common())
        doubts.append(f"images of other kinds are not read: {kinds}")
    if record["images_not_used"]:
        places = ", ".join(list(record["images_not_used"])[:3])
        doubts.append(f"{sources.unused_files.total()} images lie in folders that are not used ({places})")
    if without := sources.masks_without_image:
        doubts.append(f"{len(without)} masks are of no image ({', '.join(without[:3])})")
    return doubts
