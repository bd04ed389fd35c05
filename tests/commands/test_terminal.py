"""What `view` shows on a terminal: images as that can show them, or none."""

import io
import re
import sys

import pytest

from htltools.commands.view.terminal import chosen_protocol
from htltools.core.figures.outlines import COLOURS
from htltools.formats.rows.jsonlines import joined_lines


class Screen(io.TextIOWrapper):
    """A stdout that is a terminal."""

    def isatty(self):
        return True


def protocol_on(monkeypatch, encoding="utf-8", **environment):
    """The protocol that is chosen on a terminal with this environment, and why none is."""
    for name in ("TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
        if name in environment:
            monkeypatch.setenv(name, environment[name])
    monkeypatch.setattr(sys, "stdout", Screen(io.BytesIO(), encoding=encoding))
    return chosen_protocol("auto", environment)


@pytest.mark.parametrize(
    "environment, protocol",
    [
        ({"TERM": "xterm-256color"}, "blocks"), ({"TERM": "xterm", "COLORTERM": "truecolor"}, "blocks"),
        ({"TERM": "xterm-kitty", "COLORTERM": "truecolor"}, "kitty"), ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"), ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"}, "kitty"), ({"TERM": "foot"}, "sixel"),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1", "TMUX": "/tmp/x"}, "blocks"),
    ],
)  # fmt: skip
def test_images_are_shown_as_the_terminal_can(monkeypatch, environment, protocol):
    """The variables that a terminal sets decide; within tmux, which passes no images on, half blocks do."""
    assert protocol_on(monkeypatch, **environment) == (protocol, "")


@pytest.mark.parametrize(
    "environment, why",
    [
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "TERM is dumb"), ({"TERM": "xterm-kitty", "NO_COLOR": "1"}, "NO_COLOR is set"),
        ({"TERM": "xterm"}, "TERM=xterm and COLORTERM promise neither 256 colours nor more"),
        ({"TERM": "xterm-256color", "encoding": "latin-1"}, "the text of this terminal is latin-1, not UTF-8"),
    ],
)  # fmt: skip
def test_no_images_where_they_would_be_garbage(monkeypatch, environment, why):
    """Without colours, or without the characters, there are no images, and the reason is known."""
    assert protocol_on(monkeypatch, **environment) == (None, why)


def test_a_way_that_is_named_is_taken():
    """Who names a way knows their terminal better than its environment does: also into `less -R`."""
    assert chosen_protocol("sixel", {"NO_COLOR": "1"}) == ("sixel", "")


def test_the_hardest_as_small_images(terminal, scored):
    """Half blocks show the first rows with their boxes, ids and values, three in a line of 80 columns; the table follows."""
    shown = terminal(
        f"htl view {scored} --split train --sort pruned_disagreement --limit 4 --thumbnails auto --columns id,pruned_disagreement",
        COLORTERM="truecolor",
    )
    plain = re.sub("\x1b\\[[0-9;]*m", "", shown)
    lines = plain.splitlines()
    assert [line.rstrip() for line in lines[:2]] == [
        "4 samples, highest pruned_disagreement first",
        "▄▄▄▄▄▄ dense  ▄▄▄▄▄▄ pruned  ▄▄▄▄▄▄ annotated",
    ]
    assert [lines[2].count("▀"), len(lines[2].split("  "))] == [72, 3]
    ids = re.findall(r"phantom_\d+", plain)
    assert len(ids) == 8 and ids[:4] == ids[4:]
    for role in "annotated", "dense", "pruned":
        assert rgb(COLOURS[role]) in shown
    first = re.search(r"\d\.\d+", plain)
    assert first and first.start() < plain.index("phantom_")  # the value stands above the id
    assert max(map(len, lines)) <= 80


def test_256_colours_where_the_terminal_promises_no_more(terminal, scored):
    """Without COLORTERM the colours are those of the palette."""
    shown = terminal(f"htl view {scored} --limit 1 --thumbnails auto --columns id")
    assert "38;5;" in shown and "38;2;" not in shown


def test_a_terminal_that_can_gets_the_sheet(terminal, scored):
    """On kitty the images are one real image."""
    shown = terminal(f"htl view {scored} --limit 2 --thumbnails auto --columns id", TERM="xterm-kitty")
    assert shown.startswith("\x1b_Ga=T,f=100,q=2,c=78,m=1;")
    assert "▀" not in shown


@pytest.mark.parametrize("columns", [60, 80, 100, 130])
def test_a_table_has_as_many_columns_as_fit(on_terminal, tmp_path, scored, columns):
    """No value of a table is cut: columns that do not fit are left out, and named; that of --sort comes after the id."""
    shown = on_terminal(f"htl view {scored} --sort pruned_disagreement --limit 3", tmp_path, columns, NO_COLOR="1")
    assert "…" not in shown and "columns left out: " in shown
    assert re.search(r"^ +id +pruned_disagreement +split ", re.sub("\x1b\\[[0-9;]*m", "", shown), re.M)


def test_a_terminal_shows_what_to_names(on_terminal, tmp_path, scored):
    """--to rows and --to tsv write on a terminal what they write into a pipe, however narrow it is."""
    shown = on_terminal(f"htl view {scored} --limit 2 --to tsv", tmp_path, 40)
    heading, *lines = shown.splitlines()
    assert heading.startswith("id\tsplit\tlabel\t") and heading.split("\t")[-1].startswith("hardness.")
    assert [line.count("\t") for line in lines] == [heading.count("\t")] * 2
    shown = on_terminal(f"htl view {scored} --limit 2 --to rows --no-notes", tmp_path, 40)
    assert [line[:14] for line in shown.splitlines()] == ['{"id":"phantom'] * 2


