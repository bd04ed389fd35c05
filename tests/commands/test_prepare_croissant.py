"""`htl prepare --croissant`: the data set described for other tools."""

import hashlib
import importlib.util
import json
import math

import numpy as np
import pytest

from htltools.formats.sources.open_rows import read_rows

INSTALLED = importlib.util.find_spec("mlcroissant") is not None
needs_mlcroissant = pytest.mark.skipif(not INSTALLED, reason="mlcroissant is not installed: pip install 'htltools[croissant]'")


def text(value):
    """A value of mlcroissant, whose texts are bytes."""
    return value.decode() if isinstance(value, bytes) else value


@needs_mlcroissant
def test_mlcroissant_loads_the_rows(htl, tmp_path):
    """mlcroissant finds no error in the description, and loads every sample as the rows have it: boxes, metadata, and what is missing."""
    import mlcroissant as mlc

    made = tmp_path / "described" / "data.json"
    made.parent.mkdir()
    code, out, err = htl("prepare", "--phantom", 24, "--size", 32, "-j", 1, "-o", tmp_path / "store", "--croissant", made)
    assert code == 0, err
    assert "data.json, and data.rows.json beside it: licence, citation, version and date of publication are for you to add" in err
    (tmp_path / "rows.jsonl").write_bytes(out)
    rows = read_rows(tmp_path / "rows.jsonl")[0]
    data = mlc.Dataset(jsonld=str(made))
    assert not data.metadata.ctx.issues.errors
    records = [{key.removeprefix("images/"): own for key, own in record.items()} for record in data.records("images")]
    assert [text(record["id"]) for record in records] == [row.id for row in rows]
    for record, row in zip(records, rows):
        assert record["boxes"] == row.boxes
        assert [record["width"], record["height"]] == row.size
        assert (text(record["group"]), text(record["split"]), record["index"]) == (row.group, row.split, row["index"])
        age = record["meta.age"]
        assert (None if age is None or math.isnan(age) else age) == row.meta["age"]
        assert text(record["meta.sex"]) == row.meta["sex"]
    files = {each["name"]: each for each in json.loads(made.read_text())["distribution"]}
    shard = made.parent / files["00000.h5"]["contentUrl"]
    assert shard.resolve() == (tmp_path / "store" / "00000.h5").resolve()
    assert hashlib.sha256(shard.read_bytes()).hexdigest() == files["00000.h5"]["sha256"]
    again = "prepare", "--phantom", 24, "--size", 32, "-j", 1, "-o", tmp_path / "again", "--croissant", made
    assert htl(*again)[0] == 73 and not (tmp_path / "again").exists()


@needs_mlcroissant
def test_ids_stay_texts_and_mixed_fields_are_left_out(tmp_path):
    """Ids of digits are loaded as they are; a field that is now a number, now a word, or a list is left out and named."""
    import mlcroissant as mlc

    from htltools.formats.store.croissant import write_croissant
    from htltools.formats.store.shard import write_shard

    metas = {"mixed": 1, "tags": ["a"], "skin type": 2}, {"mixed": "one"}
    rows = [{"id": f"00{i}", "index": i, "size": [8, 6], "meta": meta} for i, meta in enumerate(metas)]
    write_shard(tmp_path / "00000.h5", np.zeros((2, 4, 4, 3), np.uint8), None, rows, [], plan="by hand", history=[])
    left_out = write_croissant(tmp_path / "data.json", [tmp_path / "00000.h5"], "by hand", "Two images.")
    assert left_out == ["mixed", "tags"]
    records = list(mlc.Dataset(jsonld=str(tmp_path / "data.json")).records("images"))
    assert [text(record["images/id"]) for record in records] == ["000", "001"]
    assert [record["images/meta.skin%20type"] for record in records] == [2, None]
    assert [record["images/width"] for record in records] == [8, 8]


@pytest.mark.skipif(INSTALLED, reason="mlcroissant is installed")
def test_the_library_is_named_where_it_is_missing(htl, tmp_path):
    """Without mlcroissant nothing is prepared, and the extra that brings it is named."""
    code, _, err = htl("prepare", "--phantom", 2, "-o", tmp_path / "store", "--croissant", tmp_path / "data.json")
    assert code == 2
    assert err == "htl prepare: --croissant needs mlcroissant, which is not installed; pip install 'htltools[croissant]'\n"
    assert not list(tmp_path.iterdir())
