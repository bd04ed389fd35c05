"""`--part k/N` and `htl join`: parts of a whole, and the proof that they are all there."""

import json
import random

import pytest

from htltools.core.sampling.parts import part_of
from htltools.formats.rows.jsonlines import joined_lines, split_lines

COUNT = 3


def samples(out: bytes) -> dict[str, dict]:
    """Rows by id, without the path of their store."""
    return {row["id"]: {key: row[key] for key in row if key != "store"} for row in split_lines(out) if "id" in row}


def written(path, out: bytes):
    """A file of that content."""
    path.write_bytes(out)
    return path


@pytest.fixture(scope="module")
def parts(htl, phantom, dense, pruned, tmp_path_factory):
    """The scored phantom rows in three parts: files, made of rows in different orders."""
    folder = tmp_path_factory.mktemp("parts")
    rows = [line for line in split_lines(phantom.rows.read_bytes()) if "id" in line]
    files = []
    for k in range(1, COUNT + 1):
        random.Random(k).shuffle(rows)
        how = ["--model", dense, "--pruned", pruned, "--batch-size", 8 * k]
        code, out, err = htl("score", *how, "--part", f"{k}/{COUNT}", stdin=joined_lines(rows))
        assert code == 0, err
        files.append(written(folder / f"part{k}.jsonl", out))
    return files


def test_joined_parts_are_the_whole(htl, parts, scored):
    """The join has every row of one call once, with its hardness, in whichever order files and rows come; it is a stream like others."""
    code, out, err = htl("join", parts[2], parts[0], parts[1])
    assert (code, err) == (0, "htl join: 80 rows of 3 parts\n")
    joined, whole = samples(out), samples(scored.read_bytes())
    assert joined.keys() == whole.keys()
    for name, row in joined.items():
        assert row["hardness"] == pytest.approx(whole[name]["hardness"], abs=1e-5)  # sums are rounded by batches, see same_scores.sh
    assert list(samples(htl("join", *parts)[1])) == list(joined)
    notes = [line for line in split_lines(out) if "htl" in line]
    assert [note["htl"] for note in notes] == ["begin", "model", "model", "end"]
    *_, scoring, joining = notes[0]["history"]
    assert (scoring["parameters"]["part"], len(joining["inputs"])) == ("1/3", COUNT)


def test_a_group_is_in_one_part(parts):
    """Rows of one group are in one part, that of the hash of its name; no part has all groups."""
    for k, path in enumerate(parts, 1):
        groups = {row["group"] for row in samples(path.read_bytes()).values()}
        assert groups and {part_of(group, COUNT) for group in groups} == {k}


def test_missing_doubled_and_foreign_parts_are_named(htl, phantom, dense, pruned, parts, tmp_path):
    """Missing, doubled and foreign parts are refused, with their files and numbers, and nothing is written."""
    one, two, three = parts
    code, out, err = htl("join", two)
    assert (code, out) == (65, b"")
    assert err == "htl join: missing: 1/3, 3/3; run the command again with --part of each missing one\n"
    copy = written(tmp_path / "copy.jsonl", two.read_bytes())
    assert htl("join", one, two, three, copy)[2] == (f"htl join: part 2/3 is doubled: {two} and {copy}; name each part of one whole once\n")
    score = ["score", "-q", "--model", dense, "--pruned", pruned]
    seeded = written(tmp_path / "seeded.jsonl", htl(*score, "--part", "2/3", "--seed", 1, phantom.rows)[1])
    assert htl("join", one, seeded, three)[2] == (
        f"htl join: {seeded} is foreign: --seed 1, and 0 in {one}; missing: 2/3; run the command again with --part of each missing one\n"
    )
    fewer = written(tmp_path / "fewer.jsonl", htl(*score, "--part", "2/3", "--limit", 70, phantom.rows)[1])
    assert f"{fewer} is foreign: it belongs to other samples than {one} (70 and 80); missing: 2/3" in htl("join", one, fewer, three)[2]
    other = written(tmp_path / "other.jsonl", htl("score", "-q", "--model", dense, "--part", "2/4", phantom.rows)[1])
    assert f"{other} is foreign: part 2/4, and {one} is part 1/3" in htl("join", one, two, three, other)[2]
    dense_only = written(tmp_path / "only.jsonl", htl("score", "-q", "--model", dense, "--part", "2/3", phantom.rows)[1])
    assert "is foreign: made by another command, version, model or table than" in htl("join", one, dense_only, three)[2]


def test_what_was_changed_is_no_part(htl, parts, phantom, tmp_path):
    """A part that was cut, filtered or joined by cat, and a file that is no part, are refused by name."""
    one, two, three = parts
    lines = two.read_bytes().splitlines(keepends=True)
    cases = {
        b"".join(lines[:-1]): "was cut",
        b"".join(lines[:4] + lines[5:]): "the checksum does not hold",
        b"".join(lines).replace(b'"pruned_loss":', b'"pruned_loss":1', 1): "the checksum does not hold",
        phantom.rows.read_bytes(): "holds no notes of parts, and one is expected; make parts with --part k/N",
        one.read_bytes() + two.read_bytes(): "holds 2 notes of parts",
    }
    for content, expected in cases.items():
        bad = written(tmp_path / "bad.jsonl", content)
        code, out, err = htl("join", one, bad, three)
        assert (code, out) == (65, b"") and expected in err and str(bad) in err
    assert htl("join", one, tmp_path / "absent", three)[0] == 66
    assert htl("join")[:2] == (2, b"")


