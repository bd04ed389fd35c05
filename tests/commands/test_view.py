"""`htl view`."""

import numpy as np
import pytest
from PIL import Image

from htltools.core.figures.outlines import COLOURS
from htltools.formats.rows.jsonlines import joined_lines, split_lines

ROWS = [
    {
        "id": "a",
        "split": "train",
        "label": "nv",
        "meta": {"age": 70, "site": "face"},
        "hardness": {"pruned_disagreement": 0.25},
        "mine": [1, 2],
    },
    {"id": "b", "split": "test", "label": "mel", "meta": {"age": 30, "site": "b\tack\n"}, "hardness": {"pruned_disagreement": 0.75}},
    {"id": "c", "split": "test", "label": "nv", "meta": {"age": 45}},
]


def viewed(htl, *args, rows=ROWS):
    """The ids that view writes."""
    code, out, err = htl("view", *args, stdin=joined_lines(rows))
    assert code == 0, err
    return [line["id"] for line in split_lines(out) if "id" in line]


@pytest.mark.parametrize(
    "args, ids",
    [
        ([], "abc"),
        (["--split", "test"], "bc"),
        (["--where", "label=nv"], "ac"),
        (["--where", "age>=45", "--where", "age<70"], "c"),
        (["--where", "label!=nv"], "b"),
        (["--sort", "pruned_disagreement"], "bac"),
        (["--sort", "age", "--limit", 2], "ac"),
        (["--limit", 1], "a"),
        (["--split", "val"], ""),
    ],
)
def test_chooses_and_sorts(htl, args, ids):
    """Rows are chosen by split and field, sorted highest first with those without the field last, and limited at the end."""
    assert "".join(viewed(htl, *args)) == ids


def test_rows_are_unchanged_and_the_end_note_is_true(htl):
    """Chosen rows pass as they came, and the end note counts them, also with --limit."""
    _, out, _ = htl("view", "--limit", 2, stdin=joined_lines(ROWS))
    begin, *rows, end = split_lines(out)
    assert rows == ROWS[:2]
    assert (begin["htl"], end["htl"], end["rows"]) == ("begin", "end", 2)


def test_no_notes(htl):
    """--no-notes leaves plain rows for other programs."""
    assert htl("view", "--no-notes", stdin=joined_lines(ROWS))[1] == joined_lines(ROWS)


def test_models_go_on(htl, dense):
    """Notes of models survive, so that view stands anywhere in a chain."""
    note = {"htl": "model", "role": "dense", "path": str(dense)}
    _, out, _ = htl("view", "--limit", 1, stdin=joined_lines([*ROWS, note]))
    assert [line["path"] for line in split_lines(out) if line.get("htl") == "model"] == [str(dense)]


def test_tables(htl):
    """--to tsv writes one line per row with a heading, without tabs or newlines of the data's own, whatever the rows have."""
    code, out, _ = htl("view", "--to", "tsv", stdin=joined_lines(ROWS))
    assert code == 0
    assert out.decode().split("\n") == [
        "id\tsplit\tlabel\tmeta.age\tmeta.site\thardness.pruned_disagreement",
        "a\ttrain\tnv\t70\tface\t0.25",
        "b\ttest\tmel\t30\tb ack \t0.75",
        "c\ttest\tnv\t45\t\t",
        "",
    ]
    assert htl("view", "--to", "table", stdin=joined_lines(ROWS))[1] == out
    assert (
        htl("view", "--columns", "id,pruned_disagreement,mine", stdin=joined_lines(ROWS[:1]))[1]
        == b"id\tpruned_disagreement\tmine\na\t0.25\t1 2\n"
    )


def test_a_hardness_column_by_its_beginning(htl):
    """--sort and --columns take the beginning of one hardness column; a field of just that name wins, and two columns are refused."""
    columns = {"pruned_disagreement": 0.5, "pruned_loss": 1.5, "loss": 2.5}
    rows = [
        {"id": "a", "meta": {"pruned_l": 3}, "hardness": columns},
        {"id": "b", "hardness": columns | {"pruned_disagreement": 0.75, "loss": 0.5}},
    ]
    assert htl("view", "--columns", "id,pruned_d,hardness.l", "--sort", "pruned_d", stdin=joined_lines(rows)) == (
        0,
        b"id\tpruned_disagreement\tloss\nb\t0.75\t0.5\na\t0.5\t2.5\n",
        "",
    )
    assert viewed(htl, "--sort", "pruned_l", rows=rows) == ["a", "b"]
    assert htl("view", "--columns", "pruned_l", stdin=joined_lines(rows))[1] == b"pruned_l\n3\n\n"
    _, out, _ = htl("view", "--summary", "--columns", "pruned_d", stdin=joined_lines(rows))
    assert out.decode().splitlines()[0].endswith("annotated\tpruned_disagreement")
    code, out, err = htl("view", "--sort", "pruned", stdin=joined_lines(rows))
    assert (code, out) == (2, b"")
    assert err == "htl view: --sort pruned may be pruned_disagreement or pruned_loss; write more of the name\n"


