"""All comparisons of htl with its peers, one after the other, as one Markdown table: all.py [--quick] [-o FILE.jsonl]."""

import argparse
import importlib
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from measuring import figure, ratio_cells

sys.path.insert(1, str(Path(__file__).parents[2]))  # this checkout, installed or not; the processes started from here inherit it
BENCHES = (
    "prepare_bench",
    "tables_bench",
    "train_bench",
    "score_bench",
    "prune_bench",
    "export_bench",
    "predict_bench",
    "looks_bench",
    "report_bench",
)
HEADER = "| what | peer | htl | peer's | unit | ratio | 10-90 % |\n|---|---|---:|---:|---|---:|---|"


def rows_of(bench: str, quick: bool) -> list[dict]:
    """The rows of one benchmark, in this process; what it prints goes to stderr."""
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return importlib.import_module(bench).rows(quick)


def rows_in_fresh_process(bench: str, quick: bool) -> list[dict]:
    """The rows of one benchmark, in an interpreter of its own: neither imports nor threads of the others are there."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(rows_of, bench, quick).result()


def line(row: dict) -> str:
    """One line of the table; a ratio above 1 says that htl is faster."""
    cells = row["what"], row["peer"], figure(row["ours"]), figure(row["theirs"]), row["unit"], *ratio_cells(row)
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Run them all: 1 where one failed, and 0 otherwise."""
    parser = argparse.ArgumentParser(description="Compare htl with its peers.")
    parser.add_argument("--quick", action="store_true", help="few repeats: to see that it runs, not for figures")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="also write the rows as JSON Lines")
    parser.add_argument("bench", nargs="*", metavar="BENCH", help=f"only these of {', '.join(BENCHES)}")
    chosen = parser.parse_args()
    out, failed = chosen.out.open("w") if chosen.out else None, []
    print(HEADER, flush=True)
    for bench in chosen.bench or BENCHES:
        print(f"{bench} ...", file=sys.stderr, flush=True)
        try:
            rows = rows_in_fresh_process(bench, chosen.quick)
        except Exception as error:  # whatever it is, the other benchmarks go on
            print(f"{bench} failed: {type(error).__name__}: {error}", file=sys.stderr)
            failed.append(bench)
            continue
        print(*map(line, rows), sep="\n", flush=True)
        if out:
            out.writelines(json.dumps({"bench": bench} | row) + "\n" for row in rows)
            out.flush()
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
