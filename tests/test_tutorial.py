"""htl-tutorial(7): its commands run on a terminal, and their output is that of the page.

HTL_TEST_RENEW=1 writes the output into the page instead.
"""

import json
import os
import re
import textwrap
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "man" / "htl-tutorial.7"
TYPED = re.compile(
    r'\.\\" typed\n\.Bd -literal -offset indent\n(?P<typed>.*?)\n\.Ed\n(?P<shown>\.\\" shown\n\.Bd -literal\n(?P<output>.*?)\n\.Ed\n)?',
    re.S,
)
RENEW = bool(os.environ.get("HTL_TEST_RENEW"))
COLUMNS = 75  # these and the margin of a page are 80
# progress bars, whose line has no bar at first, and what is left of one on a narrow terminal
PROGRESS = re.compile("[\N{BOX DRAWINGS HEAVY HORIZONTAL}\N{BOX DRAWINGS HEAVY LEFT}]|\\d+/\\d+ [-\\d]+:[-\\d]{2}:[-\\d]{2}$|^training on ")


def plain(text: str) -> str:
    """The source of a literal block, as the reader sees it."""
    return text.replace("\\&", "").replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\")


def source(text: str) -> str:
    """The source of a literal block that the reader sees as this text."""
    return re.sub(r"^(?=[.'])", r"\\&", text.replace("\\", "\\e").replace("-", "\\-"), flags=re.M).replace("'", "\\(aq")


def block(output: str) -> str:
    """The literal block that shows an output; empty where there is none."""
    return f'.\\" shown\n.Bd -literal\n{source(output)}\n.Ed\n' if output else ""


def seen(shown: str) -> str:
    """The final text of a terminal: no control sequences, the last of overwritten lines, no progress bars, no blank line at either end;
    long lines are broken at its width.
    """
    lines = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", shown).split("\n")
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in lines]
    lines = [line[i : i + COLUMNS].rstrip() for line in lines if not PROGRESS.search(line) for i in range(0, max(len(line), 1), COLUMNS)]
    return "\n".join(lines).strip("\n") + "\n"


def written(text: str) -> list[str]:
    """The lines of a text that are not blank: a progress bar that a slow machine draws more often leaves blank ones."""
    return [line for line in text.split("\n") if line]


def form(text: str) -> str:
    """A text without what differs between machines: figures and what follows from them, the sites of the hardest, widths of tables."""
    text = re.sub(r"\b(arm|back|face|leg|sole|trunk)\b", "SITE", text)
    text = re.sub(r"[+-]?\d[\d.,]*\*?|(?<=[\s\[])-(?=[\s,\]])", "#", text)
    text = re.sub("\\s|\N{BOX DRAWINGS LIGHT HORIZONTAL}", "", text)
    text = re.sub(r"looks:(once|#times,window#),?(meanofthelasttwo)?,?validationIoU", "looks:validationIoU", text)
    return re.sub(r"(betterin#of#):.*?metric", r"\1metric", text)


@pytest.mark.slow
def test_the_tutorial_is_true(tmp_path, on_terminal):
    """Its commands, pasted with the indentation of the page, give the output of the page: up to the first training in every figure, then in
    form; its conclusions hold.
    """
    page, trained = PAGE.read_text(), False
    for found in TYPED.finditer(PAGE.read_text()):
        typed = plain(found["typed"])
        shown = seen(on_terminal(textwrap.indent(typed, "           "), tmp_path, COLUMNS, NO_COLOR="1")).strip("\n")
        trained = trained or "htl train" in typed
        if RENEW:
            page = page.replace(found[0], found[0].removesuffix(found["shown"] or "") + block(shown))
            continue
        expected = plain(found["output"] or "")
        assert (form(expected) == form(shown)) if trained else (written(expected) == written(shown)), (typed, shown)
    if RENEW:
        PAGE.write_text(page)
    odds = [json.loads(line) for line in (tmp_path / "who.jsonl").read_text().splitlines()]
    by_level = {(line["column"], *line["subgroup"].values()): line for line in odds}
    assert [
        line["subgroup"]["site"] for line in odds if line["column"] == "pruned_loss" and line["q"] < 0.05 < line["hard"] - 0.3 * line["n"]
    ] == ["sole"]
    assert by_level["pruned_loss", "sole"]["low"] > 1
    assert by_level["loss", "sole"]["q"] < 0.05 < by_level["random", "sole"]["q"]
    assert metric(tmp_path / "gain.jsonl", "iou_mean.delta")["low"] > 0, "the model is better"
    doubt = {line.get("doubt"): line for line in lines(tmp_path / "doubt.jsonl") if line["metric"] == "failure_auroc"}
    assert doubt["mirror_disagreement"]["low"] > 0.5, "and its doubt finds its failures"


def lines(path: Path) -> list[dict]:
    """The lines of a file of metrics."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def metric(path: Path, name: str) -> dict:
    """The line of a metric."""
    return next(line for line in lines(path) if line["metric"] == name)


@pytest.mark.parametrize("text", ["a-b\n.c\n'd' \\\n", "$ x \\\n"])
def test_literal_blocks_are_read_as_written(text):
    """Dots, quotes and backslashes are the same after writing and reading a page."""
    assert plain(source(text)) == text
    assert not re.search(r"^[.']", source(text), re.M)
