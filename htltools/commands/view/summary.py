"""The table of `view --summary`: counts and mean hardness by split and subgroup."""

from collections.abc import Sequence

import numpy as np

from htltools.commands.shared.hardness import known_columns
from htltools.commands.view.selection import hardness_columns
from htltools.core.statistics.dataset_summary import subgroup_summaries
from htltools.core.statistics.subgroups import Crossing, usual_fields
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import rows_where
from htltools.formats.rows.vocabulary import HARDNESS

COUNTS = "samples", "groups", "annotated"


def summary_table(
    rows: Sequence[Row], crossings: Sequence[Crossing] | None, columns: Sequence[str] | None
) -> tuple[list[str], list[list[str]]]:
    """Headings, and a line for each split and each subgroup in it. A row that is repeated counts once.

    crossings: None = the usual fields of metadata; columns: of hardness, None = all that there are.
    Raises: DataError where no row has a column or a field.
    """
    once = rows_where(rows, (not row.repeat for row in rows))
    present = hardness_columns(once)
    known = [*(name for name in HARDNESS if name in present), *(name for name in present if name not in HARDNESS)]
    names = known if columns is None else [name.removeprefix("hardness.") for name in columns]
    for name in names:
        if name not in known:
            raise DataError(
                f"no row has a hardness {name!r}", f"these have {', '.join(known) or 'none'}: a summary gives the means of those"
            )
    values = known_columns(once, names, 0) if names else np.empty((len(once), 0))
    groups = np.fromiter((hash(row.group) for row in once), np.int64, len(once))  # 8 bytes a row, whatever the names
    by = [(field,) for field in usual_fields(once)] if crossings is None else crossings
    lines = [
        [
            part.split,
            " ".join(f"{field} {level}" for field, level in part.subgroup.items()) or "all",
            *(str(getattr(part, name)) for name in COUNTS),
            *("" if np.isnan(mean) else f"{mean:.4f}" for mean in part.means),
        ]
        for part in subgroup_summaries(once, groups, values, by)
    ]
    return ["split", "subgroup", *COUNTS, *names], lines
