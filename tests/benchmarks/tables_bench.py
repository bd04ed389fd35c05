"""A table of 80,000 lines matched with 80,000 images: as `prepare` reads it, against csv or pandas and a dict of file names."""

import csv
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from measuring import alternating, show

sys.path.insert(0, str(Path(__file__).parents[2]))  # this checkout, installed or not
from htltools.formats.files.collecting import without_collecting
from htltools.formats.sources.joined_facts import no_facts
from htltools.formats.sources.names import ImageNames
from htltools.formats.tables.csv_table import read_tables

LINES = 80_000
HEADER = "image,patient_id,age,sex,site,x0,y0,x1,y1"


def made_table(folder: Path, count: int) -> tuple[Path, list[str]]:
    """A table with a line for each image, and the paths of the images, in ten folders."""
    lines = [f"ISIC_{i:07}.jpg,P{i // 3},{20 + i % 60},male,back,{i % 50},{i % 40},{i % 50 + 20},{i % 40 + 30}" for i in range(count)]
    table = folder / "metadata.csv"
    table.write_text("\n".join([HEADER, *lines]) + "\n")
    return table, [f"/data/images/{i % 10}/ISIC_{i:07}.jpg" for i in range(count)]


def ours(table: Path, paths: list[str]) -> None:
    """The facts of each image: roles recognised, cells checked, groups joined, names matched by the end of their path."""
    with without_collecting():
        images, joined = ImageNames(paths, [path.removeprefix("/data/") for path in paths]), no_facts(len(paths))
        joined.add(read_tables([table], images=images), images, range(len(paths)))
    assert joined.facts[-1].boxes and not joined.unmatched


def by_csv(table: Path, paths: list[str]) -> None:
    """The boxes and groups of each image with csv.DictReader, known columns, and names that are equal to the last part of a path."""
    number = {path.rpartition("/")[2]: i for i, path in enumerate(paths)}
    facts: list[dict[str, Any]] = [{}] * len(paths)
    with table.open(newline="") as file:
        for line in csv.DictReader(file):
            box = [float(line[edge]) for edge in ("x0", "y0", "x1", "y1")]
            facts[number[line["image"]]] = {"boxes": [box], "group": line["patient_id"], "meta": {"age": float(line["age"])}}


def by_pandas(table: Path, paths: list[str]) -> None:
    """The same with pandas."""
    import pandas

    read = pandas.read_csv(table)
    number = {path.rpartition("/")[2]: i for i, path in enumerate(paths)}
    facts: list[dict[str, Any]] = [{}] * len(paths)
    boxes = read[["x0", "y0", "x1", "y1"]].to_numpy(float).tolist()
    for name, group, age, box in zip(read["image"], read["patient_id"], read["age"], boxes, strict=True):
        facts[number[name]] = {"boxes": [box], "group": group, "meta": {"age": age}}


def rows(quick: bool = False) -> list[dict]:
    """Lines per second of each, and their ratio."""
    count = LINES // 8 if quick else LINES
    peers: dict[str, Callable[[Path, list[str]], None]] = {"csv.DictReader and a dict, which check nothing": by_csv}
    if find_spec("pandas"):
        peers["pandas and a dict, which check nothing"] = by_pandas
    made = []
    with tempfile.TemporaryDirectory() as folder:
        arguments = made_table(Path(folder), count)
        for peer, theirs in peers.items():
            ours(*arguments)  # the first calls import
            theirs(*arguments)
            mine, others, *ratio = alternating(lambda: ours(*arguments), lambda theirs=theirs: theirs(*arguments), 3 if quick else 9)
            speeds = {"ours": count / mine, "theirs": count / others, "unit": "lines/s"}
            line = {"what": f"a table of {count:,} lines", "peer": peer} | speeds
            made.append(line | dict(zip(("ratio", "low", "high"), ratio, strict=True)))
    return made


if __name__ == "__main__":
    show(rows(quick="--quick" in sys.argv))
