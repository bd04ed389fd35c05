"""`htl evaluate`."""

import json
import subprocess
import sys

import pytest

from htltools import console
from htltools.formats.rows.jsonlines import joined_lines, split_lines

# IoU of `half` with t0 .. t3: 1, .6, .2, 0; of `left`: .5, 50/60, .4, 0
HALF = {"iou_mean": 0.45, "iou_median": 0.4, "iou_p10": 0.06, "acc@0.3": 0.5, "acc@0.5": 0.5, "acc@0.7": 0.25, "failure_rate": 0.25}
DELTA = (1.8 - (0.5 + 50 / 60 + 0.4)) / 4


@pytest.fixture(scope="module")
def half_onnx(fixed):
    """The model `half` as an ONNX file under a name that does not say so."""
    from htltools.core.runtime.runtime import Runtime
    from htltools.formats.models.onnx import write_onnx
    from htltools.tasks.predictor import CheckpointPredictor

    path = fixed.folder / "half.model"
    write_onnx(path, CheckpointPredictor(fixed.half, Runtime("cpu")).localizer, [32, 32, 3], {"htl.task": "box"})
    return path


def values(out, subgroup=None):
    """Values of the metrics by name."""
    return {line["metric"]: line["value"] for line in split_lines(out) if line["subgroup"] == subgroup}


def test_metrics_are_those_worked_by_hand(htl, fixed):
    """Four annotated test rows give the numbers of pencil and paper, one metric a line, with keys in the order of the manual."""
    code, out, err = htl("evaluate", fixed.file, "--model", fixed.half)
    lines = split_lines(out)
    assert code == 0
    assert [*lines[0]] == ["metric", "split", "subgroup", "n", "value", "low", "high"]
    assert {(line["split"], line["n"]) for line in lines} == {("test", 4)}
    assert len(lines) == 9
    assert values(out) | HALF == pytest.approx(values(out), abs=1e-5)
    assert all(line["low"] <= line["value"] <= line["high"] for line in lines)
    left_out = "2 left out (1 not annotated, 1 known to be empty)"
    assert err == f"htl evaluate: test: 4 samples, 3 groups, {left_out}; intervals are 95 %, from resampling groups\n"


def test_compares_with_another_model(htl, fixed):
    """--baseline, or --against, adds the paired difference of every metric, ours minus theirs, and names the other model."""
    _, out, _ = htl("evaluate", fixed.file, "--model", fixed.half, "--baseline", fixed.left)
    assert out == htl("evaluate", fixed.file, "--model", fixed.half, "--against", fixed.left)[1]
    deltas = [line for line in split_lines(out) if line["metric"].endswith(".delta")]
    assert len(deltas) == 9
    assert values(out)["iou_mean.delta"] == pytest.approx(DELTA, abs=1e-5)
    assert {line["against"] for line in deltas} == {str(fixed.left)}
    assert not any("against" in line for line in split_lines(out) if not line["metric"].endswith(".delta"))


def test_onnx_file_measures_like_its_checkpoint(htl, fixed, half_onnx):
    """An ONNX file is a model like any other, known by its content, and differs from its checkpoint by nothing."""
    code, out, _ = htl("evaluate", fixed.file, "--model", half_onnx, "--baseline", fixed.half, "--batch-size", 3)
    assert code == 0
    assert {line["value"] for line in split_lines(out) if line["metric"].endswith(".delta")} == {0}
    assert values(out)["iou_mean"] == pytest.approx(0.45, abs=1e-5)


def test_subgroups_by_value_and_band(htl, fixed):
    """--group-by measures every level of every field; a level of one group has no interval."""
    _, out, _ = htl("evaluate", fixed.file, "--model", fixed.half, "--group-by", "sex,age:20")
    means = [line for line in split_lines(out) if line["metric"] == "iou_mean"]
    assert [(line["subgroup"], line["n"], round(line["value"], 3)) for line in means] == [
        (None, 4, 0.45),
        ({"sex": "female"}, 1, 0.2),
        ({"sex": "male"}, 2, 0.8),
        ({"sex": "unknown"}, 1, 0.0),
        ({"age": "20-39"}, 1, 1.0),
        ({"age": "40-59"}, 2, 0.4),
        ({"age": "60-79"}, 1, 0.0),
    ]
    assert (means[2]["low"], means[2]["high"]) == (None, None)
    assert means[5]["low"] is not None


def test_last_dense_model_of_the_stream(htl, fixed):
    """Without --model the dense model last named in the stream is measured, not the pruned one."""
    named = [("dense", fixed.left), ("dense", fixed.half), ("pruned", fixed.left)]
    notes = [{"htl": "model", "role": role, "path": str(path)} for role, path in named]
    code, out, _ = htl("evaluate", stdin=joined_lines([*notes, *fixed.rows]))
    assert code == 0
    assert values(out)["iou_mean"] == pytest.approx(0.45, abs=1e-5)


