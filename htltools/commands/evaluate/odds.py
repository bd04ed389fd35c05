"""Who is hard, for `evaluate --hard`: a line for each level of each field and each way to select the hard ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from htltools.commands.shared.columns import column_named
from htltools.commands.shared.hardness import annotated_boxes, hardness_column, known_hardness
from htltools.core.hardness.baselines import smallness
from htltools.core.sampling.sample_weights import hardest, ties_in_words
from htltools.core.statistics.odds_ratios import Odds, adjusted_odds, odds, q_values
from htltools.core.statistics.subgroups import FEW, Crossing, level, metadata_fields, subgroups, value_of
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import text_array
from htltools.formats.rows.vocabulary import HARDNESS

CONTROLS = "loss", "random"
BORDER = 0.01  # a box that comes this near to the border, as a share of the side, touches it


def odds_lines(
    rows: Sequence[Row], by: Sequence[str], top: float, crossings: list[Crossing], split: str, seed: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """Lines and notes: the odds of each subgroup to be among the hardest, by the columns asked for and by the controls beside them.

    Raises: DataError where rows lack a column, or there is no field to go by.
    """
    notes: list[str] = []
    found = [(names, places) for crossing in crossings or whole_metadata(rows, notes) for names, places in subgroups(rows, crossing)]
    members = np.zeros((len(rows), len(found)), bool)
    for member, (_, places) in zip(members.T, found):
        member[places] = True
    groups, shape = text_array(row.group for row in rows), outline(rows)
    classes = other_diagnoses(rows, found)
    by = [column_named(name, dict.fromkeys([*HARDNESS, *(own for row in rows for own in row.hardness)]), "--hard") for name in by]
    lines = []
    for column in [*dict.fromkeys([*by, *known_controls(rows, seed, notes)])]:
        hardness = hardness_column(rows, column, seed)
        is_hard = hardest(hardness, top, text_array(row.id for row in rows), seed)
        crude = odds(is_hard, members, groups, seed=seed)
        equal = [adjusted_odds(is_hard, member, shape, kinds, groups) for member, kinds in zip(members.T, classes)]
        for (names, places), plain, adjusted in zip(found, with_q(crude), with_q(equal)):
            counts = {"n": len(places), "hard": int(is_hard[places].sum())}
            about = {"metric": "odds_ratio", "split": split, "subgroup": names, **counts}
            lines.append(about | plain | {"column": column, "top": top, "few": len(places) < FEW, "adjusted": adjusted})
        notes.append(f"{split}: {is_hard.sum()} of {len(rows)} samples are hard by {column}{ties_in_words(hardness, is_hard)}")
    return lines, notes


def whole_metadata(rows: Sequence[Row], notes: list[str]) -> list[Crossing]:
    """Every field of metadata that can be grouped by, numbers in bands; those that cannot are noted.

    Raises: DataError where there is none.
    """
    fields, left_out = metadata_fields(rows)
    if left_out:
        by_reason = [(reason, [name for name, own in left_out.items() if own == reason]) for reason in dict.fromkeys(left_out.values())]
        reasons = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason)
        notes.append(f"no subgroups by default: {reasons}; --group-by takes any field, a number with a width: age:20")
    if not fields:
        raise DataError("these rows have no metadata of several levels", "prepare takes them from a table, see --table")
    return [(field,) for field in fields]


def known_controls(rows: Sequence[Row], seed: int, notes: list[str]) -> list[str]:
    """The controls that all rows have; others are noted."""
    known = [name for name in CONTROLS if not np.isnan(known_hardness(rows, name, seed)).any()]
    for name in set(CONTROLS) - {*known}:
        notes.append(f"not all of these rows have a hardness {name!r}: the control is left out")
    return known


def outline(rows: Sequence[Row]) -> np.ndarray:
    """What of the boxes alone may make a sample hard, [N, 3]: log of their area, standardised, its square, and contact with the border."""
    boxes = annotated_boxes(rows)  # [N, M, 4]
    size = np.log(np.maximum(1 - smallness(boxes), 1e-6))
    size = (size - size.mean()) / (size.std() or 1)
    there = boxes[..., 2] > boxes[..., 0]
    touches = (there & ((boxes[..., :2].min(2) <= BORDER) | (boxes[..., 2:].max(2) >= 1 - BORDER))).any(1)
    return np.column_stack([size, size**2, touches])


def other_diagnoses(rows: Sequence[Row], found: list[tuple[dict[str, str], np.ndarray]]) -> list[np.ndarray]:
    """For each subgroup, the label of each row as the number of its kind: int [N]; all 0 for the levels of a field that is the label."""
    classes = np.unique([level(value_of(row, "label"), None) for row in rows], return_inverse=True)[1]
    several = {tuple(names) for names, places in found if len(set(classes[places])) > 1}
    return [classes if tuple(names) in several else np.zeros_like(classes) for names, _ in found]


def with_q(found: list[Odds]) -> list[dict[str, float | None]]:
    """Each as numbers by name, with q among p: of all levels of all fields by one column."""
    values = [vars(each) | {"q": q} for each, q in zip(found, q_values([each.p for each in found]))]
    return [{name: None if number is None else float(f"{number:.6g}") for name, number in each.items()} for each in values]
