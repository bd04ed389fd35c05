"""What strangers may put into files that htl reads: their words and names steer neither terminal, page, nor path."""

import json
import os
import pty
import re
import sys
import threading
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from htltools import console
from htltools.formats.rows.jsonlines import compact_json, joined_lines, parsed_json
from htltools.formats.sources.open_rows import read_rows

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202egnp\u2066\r\n[bold]x[/nothing]<b onclick='x'>&amp;</script>"
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
BAR = r"\r?\x1b\[(?:\?25[lh]|2K|1A)"  # what rich writes to draw a progress bar; none of it is in EVIL


def steers(text: str) -> list[str]:
    """The characters in a text that would steer a terminal, but for ends of lines and rich's own bold letters."""
    return STEERING.findall(re.sub(r"\t|\r+(?=\n)|\x1b\[[0-9;]*m", "", text))


@pytest.fixture(scope="module")
def evil(fixed, tmp_path_factory):
    """The rows of `fixed` with evil words wherever words may stand: path of the file."""
    path = tmp_path_factory.mktemp("evil") / "rows.jsonl"
    rows = [
        row
        | {
            "id": row["id"] + EVIL,
            "group": row["group"] + EVIL,
            "label": EVIL,
            "meta": {"sex": EVIL + str(i % 2), EVIL: EVIL},
            EVIL: [EVIL],
        }
        for i, row in enumerate(fixed.rows)
    ]
    rows = [
        row | {"hardness": {"pruned_loss": i, EVIL: i}, "predicted": {"dense": [0, 0, 9, 9], "pruned": [0, 0, 99, 9]}}
        for i, row in enumerate(rows)
    ]
    begin = {"htl": "begin", "schema": 1, "by": EVIL, "history": [{"run": EVIL, "command": EVIL, "time": EVIL, "parameters": {EVIL: EVIL}}]}
    path.write_bytes(joined_lines([begin, *rows, {"htl": "end", "by": EVIL, "rows": len(rows)}]))
    return path


def on_terminal(*args) -> tuple[int, str]:
    """The exit code of htl and all that it shows on a terminal of its own."""
    from htltools.cli import main

    ours, theirs = pty.openpty()
    shown = bytearray()

    def look():
        while True:
            try:
                shown.extend(os.read(ours, 65536))
            except OSError:
                return

    looking = threading.Thread(target=look)
    looking.start()
    before = sys.stdin, sys.stdout, sys.stderr
    try:
        with open(os.dup(theirs), "w", encoding="utf-8") as stdout, open(os.dup(theirs), "w", encoding="utf-8") as stderr:
            sys.stdout, sys.stderr = stdout, stderr
            code = main([str(arg) for arg in args])
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        os.close(theirs)
        looking.join()
        os.close(ours)
    return code, shown.decode()


@pytest.mark.parametrize(
    "args",
    [
        ("view",),
        ("view", "--to", "rows"),
        ("view", "--to", "csv"),
        ("view", "--columns", "id,label," + EVIL.replace(",", "")),
        ("view", "--sort", "pruned_loss", "--to", "tsv"),
        ("view", "--where", EVIL + "=1"),
        ("view", "--columns", EVIL + "x"),
        ("view", "--no-such-" + EVIL),
        ("view", EVIL),
        ("evaluate", "--model", "half.h5", "--group-by", "sex"),
        ("evaluate", "--hard", "pruned_loss", "--top", "0.5"),
        ("resample", "--by", EVIL),
        ("resample", "--by", "nothing", "--debug"),
    ],
    ids=lambda args: " ".join(args[:2])[:20],
)
def test_terminal(evil, fixed, args, monkeypatch):
    """Whatever rows, names and flags hold, the terminal sees no control character of theirs, and no markup is read."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "400")
    rows = [] if args[1:] == (EVIL,) else [evil]
    code, shown = on_terminal(args[0], *rows, *(fixed.folder / arg if arg.endswith(".h5") else arg for arg in args[1:]))
    shown = re.sub(BAR, "", shown)
    assert code in (0, 1, 2, 65, 66) and shown and not steers(shown), (code, shown)
    if args == ("view",):
        assert "[bold]x[/nothing]" in shown


@given(st.text())
@settings(max_examples=500, derandomize=True)
def test_json_round_trip(text):
    """JSON that htl writes holds no character that steers a terminal, and reads back as the same value."""
    if "\ud800" <= max(text, default="") <= "\udfff":
        return
    written = compact_json({text: [text, {"x": text}]})
    assert not steers(written.decode()) and b"\n" not in written and parsed_json(written) == {text: [text, {"x": text}]}
    assert not steers(console.printable(text)) and "\n" not in console.printable(text)


class Page(HTMLParser):
    """What a browser makes of a page: its elements, their attributes, and the text outside of scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.words, self.open = set(), set(), [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open = tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.slow
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(words=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=4, max_size=4))
def test_pages(htl, fixed, tmp_path_factory, words):
    """Words in ids, labels, groups, metadata, their names, history and file names stay words: no element and no attribute comes of them."""
    folder = tmp_path_factory.mktemp("page")
    pages = []
    for said in (["a", "b", "c", "d"], [EVIL, *words[1:]], [f"<img src=x onerror={word}>" for word in words]):
        name, label, column, level = (word.replace("\0", "") for word in said)
        rows = [
            row
            | {
                "id": row["id"] + name,
                "label": label,
                "meta": {column: level + str(i % 2), "sex": level},
                "hardness": {"pruned_loss": i, column: 1.0},
            }
            for i, row in enumerate(fixed.rows)
        ]
        rows = [row | {"predicted": {"dense": [0, 0, 9, 9], "pruned": [0, 0, 99, 9]}} for row in rows]
        begin = {"htl": "begin", "schema": 1, "by": name, "history": [{"run": name, "command": label, "parameters": {column: level}}]}
        code, _, err = htl(
            "report", "-o", folder / "r.html", "--force", stdin=joined_lines([begin, *rows, {"htl": "end", "by": "", "rows": 8}])
        )
        assert code == 0, err
        pages.append((folder / "r.html").read_text("utf-8"))
    plain, *others = map(Page, pages)
    for page in others:
        assert page.elements <= plain.elements and page.attributes <= plain.attributes
    for page in pages:
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
        assert policy.startswith("default-src 'none'; img-src data:;") and "script-src 'sha256-" in policy
        assert page.count("<script") == pages[0].count("<script") and page.count("<script>") == 1
        data = page.split('id="data">')[1].split("</script>")[0]
        json.loads(data)