def test_order_of_rows_and_repeats_change_nothing(htl, fixed):
    """Shuffled rows, and rows that stand twice for training, give the same values."""
    _, out, _ = htl("evaluate", "--model", fixed.half, stdin=joined_lines([{**fixed.rows[0], "repeat": 1}, *fixed.rows[::-1]]))
    assert values(out) | HALF == pytest.approx(values(out), abs=1e-5)


def test_writes_a_file_once(htl, fixed, tmp_path):
    """-o writes the same lines to a file, tables to stdout, and replaces nothing without --force."""
    target = tmp_path / "m.jsonl"
    args = "evaluate", fixed.file, "--model", fixed.half, "-o", target
    code, out, _ = htl(*args)
    heading, mean, *_ = out.decode().splitlines()
    assert (code, heading, mean[:15]) == (0, "metric\tvalue\t95 % interval", "iou_mean\t0.450\t")
    assert values(target.read_bytes())["iou_mean"] == pytest.approx(0.45, abs=1e-5)
    code, _, err = htl(*args)
    assert (code, "exists; replace it with --force" in err) == (73, True)
    assert htl(*args, "--force")[0] == 0


def test_a_person_gets_tables(htl, fixed, monkeypatch):
    """On a terminal the metrics come as a table with intervals, then the subgroups."""
    monkeypatch.setattr(console, "is_terminal", lambda stream: stream is sys.stdout)
    monkeypatch.setenv("COLUMNS", "100")
    _, out, _ = htl("evaluate", fixed.file, "--model", fixed.half, "--baseline", fixed.left, "--group-by", "sex")
    text = out.decode()
    assert "iou_mean" in text and "0.450" in text and "+0.017" in text
    assert text.index("failure_rate") < text.index("sex male")
    assert "{" not in text


@pytest.mark.parametrize(
    ("limits", "code", "message"),
    [
        (["iou_mean=0.4", "failure_rate=0.3"], 0, ""),
        (["iou_mean=0.5"], 3, "iou_mean is 0.45, under 0.5 (--fail-under)"),
        (["failure_rate=0.2"], 3, "failure_rate is 0.25, over 0.2 (--fail-under)"),
    ],
)
def test_fail_under(htl, fixed, limits, code, message):
    """--fail-under exits with 3 where a metric is worse, which is above for the failure rate, after the metrics were written."""
    flags = [part for limit in limits for part in ("--fail-under", limit)]
    exit_code, out, err = htl("evaluate", fixed.file, "--model", fixed.half, *flags)
    assert exit_code == code
    assert message in err
    assert len(split_lines(out)) == 9


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fail-under", "miou=0.8"], "--fail-under knows no metric 'miou'; use one of iou_mean, iou_median"),
        (["--fail-under", "iou_mean"], "--fail-under takes NAME=VALUE"),
        (["--fail-under", "iou_mean=nan"], "--fail-under takes NAME=VALUE"),
        (["--group-by", "age:x"], "--group-by takes names and band widths"),
        (["--split", "nix"], "--split takes train, val, test, all, not 'nix'"),
        (
            ["--model", "a", "--model", "b", "--baseline", "c"],
            "--model is given 2 times and --baseline 1; name them in pairs, one pair a seed",
        ),
    ],
)
def test_wrong_flags_are_refused_before_any_work(htl, flags, message):
    """A flag that cannot be meant is a usage error, even before the rows are looked for."""
    code, out, err = htl("evaluate", "absent.jsonl", *flags)
    assert (code, out) == (2, b"")
    assert message in err


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--split", "val"], 65, "none of the 1 rows of the split val can be measured: 1 not annotated; the splits there are: test"),
        (["--limit", "4", "--split", "train"], 65, "no row is of the split train; the splits there are: test"),
        (["--group-by", "sexx"], 65, "no row has a field 'sexx' to group by; their meta has age, sex"),
        (["--baseline", "absent.h5"], 66, "absent.h5 is not there"),
    ],
)
def test_what_cannot_be_measured_is_refused(htl, fixed, flags, code, message):
    """Rows that hold nothing to measure, and models that are not there, end in one line and a code of their own."""
    exit_code, out, err = htl("evaluate", fixed.file, "--model", fixed.half, *flags)
    assert (exit_code, out) == (code, b"")
    assert message in err


def test_no_model(htl, fixed):
    """Rows without a model note and without --model are no reason to guess."""
    code, _, err = htl("evaluate", fixed.file)
    assert code == 66
    assert "no dense model in" in err


