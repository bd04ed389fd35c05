"""htl evaluate --doubt: whether doubt tells failures, and a threshold that keeps its promise."""

import json

import numpy as np
import pytest

from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.formats.rows.vocabulary import DOUBT


def lines_by(out, **fields):
    """Values of metrics by name, of the lines that have these fields."""
    return {line["metric"]: line for line in split_lines(out) if all(line.get(name) == value for name, value in fields.items())}


@pytest.fixture(scope="module")
def doubtful(fixed, tmp_path_factory):
    """600 rows of one stored image with a fixed box each, so that `half` fails for a known share of them; a column tells most of them.

    Patients have two images. IoU with the predicted box is 1 or 0; `hardness.told` is high for most failures.
    """
    random = np.random.default_rng(0)
    right, wrong = [50.0, 25.0, 150.0, 75.0], [0.0, 0.0, 20.0, 20.0]
    rows = []
    for i in range(1200):
        fails = random.uniform() < 0.1
        told = round(float(np.clip(0.6 * fails * random.uniform(0.3, 1) + 0.4 * random.uniform(), 0, 1)), 3)
        row = {key: fixed.rows[0][key] for key in ("store", "index", "size")}
        row |= {"id": f"r{i}", "group": f"g{i // 2}", "split": ("val", "test")[i // 2 % 2], "boxes": [wrong if fails else right]}
        rows.append(row | {"hardness": {"told": told, "blind": round(float(random.uniform()), 3)}, "meta": {"site": "ab"[i // 4 % 2]}})
    path = tmp_path_factory.mktemp("doubtful") / "rows.jsonl"
    path.write_bytes(joined_lines(rows))
    return path


def test_columns_of_the_rows_are_compared(htl, fixed, doubtful):
    """Every metric of each column with its interval, a random and the ideal order beside them, and the paired difference."""
    code, out, err = htl("evaluate", doubtful, "--model", fixed.half, "--doubt", "told", "--doubt", "blind")
    assert code == 0, err
    assert "htl evaluate: told is that of the rows\n" in err
    told, blind, random, ideal = (lines_by(out, doubt=name) for name in ("told", "blind", "random order", "ideal order"))
    names = DOUBT.keys() - {"refer_rate", "unreferred_failure_rate"}
    assert random.keys() == ideal.keys() == blind.keys() == names and names <= told.keys()
    failures = 1 - lines_by(out)["iou_mean"]["value"]
    assert random["aurc"]["value"] == pytest.approx(failures, abs=1e-5)
    assert random["failure_auroc"]["value"] == 0.5 and ideal["failure_auroc"]["value"] == 1 and ideal["e_aurc"]["value"] == 0
    assert told["failure_auroc"]["low"] > 0.7 > 0.6 > blind["failure_auroc"]["high"]
    assert told["selective_failure_rate@0.7"]["value"] < blind["selective_failure_rate@0.7"]["value"]
    difference = told["aurc.delta"]
    assert difference["against"] == "blind" and difference["high"] < 0
    assert difference["value"] == pytest.approx(told["aurc"]["value"] - blind["aurc"]["value"], abs=2e-6)


def test_columns_of_models_are_computed(htl, fixed):
    """Rows without a column get it from the model, of several from each, or from all together; what neither has is an error."""
    code, out, err = htl("evaluate", fixed.file, "--model", fixed.left, "--doubt", "mirror", "-q")
    assert (code, err) == (0, "")
    assert lines_by(out, doubt="mirror_disagreement")["aurc"]["n"] == 4
    two = ["--model", fixed.left, "--model", fixed.half]
    lines = lines_by(htl("evaluate", fixed.file, *two, "--doubt", "seed_d", "-q")[1], doubt="seed_disagreement")
    assert len(lines["aurc"]["runs"]["values"]) == 2
    code, _, err = htl("evaluate", fixed.file, "--model", fixed.left, "--doubt", "look_disagreement")
    assert (code, err) == (65, f"htl evaluate: {fixed.left} has no look_disagreement: it looks once; name another --doubt\n")
    code, _, err = htl("evaluate", fixed.file, "--model", fixed.left, "--doubt", "pruned_loss")
    assert (code, "4 rows have no hardness 'pruned_loss'" in err) == (65, True)


def test_the_order_of_rows_does_not_matter(htl, fixed, doubtful):
    """Shuffled rows give the same figures, ties among them."""
    lines = doubtful.read_bytes().splitlines(keepends=True)
    first, second = (
        htl("evaluate", "--model", fixed.half, "--doubt", "told", "-q", stdin=b"".join(own))[1] for own in (lines, lines[::-1])
    )
    assert first == second


def test_a_threshold_is_set_kept_and_used(htl, fixed, doubtful, tmp_path):
    """Set on val, it lies in a copy of the model, whole by its checksum; test tells that it holds, by subgroup too, and predict refers."""
    kept = tmp_path / "kept.h5"
    model = ["--model", fixed.half, "--doubt", "told"]
    code, out, err = htl("evaluate", doubtful, *model, "--split", "val", "--max-failure", 0.05, "--keep-threshold", kept)
    assert code == 0, err
    assert (
        "of all samples at most 5.0% fail unreferred, with a confidence of 0.95; this holds for groups like those of the calibration" in err
    )
    assert htl("view", "--check", kept)[0] == 0
    referral, before = Checkpoint.load(kept).referral, Checkpoint.load(fixed.half)
    assert before.referral is None and Checkpoint.load(kept).digest == before.digest == referral["models"][0]
    assert (referral["column"], referral["max_failure"], referral["split"], referral["groups"]) == ("told", 0.05, "val", 300)
    on_val = lines_by(out, doubt="told", subgroup=None)
    assert (
        on_val["unreferred_failure_rate"]["value"] == pytest.approx(referral["unreferred_failure_rate"])
        and on_val["refer_rate"]["value"] < 0.5
    )
    code, out, err = htl("evaluate", doubtful, "--model", kept, "--doubt", "told", "--group-by", "site")
    assert code == 0 and "the promise of at most 5.0% unreferred failures held on test: " in err
    lines = [line for line in split_lines(out) if line["metric"] == "unreferred_failure_rate"]
    assert [line["subgroup"] for line in lines] == [None, {"site": "a"}, {"site": "b"}]
    assert lines[0]["held"] is True and lines[0]["threshold"] == referral["threshold"] and lines[0]["value"] <= 0.05
    assert htl("evaluate", doubtful, *model, "--split", "val", "--max-failure", 0.05, "--keep-threshold", kept)[0] == 73


def test_predict_refers_by_the_kept_threshold(htl, fixed, tmp_path):
    """predict marks rows above the model's threshold where doubt is the same column, and so does its ONNX file."""
    checkpoint = Checkpoint.load(fixed.left)
    checkpoint.referral = {
        "column": "mirror_disagreement", "threshold": 0.4, "max_failure": 0.05, "failure_iou": 0.5, "confidence": 0.95,
        "models": [checkpoint.digest],
    }  # fmt: skip
    checkpoint.save(tmp_path / "m.h5")
    assert htl("export", "-q", "--model", tmp_path / "m.h5", "-o", tmp_path / "m.onnx")[0] == 0
    for name in "m.h5", "m.onnx":
        code, out, err = htl("predict", fixed.file, "--model", tmp_path / name, "--csv", "-")
        assert (code, err) == (0, "htl predict: 8 of 8 are to be looked at by a person: their mirror_disagreement is above 0.4\n")
        assert out.decode().splitlines()[1].endswith(",0.5,true")
    code, _, err = htl("predict", fixed.file, "--model", tmp_path / "m.h5", "--doubt", "none", "--csv", "-")
    message = f"nobody is referred: the threshold of {tmp_path / 'm.h5'} is one of mirror_disagreement, and doubt is none"
    assert (code, err) == (0, f"htl predict: {message}\n")
    assert "refer" not in htl("predict", fixed.file, "--model", tmp_path / "m.h5", "--refer-threshold", "none", "--csv", "-")[1].decode()


SETTING = "--max-failure and --keep-threshold set a threshold of doubt; give --doubt COLUMN and --max-failure SHARE"
ON_VAL = "--max-failure takes a share between 0 and 1, and --split val; other splits tell whether it holds"
ONE = "--max-failure sets the threshold of one model, by one column; name one --model, one --doubt and no --baseline"
FEW = "no threshold of told keeps 0.005 on these 300 groups of split val; take 598 groups or more"


@pytest.mark.parametrize(
    "flags, code, message",
    [
        ("--max-failure 0.1", 2, SETTING),
        ("--doubt told --keep-threshold {folder}/k.h5", 2, SETTING),
        ("--doubt told --max-failure 0.1", 2, ON_VAL),
        ("--doubt told --doubt blind --max-failure 0.1 --split val", 2, ONE),
        ("--doubt told --max-failure 0.005 --split val", 65, FEW),
        ("--doubt nonesuch", 2, "--doubt knows no column 'nonesuch'"),
    ],
)
def test_what_cannot_be_promised_is_refused(htl, fixed, doubtful, tmp_path, flags, code, message):
    """Wrong flags, and groups that are too few for a promise, are refused in a line."""
    got, out, err = htl("evaluate", doubtful, "--model", fixed.half, "-q", *flags.format(folder=tmp_path).split())
    assert (got, out) == (code, b"") and err.startswith(f"htl evaluate: {message}")


def test_tables_for_a_person(htl, fixed, doubtful, tmp_path):
    """With -o the lines go to a file, and stdout is a table with the columns, the orders beside them, and the differences."""
    code, out, _ = htl("evaluate", doubtful, "--model", fixed.half, "--doubt", "told", "--doubt", "blind", "-o", tmp_path / "m.jsonl", "-q")
    text = out.decode()
    assert code == 0 and "doubt\taurc\te_aurc\tauroc\tIoU at 80 %\tfailures\n" in text
    assert "\nrandom order\t" in text and "\nideal order\t" in text and "\ntold less blind\taurc\t-" in text
    assert all(json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines())