def test_flags_of_parts(htl, phantom, dense, parts):
    """A part that is none, and a part of a part, are refused."""
    for text in ("0/3", "4/3", "1", "1/0", "a/b"):
        code, _, err = htl("score", phantom.rows, "--model", dense, "--part", text)
        assert (code, "--part takes k/N with 1 <= k <= N" in err) == (2, True)
    code, _, err = htl("score", parts[0], "--model", dense, "--part", "1/2")
    assert (code, "is a part already (1/3); leave out --part" in err) == (65, True)


def test_prepared_parts(htl, study, tmp_path, save_image):
    """Parts of a folder have the groups, splits and boxes of one call; what cannot be read is left out once; a part may be empty."""
    (study / "images/d.png").write_bytes(b"no image")
    whole = htl("prepare", study, "-o", tmp_path / "whole", "--size", 16, "-j", 1)[1]
    files = []
    for k in range(1, 9):
        code, out, err = htl("prepare", study, "-o", tmp_path / f"store{k}", "--size", 16, "-j", 1, "--part", f"{k}/8")
        assert code == 0, err
        files.append(written(tmp_path / f"{k}.jsonl", out))
    assert any(not samples(path.read_bytes()) for path in files), "with 8 parts of 3 groups some are empty"
    code, out, err = htl("join", *files)
    assert (code, err) == (0, "htl join: 3 rows of 8 parts, 1 samples left out\n")
    place = {"index": 0}
    assert {name: row | place for name, row in samples(out).items()} == {name: row | place for name, row in samples(whole).items()}
    assert split_lines(out)[-1]["skipped"] == split_lines(whole)[-1]["skipped"] == 1


def test_a_part_stays_one_in_a_pipe(htl, dense, tmp_path, study):
    """A part that was prepared and then scored in one pipe is a part still; joined with one that was scored otherwise it is foreign."""
    files = []
    for k in (1, 2):
        prepared = htl("prepare", study, "-o", tmp_path / f"s{k}", "--size", 32, "-j", 1, "--part", f"{k}/2")[1]
        files.append(written(tmp_path / f"{k}.jsonl", htl("score", "-q", "--model", dense, stdin=prepared)[1]))
    code, out, _ = htl("join", *files)
    assert code == 0 and {"loss"} <= set.intersection(*(set(row["hardness"]) for row in samples(out).values()))
    written(files[1], htl("score", "-q", "--model", dense, "--seed", 3, stdin=prepared)[1])
    assert "is foreign" in htl("join", *files)[2]
    written(files[1], htl("score", "-q", "--model", dense, "--limit", 1, stdin=prepared)[1])
    assert json.loads(files[1].read_bytes().splitlines()[-2])["htl"] == "part"


@pytest.mark.parametrize("source", ["images", "rows"])
def test_predicted_parts(htl, dense, study, phantom, tmp_path, source):
    """Parts of new images, and of rows, have the predictions of one call."""
    what = study / "images" if source == "images" else phantom.rows
    predict = ["predict", what, "-q", "-j", 1, "--model", dense, "--doubt", "none"]
    whole = samples(htl(*predict)[1])
    files = [written(tmp_path / f"{k}.jsonl", htl(*predict, "--part", f"{k}/4")[1]) for k in range(1, 5)]
    code, out, _ = htl("join", *files)
    joined = samples(out)
    assert code == 0 and joined.keys() == whole.keys()
    for name, row in joined.items():
        assert row["predicted"]["dense"] == pytest.approx(whole[name]["predicted"]["dense"], abs=0.05)


def test_parts_of_dicom_need_one_key(htl, save_dicom, tmp_path):
    """Parts of DICOM images without a common key of ids are refused: each would have other groups."""
    import numpy as np

    for i in range(4):
        save_dicom(tmp_path / f"series/{i}.dcm", np.arange(400, dtype=np.int16).reshape(20, 20), PatientID=f"p{i}")
    prepare = ["prepare", tmp_path / "series", "--keep-unlabelled", "--size", 16, "-j", 1]
    code, _, err = htl(*prepare, "-o", tmp_path / "s1", "--part", "1/2")
    assert code == 2 and "name it with --id-key" in err
    (tmp_path / "key").write_bytes(bytes(range(32)))
    files = []
    for k in (1, 2):
        out = htl(*prepare, "-o", tmp_path / f"s{k}", "--part", f"{k}/2", "--id-key", tmp_path / "key")[1]
        files.append(written(tmp_path / f"{k}.jsonl", out))
    code, out, _ = htl("join", *files)
    assert (code, len(samples(out))) == (0, 4)
