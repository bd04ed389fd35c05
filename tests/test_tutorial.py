"""htl-tutorial(7): its commands run on a terminal, and their output is that of the page.

HTL_TEST_RENEW=1 writes the output into the page instead.
"""

import json
import os
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "man" / "htl-tutorial.7"
BLOCK = re.compile(r'\.\\" (runs|session)\n\.Bd -literal\n(.*?)\n\.Ed\n', re.S)
RENEW = bool(os.environ.get("HTL_TEST_RENEW"))
COLUMNS = 75  # these and the margin of a page are 80
BAR = "\N{BOX DRAWINGS HEAVY HORIZONTAL}"  # the character of progress bars


def plain(text: str) -> str:
    """The source of a literal block, as the reader sees it."""
    return text.replace("\\&", "").replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\")


def source(text: str) -> str:
    """The source of a literal block that the reader sees as this text."""
    return re.sub(r"^(?=[.'])", r"\\&", text.replace("\\", "\\e").replace("-", "\\-"), flags=re.M).replace("'", "\\(aq")


def commands(session: str) -> list[tuple[str, str]]:
    """The commands of a session as they are typed, and the output of each."""
    parts = re.split(r"^\$ ", plain(session) + "\n", flags=re.M)[1:]
    return [re.fullmatch(r"(.*?(?:\n> .*?)*)\n(.*)", part, re.S).groups() for part in parts]


def pasted_from(typed: str) -> str:
    """A command as it is pasted: without the prompts of its further lines."""
    return re.sub(r"^> ", "", typed, flags=re.M)


def seen(shown: str) -> str:
    """The final text of a terminal: no control sequences, the last of overwritten lines, no progress bars, no blank line at either end;
    long lines are broken at its width.
    """
    lines = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", shown).split("\n")
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in lines]
    lines = [line[i : i + COLUMNS].rstrip() for line in lines if BAR not in line for i in range(0, max(len(line), 1), COLUMNS)]
    return "\n".join(lines).strip("\n") + "\n"


def form(text: str) -> str:
    """A text without what differs between machines: figures and what follows from them, the sites of the hardest, widths of tables."""
    text = re.sub(r"\b(arm|back|face|leg|sole|trunk)\b", "SITE", text)
    text = re.sub(r"[+-]?\d[\d.,]*\*?|(?<=[\s\[])-(?=[\s,\]])", "#", text)
    text = re.sub("\\s|\N{BOX DRAWINGS LIGHT HORIZONTAL}", "", text)
    text = re.sub(r"looks:(once|#times,window#),?(meanofthelasttwo)?,?validationIoU", "looks:validationIoU", text)
    return re.sub(r"(betterin#of#):.*?metric", r"\1metric", text)


@pytest.mark.slow
def test_the_tutorial_is_true(tmp_path, pasted, on_terminal):
    """Its commands give the output of the page: up to the first training in every figure, then in form; its conclusion holds."""
    page, trained = PAGE.read_text(), False
    for kind, block in BLOCK.findall(page):
        if kind == "runs":
            done = pasted(plain(block), tmp_path)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            continue
        played = ""
        for typed, expected in commands(block):
            shown = seen(on_terminal(pasted_from(typed), tmp_path, COLUMNS, NO_COLOR="1"))
            played += f"$ {typed}\n{shown}"
            trained = trained or "htl train" in typed
            if not RENEW:
                assert (form(expected) == form(shown)) if trained else (expected.strip("\n") == shown.strip("\n")), (typed, shown)
        page = page.replace(block, source(re.sub("\n+$", "", played.replace("\n\n$ ", "\n$ "))))
    if RENEW:
        PAGE.write_text(page)
    odds = [json.loads(line) for line in (tmp_path / "who.jsonl").read_text().splitlines()]
    by_level = {(line["column"], *line["subgroup"].values()): line for line in odds}
    assert [
        line["subgroup"]["site"] for line in odds if line["column"] == "pruned_loss" and line["q"] < 0.05 < line["hard"] - 0.3 * line["n"]
    ] == ["sole"]
    assert by_level["pruned_loss", "sole"]["low"] > 1
    assert by_level["loss", "sole"]["q"] < 0.05 < by_level["random", "sole"]["q"]
    gain = next(line for line in map(json.loads, (tmp_path / "gain.jsonl").read_text().splitlines()) if line["metric"] == "iou_mean.delta")
    assert gain["low"] > 0


@pytest.mark.parametrize("text", ["a-b\n.c\n'd' \\\n", "$ x \\\n"])
def test_literal_blocks_are_read_as_written(text):
    """Dots, quotes and backslashes are the same after writing and reading a page."""
    assert plain(source(text)) == text
    assert not re.search(r"^[.']", source(text), re.M)
