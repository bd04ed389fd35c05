"""`view` of training logs: a table of runs, one line for each M.log.jsonl."""

import csv
import sys
from collections.abc import Mapping, Sequence
from os.path import commonpath
from pathlib import Path
from typing import Any

from htltools.commands.view.table import print_table, print_tsv
from htltools.errors import DataError, UsageError
from htltools.formats.models.checkpoint import resume_path
from htltools.formats.rows.fields import cell
from htltools.formats.rows.jsonlines import joined_lines, parsed_json, writing

SUFFIX = ".log.jsonl"
LINE = 4096  # bytes of the first line that are read
COLUMNS = "run", "state", "epochs", "best_epoch", "val_iou", "val_loss", "loss", "lr", "seconds"
FORMS = "table", "tsv", "csv", "rows"


def is_training_log(path: Path) -> bool:
    """Whether a file is the log of a training: JSON Lines with `epoch` and `loss`, and no rows."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(LINE)
    try:
        record = parsed_json(first)
    except ValueError:
        return False
    return isinstance(record, dict) and {"epoch", "loss"} <= record.keys() and "id" not in record


def show_runs(paths: Sequence[Path], sort: str | None, ascending: bool, columns: str | None, limit: int | None, form: str | None) -> None:
    """Print a line for each training, the best validation IoU first.

    form: one of FORMS; None = a table.
    Raises: UsageError for a form or a column that there is none of; DataError where a line is no record of an epoch.
    """
    if form not in (None, *FORMS):
        raise UsageError(f"training logs are written --to {', '.join(FORMS)}, not {form!r}")
    shown, by = columns.split(",") if columns else list(COLUMNS), sort or "val_iou"
    for flag, name in (("--sort", by), *(("--columns", name) for name in shown)):
        if name not in COLUMNS:
            raise UsageError(f"{flag} {name!r}: the columns of training logs are {', '.join(COLUMNS)}")
    names = run_names(paths)
    runs = [run_of(path, name) for path, name in zip(paths, names)]
    runs.sort(key=lambda run: run["run"])
    known, others = [run for run in runs if run[by] is not None], [run for run in runs if run[by] is None]
    runs = [*sorted(known, key=lambda run: run[by], reverse=not ascending and by != "run"), *others][:limit]
    if form == "rows":
        with writing():
            sys.stdout.buffer.write(joined_lines({name: run[name] for name in shown if run[name] is not None} for run in runs))
        return
    lines = [[cell(run[name]) for name in shown] for run in runs]
    if form == "csv":
        csv.writer(sys.stdout).writerows([shown, *lines])
    else:
        (print_tsv if form == "tsv" else print_table)(shown, lines)


def run_of(path: Path, name: str) -> dict[str, Any]:
    """A training in one line: its best epoch by validation IoU, with the losses there, its highest rate and the time of all epochs."""
    log = read_log(path)
    best: Mapping[str, Any] = max(log, key=lambda record: record.get("val_iou", record["epoch"]))
    rates = [record["lr"] for record in log if "lr" in record]
    seconds = [record["seconds"] for record in log if "seconds" in record]
    model = path.with_name(path.name.removesuffix(SUFFIX) + ".h5")
    stopped = resume_path(model).exists() or not model.exists()
    return {
        "run": name,
        "state": "stopped" if stopped else "done",
        "epochs": log[-1]["epoch"],
        "best_epoch": best["epoch"],
        **{key: best.get(key) for key in ("val_iou", "val_loss", "loss")},
        "lr": max(rates) if rates else None,
        "seconds": round(sum(seconds), 1) if seconds else None,
    }


def read_log(path: Path) -> list[Mapping[str, Any]]:
    """The records of the epochs of a log.

    Raises: DataError where a line is none.
    """
    log = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            record = parsed_json(line)
        except ValueError:
            record = None
        numbers = isinstance(record, dict) and all(isinstance(value, (int, float)) for value in record.values())
        if not numbers or not {"epoch", "loss"} <= record.keys():
            raise DataError(f"{path}, line {number} is no record of an epoch", "it is written by htl train")
        log.append(record)
    return log


def run_names(paths: Sequence[Path]) -> list[str]:
    """The names of runs: of the files, with the folders in which they differ where two files are called alike."""
    names = [path.name.removesuffix(SUFFIX) for path in paths]
    if len(set(names)) == len(names):
        return names
    whole = [path.absolute() for path in paths]
    above = commonpath(path.parent for path in whole)
    return [str(path.relative_to(above)).removesuffix(SUFFIX) for path in whole]


def refuse_other_flags(**given: Any) -> None:
    """Refuse flags that are for rows.

    Raises: UsageError.
    """
    for flag in (name for name, value in given.items() if value):
        raise UsageError(f"--{flag.replace('_', '-')} is for rows, and these are training logs", "leave it out")