@pytest.mark.parametrize("name", ["../../etc/x", "/etc/passwd", "..", "a/../../b", "images/../../../x", "..\\..\\x"])
def test_names_lead_nowhere(htl, fixed, tmp_path, name):
    """Names in COCO, tables and ids are names: nothing is read or written outside of what the user named."""
    study = tmp_path / "deep/study"
    study.mkdir(parents=True)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(study / "a.png")
    coco = {"images": [{"id": 1, "file_name": name}, {"id": 2, "file_name": "a.png"}], "categories": [], "annotations": []}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    (study / "metadata.csv").write_text(f"file,group\n{name},g\na.png,h\n")
    code, out, err = htl("prepare", study, "--coco", tmp_path / "coco.json", "--keep-unlabelled", "-o", study / "s", "-j", 1)
    rows = [row for row in map(json.loads, out.splitlines()) if "htl" not in row]
    assert code == 0 and [row["id"] for row in rows] == ["a"] and "2 names of the table are no image's" in err
    evil = [
        row | {"id": name + str(i), "hardness": {"pruned_loss": i}, "predicted": {"dense": [0, 0, 9, 9]}}
        for i, row in enumerate(fixed.rows)
    ]
    before = {path for path in tmp_path.rglob("*")}
    for args in (
        ("view", "--sheet", study / "s.png", "--to", f"coco:{study}/c.json"),
        ("report", "-o", study / "r.html"),
        ("view", "--to", "csv"),
    ):
        assert htl(*args, stdin=joined_lines(evil))[0] == 0
    made = {path for path in tmp_path.rglob("*")} - before
    assert {path.name for path in made} == {"s.png", "c.json", "r.html"}


