"""htl-tutorial(7): what it has the reader type is run on a terminal, and shows what it says.

HTL_TEST_RENEW=1 writes what is shown into the page instead.
"""

import json
import os
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "man" / "htl-tutorial.7"
BLOCK = re.compile(r'\.\\" (runs|session)\n\.Bd -literal\n(.*?)\n\.Ed\n', re.S)
RENEW = bool(os.environ.get("HTL_TEST_RENEW"))
COLUMNS = 75  # with the margin of a page these fit in 80
BAR = "\N{BOX DRAWINGS HEAVY HORIZONTAL}"  # what progress bars are drawn with


def plain(text: str) -> str:
    """What stands in a literal block, as the reader sees it."""
    return text.replace("\\&", "").replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\")


def source(text: str) -> str:
    """What has to stand in a literal block for the reader to see this."""
    return re.sub(r"^(?=[.'])", r"\\&", text.replace("\\", "\\e").replace("-", "\\-"), flags=re.M).replace("'", "\\(aq")


def commands(session: str) -> list[tuple[str, str]]:
    """The commands of a session as they were typed, and what it says that each shows."""
    parts = re.split(r"^\$ ", plain(session) + "\n", flags=re.M)[1:]
    return [re.fullmatch(r"(.*?(?:\n> .*?)*)\n(.*)", part, re.S).groups() for part in parts]


def pasted_from(typed: str) -> str:
    """A command as it is pasted: without what the shell shows before its further lines."""
    return re.sub(r"^> ", "", typed, flags=re.M)


def seen(shown: str) -> str:
    """What stays on a terminal: no control sequences, of overwritten lines the last, no progress bars, no blank line at either end;
    long lines are cut where the terminal ends.
    """
    lines = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", shown).split("\n")
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in lines]
    lines = [line[i : i + COLUMNS].rstrip() for line in lines if BAR not in line for i in range(0, max(len(line), 1), COLUMNS)]
    return "\n".join(lines).strip("\n") + "\n"


def form(text: str) -> str:
    """A text without what another machine may say otherwise: figures, the sites of the hardest, widths and lines of tables."""
    text = re.sub(r"\b(arm|back|face|leg|sole|trunk)\b", "SITE", text)
    text = re.sub(r"[+-]?\d[\d.,]*\*?|(?<=[\s\[])-(?=[\s,\]])", "#", text)
    return re.sub("\\s|\N{BOX DRAWINGS LIGHT HORIZONTAL}", "", text)


def test_the_tutorial_is_true(tmp_path, pasted, on_terminal):
    """Its commands work and show what it says, to the figure up to the first training and in form after that; and its finding holds."""
    page, trained = PAGE.read_text(), False
    for kind, block in BLOCK.findall(page):
        if kind == "runs":
            done = pasted(plain(block), tmp_path)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            continue
        played = ""
        for typed, said in commands(block):
            shown = seen(on_terminal(pasted_from(typed), tmp_path, COLUMNS, NO_COLOR="1"))
            played += f"$ {typed}\n{shown}"
            trained = trained or "htl train" in typed
            if not RENEW:
                assert (form(said) == form(shown)) if trained else (said.strip("\n") == shown.strip("\n")), (typed, shown)
        page = page.replace(block, source(re.sub("\n+$", "", played.replace("\n\n$ ", "\n$ "))))
    if RENEW:
        PAGE.write_text(page)
    odds = [json.loads(line) for line in (tmp_path / "who.jsonl").read_text().splitlines()]
    found = {(line["column"], *line["subgroup"].values()): line for line in odds}
    assert [
        line["subgroup"]["site"] for line in odds if line["column"] == "pruned_loss" and line["q"] < 0.05 < line["hard"] - 0.3 * line["n"]
    ] == ["sole"]
    assert found["pruned_loss", "sole"]["low"] > 1
    assert found["loss", "sole"]["q"] < 0.05 < found["random", "sole"]["q"]


@pytest.mark.parametrize("text", ["a-b\n.c\n'd' \\\n", "$ x \\\n"])
def test_what_is_written_is_read_again(text):
    """Dots, quotes and backslashes come out of the page as they went in."""
    assert plain(source(text)) == text
    assert not re.search(r"^[.']", source(text), re.M)
