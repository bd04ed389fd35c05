"""`report` from rows to a page."""

from pathlib import Path

import numpy as np

from htltools import console
from htltools.commands.report.finding import page_title
from htltools.commands.report.gallery import act_on, gallery_data, shown_fields
from htltools.commands.report.originals import LargeImages, large_images
from htltools.commands.report.samples import report_samples
from htltools.commands.report.sections import page_sections
from htltools.commands.shared.chosen_rows import ChosenRows, read_many_chosen
from htltools.commands.shared.columns import column_named
from htltools.commands.shared.models import explain_runtime
from htltools.core.runtime.runtime import Runtime
from htltools.core.statistics.subgroups import Crossing
from htltools.formats.page.html import write_page
from htltools.formats.rows.provenance import Run, file_digest
from htltools.formats.rows.stream import check_predictions
from htltools.formats.rows.vocabulary import HARDNESS


def write_report(
    run: Run,
    source: Path | None,
    out: Path,
    dense: list[Path],
    pruned: list[Path],
    attended: Path | None,
    by: str,
    split: str,
    fields: list[Crossing] | None,
    count: int,
    meta: bool,
    runtime: Runtime,
    large: LargeImages,
    *,
    chosen: ChosenRows,
    limit: int | None,
    partial: bool,
) -> None:
    """Write the page of the rows of a source, with at most `count` images."""
    rows, reader = read_many_chosen(source, chosen, partial=partial, limit=limit)
    check_predictions(rows)
    explain_runtime(runtime, filter(None, [*dense, *pruned, attended]))
    by = column_named(by, dict.fromkeys([*HARDNESS, *(name for row in rows for name in row.hardness)]))
    samples = report_samples(rows, reader, dense, pruned, attended, runtime)
    hardness = samples.column(by)
    history = run.chain(reader.history, {str(path): file_digest(path) for path in samples.paths})
    fields = shown_fields(samples.rows, fields, meta)
    found, sections, absent = page_sections(samples, by, hardness, split, fields, runtime.seed, history)
    shown, data = gallery_data(samples, by, hardness, split, fields, count, meta)
    boxes = [{role: np.array(own) for role, own in card["boxes"].items()} for card in data["samples"]]
    data |= act_on(shown, source, by)
    size = write_page(out, page_title(samples), found, sections, data, {"originals": large_images(shown, boxes, large)})
    if absent:
        console.say(f"not on the page: {'; '.join(absent)}")
    console.say(f"{out}: {len(samples.rows)} samples, {len(data['samples'])} images, {size / 1e6:.1f} MB")