def test_a_group_in_two_splits_is_refused(htl, fixed):
    """A patient in training and in test would be measured on what was learned from them."""
    leaked = [*fixed.rows[:6], {**fixed.rows[6], "group": "g0"}]
    code, _, err = htl("evaluate", "--model", fixed.half, stdin=joined_lines(leaked))
    assert code == 65
    assert "the group 'g0' stands in two splits" in err


def test_training_rows_are_no_test(htl, fixed):
    """Measuring on training rows works, and is called what it is."""
    code, out, err = htl("evaluate", fixed.file, "--model", fixed.half, "--split", "train")
    assert (code, values(out)["iou_mean"]) == (0, pytest.approx(1, abs=1e-5))
    assert "no held-out figure" in err


def test_a_real_pipe(served, fixed):
    """As a process of its own it reads a pipe, and its output is plain JSON Lines, without notes or NaN."""
    command = ["htl", "evaluate", "--model", fixed.half, "-q"]
    done = subprocess.run(command, input=fixed.file.read_bytes(), capture_output=True, env=served | {"HTL_DEVICE": "cpu"}, check=True)
    assert done.stderr == b""
    assert [json.loads(line)["metric"] for line in done.stdout.splitlines()][:2] == ["iou_mean", "iou_median"]


def test_pseudo_boxes_are_no_truth(htl, fixed):
    """Rows whose box is a model's prediction are left out and counted: nothing is measured against them."""
    rows = [row | {"pseudo": True} if row["id"] == "t0" else row for row in fixed.rows]
    code, out, err = htl("evaluate", "--model", fixed.half, stdin=joined_lines(rows))
    assert (code, {line["n"] for line in split_lines(out)}) == (0, {3})
    assert "3 left out (1 with boxes that a model predicted, 1 not annotated, 1 known to be empty)" in err


def test_maps_have_figures_of_their_own(htl, phantom, by_map, dense):
    """A model of class maps gets box accuracy and, as the phantom store has masks, pixel precision; no other model does."""
    code, out, err = htl("evaluate", phantom.rows, "--model", by_map, "--baseline", dense, "--split", "val")
    measured = values(out)
    assert code == 0, err
    assert measured["maxboxacc_v2"] == pytest.approx((measured["acc@0.3"] + measured["acc@0.5"] + measured["acc@0.7"]) / 3, abs=1e-5)
    assert measured["maxboxacc_v2"] <= measured["maxboxacc_v2_oracle"] <= 1
    assert 0 < measured["pxap"] < 1
    code, out, err = htl("evaluate", phantom.rows, "--model", dense, "--split", "val", "--fail-under", "pxap=0.1")
    assert (code, "pxap" in values(out), "--fail-under pxap: there is no such figure" in err) == (2, False, True)


def test_predictions_are_measured_like_models(htl, fixed, tmp_path):
    """COCO results measure as the model that predicts alike, on either side of --baseline, without a store; a missing box has IoU 0."""
    bare = [{name: value for name, value in row.items() if name not in ("store", "index")} for row in fixed.rows]
    results = [{"image_id": row["id"], "category_id": 1, "bbox": [50, 25, 100, 50], "score": 0.9} for row in bare]
    (tmp_path / "all.json").write_text(json.dumps(results))
    (tmp_path / "few.json").write_text(json.dumps(results[1:]))
    arguments = ["evaluate", "--predictions", tmp_path / "all.json", "--baseline", tmp_path / "few.json"]
    code, out, err = htl(*arguments, stdin=joined_lines(bare))
    assert code == 0, err
    assert values(out) | HALF == pytest.approx(values(out), abs=1e-5)
    assert values(out)["iou_mean.delta"] == pytest.approx(0.25, abs=1e-5)
    assert f"htl evaluate: {tmp_path}/few.json: no prediction for 1 of 4 rows\n" in err
    code, out, _ = htl("evaluate", fixed.file, "--model", fixed.half, "--baseline", tmp_path / "all.json", "-q")
    assert (code, values(out)["iou_mean.delta"]) == (0, pytest.approx(0, abs=1e-5))
    code, out, err = htl("evaluate", fixed.file, "--model", fixed.half, "--predictions", tmp_path / "all.json")
    remedy = "name one of them, and the other with --baseline"
    assert (code, out, err) == (2, b"", f"htl evaluate: --model and --predictions exclude each other; {remedy}\n")