def test_names_do_not_steer_the_terminal(terminal, scored, tmp_path, htl):
    """An id with escape codes stands below its image without them."""
    rows = [{**row, "id": f"\x1b]0;owned\x07\x1b[2J{i}"} for i, row in enumerate(rows_of(scored)[:2])]
    (tmp_path / "evil.jsonl").write_bytes(joined_lines(rows))
    shown = terminal("htl view evil.jsonl --sort id --thumbnails auto; htl view evil.jsonl --summary --group-by id")
    assert "owned" in shown
    assert not re.search("\x1b(?!\\[[0-9;]*m)|\x07", shown)


def rgb(colour):
    """A colour of 16 million, as escape codes name it."""
    return "2;{};{};{}".format(*colour)


def rows_of(path):
    """The rows of a file."""
    from htltools.formats.sources.open_rows import read_rows

    return read_rows(path)[0]


def test_without_a_terminal_there_is_the_table(htl, scored):
    """In a pipe --thumbnails gives the table of the first dozen rows, and says why that is all."""
    code, out, err = htl("view", scored, "--thumbnails", "auto", "--columns", "id")
    assert (code, len(out.splitlines())) == (0, 13)
    assert err == (
        "htl view: no images: stdout is no terminal; --sheet PNG writes them to a file\n"
        "htl view: the first 12 of 80 rows; more with --limit\n"
    )


def test_several_boxes_are_all_shown(htl, scored):
    """All boxes of a row and all predictions of a detector are drawn."""
    row = {key: value for key, value in rows_of(scored)[0].items() if key not in ("boxes", "predicted")}
    width, height = row["size"]
    boxes = [[0, 0, width / 4, height / 4], [width / 2, height / 2, width, height]]
    dense = {"boxes": [[width / 4, height / 2, width / 2, height]], "labels": ["nodule"], "scores": [0.9]}
    row |= {"boxes": boxes, "labels": ["nodule", "cyst"], "detected": {"dense": dense}}
    code, out, err = htl("view", "--thumbnails", "blocks", "--columns", "id", stdin=joined_lines([row]))
    assert (code, err) == (0, "")
    title, legend, *lines = out.decode().split("\n")
    assert "dense" in legend and "pruned" not in legend
    lines = [line for line in lines if "▀" in line]
    assert [rgb(COLOURS["annotated"]) in line for line in lines] == [True] * 3 + [False] + [True] * 5
    assert rgb(COLOURS["dense"]) in lines[-1]
    assert not any(rgb(COLOURS["dense"]) in line for line in lines[:3])


def test_the_summary(htl):
    """--summary counts samples, groups and annotations of each split and subgroup, and gives the mean of each column, tab-separated."""
    rows = [
        {
            "id": "a",
            "split": "test",
            "group": "p",
            "size": [9, 9],
            "boxes": [[0, 0, 1, 1]],
            "meta": {"sex": "m"},
            "hardness": {"pruned_disagreement": 0.5},
        },
        {
            "id": "b",
            "split": "test",
            "group": "p",
            "size": [9, 9],
            "meta": {"sex": "f"},
            "hardness": {"pruned_disagreement": 0.25, "own": 1},
        },
        {
            "id": "b",
            "split": "test",
            "group": "p",
            "size": [9, 9],
            "meta": {"sex": "f"},
            "hardness": {"pruned_disagreement": 0.25, "own": 1},
            "repeat": 1,
        },
    ]
    code, out, err = htl("view", "--summary", stdin=joined_lines(rows))
    assert (code, err) == (0, "")
    assert out.decode().splitlines() == [
        "split\tsubgroup\tsamples\tgroups\tannotated\tpruned_disagreement\town",
        "test\tall\t2\t1\t1\t0.3750\t1.0000",
        "test\tsex f\t1\t1\t0\t0.2500\t1.0000",
        "test\tsex m\t1\t1\t1\t0.5000\t",
    ]
    asked = htl("view", "--summary", "--group-by", "group", "--columns", "hardness.own", stdin=joined_lines(rows))[1]
    assert asked.decode().splitlines()[::2] == ["split\tsubgroup\tsamples\tgroups\tannotated\town", "test\tgroup p\t2\t1\t1\t1.0000"]
    wrong = htl("view", "--summary", "--columns", "drft", stdin=joined_lines(rows))
    assert wrong == (
        65,
        b"",
        "htl view: no row has a hardness 'drft'; these have pruned_disagreement, own: a summary gives the means of those\n",
    )


@pytest.mark.parametrize("columns", [40, 80])
def test_names_of_subgroups_stay_on_a_narrow_terminal(on_terminal, tmp_path, scored, columns):
    """The names come first, and numbers that do not fit are left out, and named."""
    line = f"htl evaluate {scored} --split train --hard pruned_loss --group-by sex,age:20; htl view {scored} --summary --columns loss"
    shown = on_terminal(line, tmp_path, columns, NO_COLOR="1")
    for name in "sex female", "sex male", "subgroup":
        assert name in shown
    assert "…" not in shown
    assert ("columns left out at a width of 40: " in shown) == (columns == 40)
