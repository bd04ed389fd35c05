"""`htl export --card`: a model card."""

import json
import re

import pytest
import yaml


@pytest.fixture(scope="module")
def carded(htl, phantom, dense, tmp_path_factory):
    """A file, its card as text, and what was said."""
    folder = tmp_path_factory.mktemp("card")
    code, out, err = htl("export", phantom.rows, "--model", dense, "-o", folder / "lesion.onnx", "--card", folder / "CARD.md")
    assert (code, out) == (0, b""), err
    return folder / "lesion.onnx", (folder / "CARD.md").read_text(), err


def section(text: str, title: str) -> str:
    """What stands below a heading."""
    return re.search(rf"^## {title}$(.*?)(?=^## |\Z)", text, re.M | re.S)[1]


def cells(text: str) -> list[list[str]]:
    """The lines of tables, cell by cell."""
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line.startswith("| ")]


def test_metrics_are_those_of_evaluate(htl, phantom, carded):
    """The metrics on split test, in the table and in the head that hubs read, are those of `evaluate` with this file."""
    file, text, said = carded
    head = yaml.safe_load(text.split("---\n")[1])
    lines = [json.loads(line) for line in htl("evaluate", phantom.rows, "--model", file)[1].splitlines()]
    metrics = head["model-index"][0]["results"][0]["metrics"]
    assert {each["type"]: each["value"] for each in metrics} == {line["metric"]: line["value"] for line in lines}
    table = {name.replace("\\", ""): (value, interval) for name, value, interval in cells(section(text, "Metrics"))[1:]}
    first = lines[0]
    assert table["iou_mean"] == (f"{first['value']:.4f}", f"{first['low']:.4f} to {first['high']:.4f}")
    assert f"CARD.md: iou_mean {first['value']:.4f} on {first['n']} images" in said
    assert "subgroups of fewer than 30 images are left out." in text


def test_data_and_training_are_told(phantom, carded):
    """Counts by split and field are those of the rows; the net, its epochs and the commands that made it are named."""
    text = carded[1]
    data = cells(section(text, "Data"))
    for split in ("train", "val", "test"):
        own = [row for row in phantom.samples if row.split == split]
        assert [split, *map(str, (len(own), len({row.group for row in own}), len(own)))] in data
    women = sum(row.meta["sex"] == "female" for row in phantom.samples)
    assert any(line[0] == "sex" and f"female {women}" in line[1] for line in data)
    assert "No group (such as a patient) is both in train and in test." in text
    training = dict(line for line in cells(section(text, "Training")) if len(line) == 2)
    assert (training["net"], training["epochs"]) == ("compact", "2")
    assert re.search(r"^\$ htl ", section(text, "Training"), re.M)
    assert "not a medical device" in text


def test_text_of_the_data_is_no_markup(tmp_path):
    """Names and commands from files cannot end a table, a block or a line."""
    from htltools.formats.page.card import markdown_text

    assert markdown_text("<b>a|b\n\n# c") == r"\<b\>a\|b \# c"


def test_a_card_needs_test_rows(htl, phantom, dense, tmp_path):
    """Without rows, or without annotated ones of split test, there is neither a card nor a file."""
    wanted = ["--model", dense, "-o", tmp_path / "m.onnx", "--card", tmp_path / "c.md"]
    code, _, err = htl("export", *wanted)
    assert code == 2 and "--card needs rows to describe the data and to measure on; name a file of rows, or - for stdin" in err
    rows = b"".join(line for line in phantom.rows.read_bytes().splitlines(True) if b'"split":"train"' in line)
    code, _, err = htl("export", *wanted, "-", "--partial", stdin=rows)
    assert code == 65 and "no row is of the split test; the splits there are: train" in err
    (tmp_path / "c.md").write_text("mine")
    assert htl("export", *wanted, phantom.rows)[0] == 73
    assert [path.name for path in tmp_path.iterdir()] == ["c.md"]