def test_several_runs_in_one_comparison(htl, fixed):
    """Pairs of models, one pair a seed, give the mean, an interval over groups and one over runs, and the sign of each."""
    flags = ["--model", fixed.half, "--model", fixed.left, "--baseline", fixed.left, "--baseline", fixed.half]
    code, out, err = htl("evaluate", fixed.file, *flags)
    line = next(line for line in split_lines(out) if line["metric"] == "iou_mean.delta")
    assert (code, line["value"], line["low"], line["high"]) == (0, 0, 0, 0)
    assert line["runs"]["values"] == pytest.approx([DELTA, -DELTA], abs=1e-5)
    assert line["runs"]["high"] == pytest.approx(12.706 * DELTA, abs=1e-4)
    assert (line["runs"]["signs"], line["against"]) == ("+-", [str(fixed.left), str(fixed.half)])
    assert "iou_mean differs by +0.0000" in err and "better in 1 of 2: no difference is shown" in err
    assert "signs" not in split_lines(out)[0]["runs"]


def test_one_pair_says_nothing_of_other_seeds(htl, fixed):
    """A comparison of two models says in a sentence what does not follow from it."""
    assert "iou_mean differs by +0.0167" in htl("evaluate", fixed.file, "--model", fixed.half, "--baseline", fixed.left)[2]


@pytest.fixture
def unequal(fixed):
    """Rows of 40 men on whom `half` has an IoU of 1 and `left` of .5, and 40 women with .2 and .4."""
    of_sex = {"male": fixed.rows[0], "female": fixed.rows[2]}
    rows = [row | {"id": f"{sex}{i}", "group": f"{sex}{i}", "meta": {"sex": sex}} for sex, row in of_sex.items() for i in range(40)]
    return joined_lines(rows)


def test_worst_level_and_gap(htl, fixed, unequal):
    """--group-by gives the level that fares worst by each metric, how far from the best, whether chance does that, and how it was."""
    code, out, err = htl("evaluate", "--model", fixed.half, "--baseline", fixed.left, "--group-by", "sex", stdin=unequal)
    assert code == 0, err
    by_metric = {line["metric"]: line for line in split_lines(out) if "by" in line}
    assert len(by_metric) == 4 * 9
    worst, gap = by_metric["iou_mean.worst"], by_metric["iou_mean.gap"]
    assert (worst["subgroup"], worst["n"], worst["value"], worst["by"]) == ({"sex": "female"}, 40, pytest.approx(0.2, abs=1e-5), "sex")
    assert (gap["subgroup"], gap["n"], gap["value"], gap["p"]) == (
        None,
        80,
        pytest.approx(0.8, abs=1e-5),
        pytest.approx(1 / 1001, abs=1e-6),
    )
    assert (gap["best"], gap["worst"]) == ({"sex": "male"}, {"sex": "female"})
    change, change_of_worst = by_metric["iou_mean.gap.delta"], by_metric["iou_mean.worst.delta"]
    assert (change["value"], change["before"]["value"]) == (pytest.approx(0.7, abs=1e-5), pytest.approx(0.1, abs=1e-5))
    assert (change_of_worst["value"], change_of_worst["before"]) == (
        pytest.approx(-0.2, abs=1e-5),
        {"subgroup": {"sex": "female"}, "value": 0.4},
    )


def test_a_person_sees_gaps_and_runs(htl, fixed, unequal):
    """The table of the gaps follows that of the subgroups, and one of the runs that of all samples."""
    flags = ["--model", fixed.half, "--model", fixed.half, "--group-by", "sex", "-o", fixed.folder / "gaps.jsonl", "--force"]
    text = htl("evaluate", *flags, stdin=unequal)[1].decode()
    assert "sex female\tiou_mean\t0.200\t0.800 [0.800, 0.800]\t0.001" in text
    assert "iou_mean\t[0.600, 0.600]\t0.600 0.600" in text


def test_few_samples_make_no_gap(htl, fixed):
    """Levels of a handful of samples are measured, but no gap is made of them, which is said."""
    _, out, err = htl("evaluate", fixed.file, "--model", fixed.half, "--group-by", "sex")
    assert not [line for line in split_lines(out) if "by" in line]
    assert "sex: fewer than two levels have 30 samples: there is no gap to speak of" in err


def test_all_splits_and_words_for_them(htl, fixed):
    """--split all measures every annotated row, and says that those of the training are among them; testing is test."""
    code, out, err = htl("evaluate", fixed.file, "--model", fixed.half, "--split", "all")
    lines = split_lines(out)
    assert code == 0 and {(line["split"], line["n"]) for line in lines} == {("all", 5)}
    assert "these include the samples that the model was fitted to: no held-out figure" in err
    named = [htl("evaluate", fixed.file, "--model", fixed.half, "--split", name)[1] for name in ("test", "testing")]
    assert named[0] == named[1] != out