def test_a_misspelt_field_is_refused(htl):
    """A field that no row has is refused, in --where, --sort and --columns alike, with the names there are."""
    for args in ("--where", "agee>3"), ("--sort", "drft"), ("--columns", "id,no"):
        code, out, err = htl("view", *args, stdin=joined_lines(ROWS))
        assert (code, out) == (65, b"")
        assert err.startswith("htl view: no row has a field") and "meta.age" in err


def test_escape_codes_of_the_data_never_reach_a_table(htl):
    """A name that would steer a terminal is shown harmlessly in a table, and passes untouched as JSON."""
    evil = {"id": "\x1b[2Jx", "meta": {"\x1b]0;t\x07": "\x9b31m\r"}}
    _, out, _ = htl("view", "--to", "tsv", stdin=joined_lines([evil]))
    assert not any(byte in out.decode() for byte in "\x1b\x07\x9b\r")
    assert split_lines(htl("view", "--no-notes", stdin=joined_lines([evil]))[1]) == [evil]


def test_a_store_is_a_source(htl, phantom):
    """A finished store gives its rows again, as prepare wrote them."""
    _, out, _ = htl("view", phantom.folder / "store", "--no-notes")
    assert split_lines(out) == phantom.samples


def test_sheet(htl, scored, tmp_path):
    """--sheet draws the chosen rows with the boxes they have, and never overwrites without --force."""
    args = ["view", scored, "--split", "train", "--sort", "pruned_disagreement", "--limit", 7, "--sheet", tmp_path / "s.png"]
    code, out, err = htl(*args, "--columns", "id,pruned_disagreement")
    assert (code, err) == (0, f"htl view: {tmp_path}/s.png: 7 samples drawn\n")
    values = [float(line.split("\t")[1]) for line in out.decode().splitlines()[1:]]
    assert values == sorted(values, reverse=True)
    image = np.asarray(Image.open(tmp_path / "s.png"))
    assert image.shape[2] == 3
    assert all((image == COLOURS[role]).all(-1).sum() > 50 for role in ("annotated", "dense", "pruned"))
    code, _, err = htl(*args)
    assert (code, err) == (73, f"htl view: {tmp_path}/s.png exists; replace it with --force, or name another output\n")


@pytest.mark.parametrize(
    "args, said",
    [
        (["--split", "nix"], "--split takes train, val, test, all, not 'nix'"),
        (["--where", "age"], "--where takes FIELD=VALUE (or !=, <, <=, >, >=), not 'age'"),
        (["--to", "xml"], "--to takes rows, table, tsv, csv, parquet:FILE, coco:FILE or fiftyone:DIR, not 'xml'"),
        (["--to", "coco"], "--to takes rows, table, tsv, csv, parquet:FILE, coco:FILE or fiftyone:DIR, not 'coco'"),
        (["--to", "csv:{}/a.csv"], "--to takes rows, table, tsv, csv, parquet:FILE, coco:FILE or fiftyone:DIR, not 'csv:{}/a.csv'"),
        (["--to", "rows", "--columns", "id"], "--columns and --to rows exclude each other"),
        (["--to", "coco:{}/c.json", "--columns", "id"], "--columns and --to coco exclude each other"),
        (["--summary", "--to", "csv"], "--summary and --to csv exclude each other"),
        (["--thumbnails", "blocks", "--to", "rows"], "--thumbnails and --to rows exclude each other"),
        (["--summary", "--thumbnails", "auto"], "--summary and --thumbnails exclude each other"),
        (["--group-by", "age"], "--group-by makes the subgroups of --summary; give both"),
        (["--split", "val", "--sheet", "{}/s.png"], "no row is left to draw"),
    ],
)
def test_wrong_flags(htl, tmp_path, args, said):
    """Wrong flags are refused in one line with 2, and nothing is drawn."""
    code, out, err = htl("view", *[arg.format(tmp_path) for arg in args], stdin=joined_lines(ROWS))
    assert (code, out, err) == (2, b"", f"htl view: {said.format(tmp_path)}\n")
    assert list(tmp_path.iterdir()) == []


def test_nulls_are_no_trouble(htl):
    """Rows whose meta or hardness is null, as jq may leave them, are viewed and filtered like rows without."""
    rows = [
        {"id": "a", "meta": None, "hardness": None, "predicted": None},
        {"id": "b", "meta": {"age": 3}, "hardness": {"pruned_disagreement": 0.1}},
    ]
    assert viewed(htl, "--where", "age!=3", "--sort", "pruned_disagreement", rows=rows) == ["a"]
    assert htl("view", "--to", "tsv", stdin=joined_lines(rows[:1]))[1] == b"id\na\n"


