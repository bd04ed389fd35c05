"""The gallery of `report`: which images, and what the page may know of each."""

import hashlib
import shlex
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from htltools.commands.report.samples import ReportSamples
from htltools.core.figures.gallery_selection import gallery_positions, gallery_sections, places_within_split
from htltools.core.statistics.subgroups import Crossing, level, level_order, usual_fields, value_of
from htltools.formats.images.webp import fitting_uris
from htltools.formats.rows.fields import cell
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import SPLITS
from htltools.formats.rows.vocabulary import HARDNESS
from htltools.formats.store.shard import Images
from htltools.tasks.role_objects import box_lists

ROOM = 24_000_000  # bytes for images: what they leave of 30 MB is ample for all else
LONGEST = 120  # letters of a value
TITLES = {
    "hardest": "the hardest",
    "suspects": "the suspects: wrong annotations?",
    "gains": "the largest gains of attention",
    "losses": "the largest losses of attention",
}
MAIN = "gain", "IoU dense", "IoU pruned", "IoU attended", "pruned_disagreement", "suspect", "loss"


def shown_fields(rows: Sequence[Row], asked: list[Crossing] | None, meta: bool) -> list[Crossing]:
    """The fields to group and to filter by: those asked for, else the usual ones unless patient-level fields are left out."""
    return asked if asked is not None else [(field,) for field in usual_fields(rows)] if meta else []


def gallery_data(
    samples: ReportSamples, by: str, hardness: np.ndarray, split: str, fields: list[Crossing], count: int, meta: bool
) -> tuple[list[Row], dict[str, Any]]:
    """The samples of the gallery, and what the script of the page needs."""
    iou, splits = samples.iou, samples.splits
    gain = iou["attended"] - iou["dense"] if {"attended", "dense"} <= iou.keys() else np.full(len(splits), np.nan)
    gain_of_split, ids = np.where(splits == split, gain, np.nan), samples.ids
    suspect = samples.known("suspect")
    chosen = gallery_sections(hardness, suspect, gain_of_split, splits, ids, count, samples.seed)
    places = gallery_positions(chosen)
    ranked = {"hardest": hardness, "suspects": suspect, "gains": gain_of_split, "losses": -gain_of_split}
    ranks = {name: ranks_text(values, splits, places) for name, values in ranked.items()}
    rows = [samples.rows[place] for place in places]
    boxes = {role: box_lists(own[places]) for role, own in samples.objects.items()}
    names = dict.fromkeys([by, *(name for row in rows for name in row.hardness)])
    columns = {name: samples.known(name) for name in names} | {f"IoU {role}": values for role, values in iou.items()} | {"gain": gain}
    columns = {name: values[places] for name, values in columns.items() if np.isfinite(values[places]).any()}
    filters = [field for field in dict.fromkeys(chain(*fields)) if meta and field.name != "split"]
    cards: list[dict[str, Any]] = [
        {
            "id": row.id,
            "size": row.size,
            "image": uri,
            "about": about_row(row) if meta else [["split", row.split or "none"]],
            **({"file": row.file} if meta and row.file else {}),
            "levels": {"split": row.split or "none"} | {field.name: level(value_of(row, field.name), field.width) for field in filters},
            "boxes": {role: rounded_boxes(own[i]) for role, own in boxes.items() if len(own[i])},
            "scores": {name: round(float(values[i]), 4) for name, values in columns.items() if np.isfinite(values[i])},
            "sections": [name for name, own in chosen.items() if place in own and name != "others"],
            "ranks": {name: own[i] for name, own in ranks.items() if own[i] and (name == "hardest" or place in chosen.get(name, ()))},
        }
        for i, (place, row, uri) in enumerate(zip(places, rows, thumbnails(rows)))
    ]
    values = {field.name: {level(value := value_of(row, field.name), field.width): value for row in rows} for field in filters}
    shown_splits = {card["levels"]["split"] for card in cards}
    values = {"split": {part: part for part in (*SPLITS, "none") if part in shown_splits}} | values
    return rows, {
        "by": by,
        "roles": list(boxes),
        "sections": {name: TITLES[name] for name in chosen if name != "others"},
        "columns": list(columns),
        "main": [name for name in MAIN if name in columns],
        "meanings": {name: meaning(name) for name in columns},
        "filters": [
            {"name": name, "levels": list(own) if name == "split" else sorted(own, key=lambda each: level_order(each, own[each]))}
            for name, own in values.items()
        ],
        "samples": cards,
    }


def meaning(name: str) -> str:
    """What a column of the gallery is, for the one who sorts by it."""
    if name.startswith("IoU "):
        return f"overlap of the {name.removeprefix('IoU ')} box with the annotated one, in [0, 1]; higher is better"
    if name == "gain":
        return "IoU of the attended model less that of the dense one, in [-1, 1]; higher is better"
    return f"{HARDNESS.get(name, 'a column of these rows that htl does not know')}; higher is harder".replace("`", "")


def ranks_text(values: np.ndarray, splits: np.ndarray, chosen: list[int]) -> list[str]:
    """The place of each chosen value of [N] among those of its split, in words, 1 = the highest; empty where it is not known."""
    places, counts = (own[chosen] for own in places_within_split(values, splits))
    return [
        "" if np.isnan(place) else f"{place:.0f} of {count:.0f} in {split}" for place, count, split in zip(places, counts, splits[chosen])
    ]


def act_on(rows: list[Row], source: Path | None, by: str) -> dict[str, str]:
    """What the page needs to keep marks and to propose commands: `key`, the same for the same images, and `rows`, their file."""
    digest = hashlib.sha256("\n".join([by, *(row.id for row in rows)]).encode()).hexdigest()[:16]
    return {"key": digest, "rows": shlex.quote(str(source)) if source and str(source) != "-" else "scored.jsonl"}


def thumbnails(rows: list[Row]) -> list[str]:
    """The stored image of each row as a data URI, all of them within the room that there is."""
    stored = Images(rows)
    return fitting_uris(lambda i: stored.batch(np.array([i]))[0], np.array([row.size for row in rows]), ROOM)


def rounded_boxes(boxes: np.ndarray) -> list[list[float]]:
    """Boxes of shares [n, 4], cut at the border, to a ten-thousandth."""
    return np.clip(boxes.astype(float), 0, 1).round(4).tolist()


def about_row(row: Row) -> list[list[str]]:
    """Split, label, group and metadata of a row as text."""
    known = {name: row.get(name) for name in ("split", "label", "group")} | (row.meta)
    return [[str(name), cell(value)[:LONGEST]] for name, value in known.items() if value not in (None, "")]