def test_rows_name_only_stores(htl, fixed, tmp_path):
    """A row may name any path as its store; what is no shard of htl gives no image, and a pipe or a device does not wait."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret").write_bytes(b"secret" * 100)
    for path, code in (
        (tmp_path / "secret", 65),
        ("/dev/zero", 66),
        (tmp_path / "pipe", 66),
        (tmp_path, 66),
        (fixed.half, 65),
        ("/no", 66),
    ):
        rows = [row | {"store": str(path)} for row in fixed.rows]
        for args in (("evaluate", "--model", fixed.half), ("view", "--sheet", tmp_path / "s.png")):
            got, out, err = htl(*args, stdin=joined_lines(rows))
            assert got == code and err.count("\n") == 1 and b"secret" not in out and "secretsecret" not in err, err
        notes = [{"htl": "model", "role": role, "path": str(path)} for role in ("dense", "pruned")]
        got, _, err = htl(
            "view",
            "--to",
            "rows",
            stdin=joined_lines([{"htl": "begin", "schema": 1, "by": "x"}, *notes, {"id": "a"}, {"htl": "end", "by": "x", "rows": 1}]),
        )
        assert got == (0 if os.path.isfile(path) else 66), err


def test_pipes_and_links_in_a_folder(htl, tmp_path):
    """A pipe with the name of an image does not wait, and a link to something else is no image: both are left out with a reason."""
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "series.dcm")
    (tmp_path / "passwd.png").symlink_to("/etc/passwd")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "folder").symlink_to("/etc")
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    code, out, err = htl("prepare", tmp_path, "-o", tmp_path / "s", "-j", 1)
    assert code == 0 and [row["id"] for row in read_rows(tmp_path / "s")[0]] == ["a"]
    assert "left out 3: no regular file" in err and "left out 1: no image in a known format" in err


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("index", 2**70, 65),
        ("size", [10**400, 3], 65),
        ("boxes", [[0, 0, 10**400, 1]], 65),
        ("boxes", [[-1e308, -1e308, 1e308, 1e308]], 65),
        ("repeat", 2**64, 65),
        ("id", "\ud800", 65),
        ("weight", 1e308, 0),
        ("meta", {"age": 10**400, "sex": []}, 0),
    ],
    ids=str,
)
def test_wild_numbers(htl, fixed, tmp_path, field, value, code):
    """Numbers that no image has are refused in one line, and others make no noise."""
    rows = [row | {field: value} if i == 0 else row for i, row in enumerate(fixed.rows)]
    stdin = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    for args in (("evaluate", "--model", fixed.half, "-q"), ("view", "--sheet", tmp_path / "s.png", "--force", "-q")):
        got, _, err = htl(*args, stdin=stdin)
        assert got == code and err.count("\n") == (code != 0) and "unexpected" not in err, err


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1e308", "inf"])
def test_boxes_beyond_all_bounds(htl, tmp_path, number):
    """Numbers of tables and annotations that no image has are refused by line, or left out with their reason; none overflows."""
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text(f"file,x0,y0,x1,y1\na.png,{number},0,5,5\n")
    code, _, err = htl("prepare", tmp_path, "--table", tmp_path / "t.csv", "-o", tmp_path / "s")
    assert (code, err) == (65, f"htl prepare: {tmp_path}/t.csv, line 2: the box {number},0,5,5 is not four numbers\n")
    boxed = f'{{"images":[{{"id":1,"file_name":"a"}}],"annotations":[{{"image_id":1,"bbox":[0,0,{number},5]}}]}}'
    (tmp_path / "c.json").write_text(boxed)
    code, _, err = htl("prepare", tmp_path, "--coco", tmp_path / "c.json", "-o", tmp_path / "s")
    left_out = f"htl prepare: left out 1: '{float(number):g}' is no number of a box (annotation 1 of the list)\n"
    assert code == 65 and (left_out in err or number == "inf" and f"{tmp_path}/c.json is no JSON (" in err), err


def test_a_line_without_end(htl, monkeypatch):
    """A file that never ends a line is refused, and not gathered in memory."""
    monkeypatch.setattr("htltools.formats.sources.open_rows.LONGEST", 1000)
    code, _, err = htl("view", stdin=b'{"id":"' + b"x" * 5000)
    assert code == 65 and "holds a line of more than 0 MiB; it is no file of rows" in err


@pytest.mark.skipif(not os.path.isdir("/sys/kernel"), reason="there is no folder that nobody can write")
@pytest.mark.parametrize(
    "args",
    [
        ("prepare", "--phantom", 2, "-o", "/sys/kernel/s"),
        ("train", "ROWS", "-o", "/sys/kernel/m.h5", "--epochs", 1),
        ("prune", "ROWS", "--model", "HALF", "--recover", "none", "--sparsity", "0.5", "-o", "/sys/kernel/m.h5"),
        ("export", "--model", "HALF", "-o", "/sys/kernel/m.onnx"),
        ("report", "SCORED", "-o", "/sys/kernel/r.html"),
        ("view", "ROWS", "--sheet", "/sys/kernel/s.png"),
        ("view", "ROWS", "--to", "coco:/sys/kernel/s.json"),
    ],
    ids=lambda args: f"{args[0]} {args[-2]}",
)
def test_folders_that_nobody_can_write(htl, phantom, dense, scored, args):
    """A folder that cannot be written, even by root, is an error in one line, with 73, after a word on a small model that is no good."""
    named = {"ROWS": phantom.rows, "HALF": dense, "SCORED": scored}
    code, _, err = htl(*(named.get(arg, arg) for arg in args), "-q")
    *before, cause = err.splitlines()
    assert code == 73 and "/sys/kernel/" in cause and all(line.endswith("train it longer") for line in before), (code, err)


def test_read_only_file_systems(htl, phantom, monkeypatch, tmp_path):
    """On a file system that is read-only the same is 73, and no want of room."""
    import errno

    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("htltools.formats.images.png.Image.Image.save", refuse)
    code, _, err = htl("view", phantom.rows, "--limit", 1, "--sheet", tmp_path / "s.png", "-q")
    assert code == 73 and err == f"htl view: cannot create {tmp_path}/s.png (Read-only file system); its file system is read-only\n"