def test_equal_rows_are_sorted_by_a_hash(htl):
    """Rows of one value come in an order that is not that of the stream, and those that --limit leaves out are counted."""
    rows = [{"id": f"s{i}", "hardness": {"pie": 1.0 if i == 3 else 0.0}} for i in range(20)]
    shown = [htl("view", "--sort", "pie", "--limit", 6, stdin=joined_lines(order)) for order in (rows, rows[::-1])]
    assert shown[0][2] == shown[1][2] == "htl view: 5 of 19 rows of one pie are among the first 6, by a hash of their ids\n"
    ids = [[line["id"] for line in split_lines(out) if "id" in line] for _, out, _ in shown]
    assert ids[0] == ids[1] and ids[0][0] == "s3"
    assert ids[0][1:] not in (["s0", "s1", "s2", "s4", "s5"], ["s19", "s18", "s17", "s16", "s15"])
    assert htl("view", "--sort", "pie", "--limit", 1, stdin=joined_lines(rows))[2] == ""


def test_a_condition_that_no_row_meets(htl, scored):
    """A value that no row has is an error that names those there are; a range without rows is said."""
    code, out, err = htl("view", scored, "--where", "sex=Female", "--to", "tsv")
    assert (code, out) == (65, b"")
    assert err == "htl view: no row has the sex 'Female'; there are female, male; did you mean sex=female?\n"
    code, out, err = htl("view", scored, "--where", "age>200", "--split", "val")
    assert (code, err) == (0, "htl view: no row meets age>200 and split=val\n")
    assert htl("view", scored, "--where", "age>abc")[0] == 2


def test_an_exclusion_that_excludes_nothing(htl, scored):
    """A value that no row has, behind !=, leaves all rows and is said, with the values that there are; one that some have is not."""
    code, out, err = htl("view", "--no-notes", scored, "--where", "sex!=Female")
    assert (code, out) == (0, htl("view", "--no-notes", scored)[1])
    assert err == "htl view: sex!=Female excludes no row: there are female, male; did you mean sex!=female?\n"
    assert htl("view", scored, "--where", "sex!=female")[2] == htl("view", scored, "--where", "sex!=")[2] == ""


def test_two_spellings_of_equality(htl, scored):
    """= and == are the same."""
    once, twice = (htl("view", "--no-notes", scored, "--where", text)[1] for text in ("sex=female", "sex==female"))
    assert once == twice != b""


def test_what_is_in_a_model(htl, phantom, dense, pruned, tmp_path):
    """A checkpoint, pruned or not, and an ONNX file tell what they are: net, task, size, sparsity, metrics, history."""

    def facts(path):
        code, out, err = htl("view", path)
        assert (code, err) == (0, "")
        return dict(line.split("\t") for line in out.decode().splitlines())

    assert htl("export", "-q", "--model", dense, "-o", tmp_path / "m.onnx")[0] == 0
    own, cut, onnx = facts(dense), facts(pruned), facts(tmp_path / "m.onnx")
    assert (own["kind"], own["name"], own["task"], own["size"], own["epochs"]) == ("a checkpoint", "compact", "box", "32, 32, 3", "2")
    assert (own["sparsity"], own["training.flip"]) == ("0.0000", "0.5, 0.5") and 0 <= float(own["metrics.val_iou"]) <= 1
    assert "htl" in own["history"]
    assert cut["kind"] == "a pruned checkpoint" and 0.5 < float(cut["sparsity"]) < 0.7 and cut["pruning.method"] == "l1"
    assert (onnx["kind"], onnx["task"], onnx["outputs"], onnx["training.flip"]) == ("an ONNX file", "box", "boxes", "0.5, 0.5")


@pytest.mark.parametrize("command", [["view"], ["evaluate"], ["score"], ["train", "-o", "x.h5"], ["resample"]])
def test_a_file_that_is_no_rows_is_named(htl, phantom, dense, tmp_path, command):
    """An image, a shard or a model in the place of rows is named as what it is, by every command, with what takes it."""
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    code, out, err = htl(*command, tmp_path / "a.png")
    message = f"{tmp_path / 'a.png'} is a PNG image, and rows are expected; htl prepare and htl predict take images"
    assert (code, out, err) == (65, b"", f"htl {command[0]}: {message}\n")
    shard = phantom.folder / "store" / "00000.h5"
    assert (
        htl(*command, shard)[2]
        == f"htl {command[0]}: {shard} is a shard of a store, and rows are expected; name the folder that it lies in\n"
    )
    if command != ["view"]:
        assert f"{dense} is a checkpoint, and rows are expected; htl view tells what is in it" in htl(*command, dense)[2]
