"""`htl train`."""

import itertools
import json
import os

import numpy as np
import pytest

from htltools.commands.shared.models import warn_if_late
from htltools.core.hardness.cross_fitting import fold_of
from htltools.formats.models.checkpoint import Checkpoint, read_arrays
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.formats.sources.open_rows import read_rows

PLAIN = ["--arch", "compact", "--attend", "none"]
QUICK = [*PLAIN, "--epochs", 2, "--batch-size", 16, "-q"]
LONG = [*PLAIN, "--epochs", 5, "--batch-size", 16, "-q"]


def same_weights(first, second):
    """Whether two checkpoints hold the same weights, bit for bit."""
    a, b = Checkpoint.load(first).weights, Checkpoint.load(second).weights
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def timeless(log):
    """The epochs of a log, without the time that each took."""
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in split_lines(log.read_bytes())]


@pytest.fixture
def stopped(htl, monkeypatch):
    """`stopped(epochs, *arguments)` runs a training and stops it after so many epochs, as Ctrl-C does: exit code and stderr.

    tests/test_killed.py sends signals to real processes.
    """
    from htltools.commands.train import fit

    def stop(after, *args):
        def stopping(*own, **how):
            yield from itertools.islice(trained(*own, **how), after)
            raise KeyboardInterrupt

        trained = fit.trained
        with monkeypatch.context() as patched:
            patched.setattr(fit, "trained", stopping)
            code, _, err = htl("train", *args)
        return code, err

    return stop


def without_hardness(rows):
    """The rows as they were before they were trained on."""
    return [{key: value for key, value in row.items() if key != "hardness"} for row in rows if "id" in row]


@pytest.fixture(scope="module")
def undisturbed(phantom, tmp_path_factory, htl):
    """A checkpoint of five epochs that nothing interrupted; beside it the rows that came out, as rows.jsonl."""
    path = tmp_path_factory.mktemp("undisturbed") / "m.h5"
    code, out, _ = htl("train", phantom.rows, "-o", path, *LONG)
    assert code == 0
    path.with_name("rows.jsonl").write_bytes(out)
    return path


def test_writes_a_checkpoint_a_log_and_the_rows(htl, phantom, dense):
    """The checkpoint says what it is and how it came to be; the log has a line per epoch; the rows go on with a note of the model."""
    checkpoint = Checkpoint.load(dense)
    assert checkpoint.architecture == {"task": "box", "name": "compact", "size": [32, 32, 3]}
    assert checkpoint.preprocessing["size"] == [32, 32, 3]
    assert checkpoint.pruning is None
    assert [record["command"].split()[0] for record in checkpoint.history] == ["htl", "htl"]
    log = split_lines((dense.parent / "dense.log.jsonl").read_bytes())
    assert [entry["epoch"] for entry in log] == [1, 2]
    assert all(entry.pop("seconds") > 0 for entry in log)
    assert log == checkpoint.log
    assert all(list(entry) == ["epoch", "lr", "loss", "val_loss", "val_iou"] for entry in log)
    constant = checkpoint.metrics.pop("constant_val_iou")
    assert 0.2 < constant < 0.8  # the reference that a model must beat stands beside it
    best = max(log, key=lambda entry: entry["val_iou"])
    assert best.pop("lr") <= 0.003
    assert checkpoint.metrics == best
    assert not (dense.parent / "dense.resume.h5").exists()
    rows, reader = read_rows(phantom.folder / "trained.jsonl")
    assert without_hardness(rows) == phantom.samples
    assert reader.models == {"dense": str(dense)}
    assert len(reader.history) == 2


def test_training_rows_get_training_dynamics(phantom, undisturbed):
    """Rows that were trained on get the columns of training dynamics, within their ranges, and no others do; they go on to any command."""
    rows = read_rows(undisturbed.with_name("rows.jsonl"))[0]
    assert [row["split"] == "train" for row in rows] == ["hardness" in row for row in rows]
    limits = {"forgetting": (0, 5), "cartography_error": (0, 1), "cartography_spread": (0, 0.5), "negative_aum": (-1, 1)}
    for row in rows:
        for name, value in row.get("hardness", {}).items():
            assert limits[name][0] <= value <= limits[name][1]
    columns = [row["hardness"] for row in rows if "hardness" in row]
    assert all(own.keys() == limits.keys() for own in columns)
    assert len({own["cartography_error"] for own in columns}) > len(columns) / 2


def test_hardness_that_was_there_stays(htl, phantom, tmp_path):
    """Columns that rows had before stay beside the new ones."""
    rows = joined_lines(row | {"hardness": {"pruned_disagreement": 0.5}} for row in phantom.samples)
    code, out, _ = htl("train", "-o", tmp_path / "m.h5", "--epochs", 1, "--batch-size", 16, "-q", stdin=rows)
    assert code == 0
    assert all(row["hardness"]["pruned_disagreement"] == 0.5 for row in split_lines(out) if "id" in row)


def test_same_seed_same_weights(htl, phantom, dense, tmp_path):
    """The same rows, parameters and seed give the same weights bit for bit; another seed does not."""
    assert htl("train", phantom.rows, "-o", tmp_path / "a.h5", *QUICK)[0] == 0
    assert same_weights(tmp_path / "a.h5", dense)
    assert htl("train", phantom.rows, "-o", tmp_path / "b.h5", *QUICK, "--seed", 1)[0] == 0
    assert not same_weights(tmp_path / "b.h5", dense)


def test_stopped_and_run_again_equals_undisturbed(htl, stopped, phantom, undisturbed, tmp_path):
    """A training that stops between two epochs, and is run again, ends with the weights and rows of one that was never stopped."""
    assert stopped(3, phantom.rows, "-o", tmp_path / "m.h5", *LONG) == (130, "")
    assert not (tmp_path / "m.h5").exists()
    assert read_arrays(tmp_path / "m.resume.h5", "htl-resume")[1]["epoch"] == len((tmp_path / "m.log.jsonl").read_bytes().splitlines()) == 3
    code, out, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", *LONG[:-1])
    assert code == 0
    assert "going on after epoch" in err
    assert same_weights(tmp_path / "m.h5", undisturbed)
    assert [row for row in split_lines(out) if "id" in row] == read_rows(undisturbed.with_name("rows.jsonl"))[0]
    assert timeless(tmp_path / "m.log.jsonl") == timeless(undisturbed.with_name("m.log.jsonl"))
    assert not (tmp_path / "m.resume.h5").exists()


def test_ctrl_c_leaves_a_training_to_go_on_from(htl, stopped, phantom, tmp_path):
    """Ctrl-C ends with 130 and no traceback, and leaves M.resume.h5; other parameters or rows are then refused, --no-resume starts anew."""
    assert stopped(1, phantom.rows, "-o", tmp_path / "m.h5", *LONG) == (130, "")
    assert (tmp_path / "m.resume.h5").exists()
    assert not (tmp_path / "m.h5").exists()

    before = (tmp_path / "m.resume.h5").read_bytes()
    code, out, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", *LONG, "--lr", 0.01)
    said = f"{tmp_path}/m.resume.h5 belongs to another training (rate 0.003 -> 0.01); start anew with --no-resume"
    assert (code, out, err) == (73, b"", f"htl train: {said}\n")
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", *LONG, "--fold", "1/2")
    assert (code, "belongs to another training (fold None -> {'k': 1, 'K': 2, 'seed': 0})" in err) == (73, True)
    code, _, err = htl("train", "-o", tmp_path / "m.h5", *LONG, stdin=joined_lines(phantom.samples[:-9]))
    assert code == 73
    assert "belongs to another training (the rows)" in err
    assert (tmp_path / "m.resume.h5").read_bytes() == before

    assert htl("train", phantom.rows, "-o", tmp_path / "m.h5", *QUICK, "--no-resume")[0] == 0
    assert not (tmp_path / "m.resume.h5").exists()


@pytest.mark.parametrize(
    "after, said",
    [(0, "stopped before the first epoch was done; the same command starts anew"), (1, "stopped; the same command goes on from")],
)
def test_ctrl_c_tells_how_to_go_on(stopped, phantom, tmp_path, after, said):
    """An interrupted training says whether the same command goes on or starts anew."""
    code, err = stopped(after, phantom.rows, "-o", tmp_path / "m.h5", *QUICK[:-1])
    assert (code, said in err) == (130, True)


def test_existing_output_is_refused_before_anything_is_read(htl, phantom, dense):
    """A checkpoint that exists is never overwritten without --force."""
    before = dense.read_bytes()
    code, out, err = htl("train", "nowhere.jsonl", "-o", dense, *QUICK)
    assert (code, out) == (73, b"")
    assert err == f"htl train: {dense} exists; replace it with --force, or name another output\n"
    assert dense.read_bytes() == before


def test_force_replaces(htl, phantom, tmp_path, dense):
    """--force replaces what exists."""
    (tmp_path / "m.h5").write_text("old")
    assert htl("train", phantom.rows, "-o", tmp_path / "m.h5", *QUICK, "--force")[0] == 0
    assert same_weights(tmp_path / "m.h5", dense)


def test_few_rows_get_more_epochs(htl, phantom, tmp_path, monkeypatch):
    """Without --epochs the steps count: few rows get more epochs than 30, which stderr and the history say; weak gets 30."""
    monkeypatch.setattr("htltools.core.training.schedule.STEPS", 4 * 5)  # in place of 2,000
    monkeypatch.setattr("htltools.core.training.schedule.EPOCHS", 2)
    monkeypatch.setattr("htltools.commands.train.duration.EPOCHS", 2)
    monkeypatch.setattr("htltools.commands.train.plan.EPOCHS", 2)
    count = sum(row["split"] == "train" for row in phantom.samples)
    assert 48 < count <= 64  # 4 batches of 16
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", *PLAIN, "--batch-size", 16)
    assert f"htl train: 5 epochs, as {count} samples need for 20 gradient steps; --epochs 2 is faster and worse\n" in err
    assert (code, len(Checkpoint.load(tmp_path / "m.h5").log)) == (0, 5)
    assert Checkpoint.load(tmp_path / "m.h5").history[-1]["parameters"]["epochs"] == 5
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "w.h5", "--supervision", "weak", "--batch-size", 16)
    assert (code, "epochs, as" in err, len(Checkpoint.load(tmp_path / "w.h5").log)) == (0, False, 2)


def test_patience_and_its_last_epochs(htl, phantom, tmp_path):
    """--patience ends a training early, after a few epochs of a falling rate, says so, and the log shows it; the total follows."""
    flags = [*PLAIN, "--lr", 0.01, "--epochs", 60, "--patience", 1, "--batch-size", 16]
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", *flags)
    assert code == 0
    log = split_lines((tmp_path / "m.log.jsonl").read_bytes())
    ious = [entry["val_iou"] for entry in log]
    out_at = next(i for i in range(1, len(log)) if ious[i] <= max(ious[:i])) + 1  # the first epoch that was no better
    more = -(-out_at // 5)
    assert len(log) == out_at + more < 60
    assert f"htl train: --patience 1 ran out: the learning rate falls to 0 within {more} more epochs, which are the last\n" in err
    assert f" {out_at}/60  val_iou" in err and f" {len(log)}/{len(log)}  val_iou" in err
    assert f"m.h5: epoch {ious.index(max(ious)) + 1} of {len(log)}, val_iou" in err
    assert log[-1]["lr"] == 0


@pytest.mark.parametrize(
    "flags, code, said",
    [
        (["--freeze", "3"], 2, "--freeze keeps weights that know something, and fresh ones do not; start with --init imagenet or FILE"),
        (["--warmup-epochs", "2"], 2, "--warmup-epochs 2 leaves nothing of 2 epochs; warm up for fewer, or name more --epochs"),
        (
            ["--attend", "replay", "--patience", "3"],
            2,
            "--patience could end a training before --attend replay begins; leave out one of them",
        ),
    ],
)
def test_numbers_that_contradict(htl, phantom, tmp_path, flags, code, said):
    """Freezing what is fresh, a warm-up without an end, and a patience that ends before what was asked for, are refused."""
    assert htl("train", phantom.rows, "-o", tmp_path / "m.h5", *QUICK, *flags) == (code, b"", f"htl train: {said}\n")
    assert not (tmp_path / "m.h5").exists()


def test_tensorboard(htl, phantom, tmp_path):
    """--tensorboard writes every number of the log as a scalar by epoch, below a folder of the model's name; it changes no weight."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    flags = [*QUICK, "--tensorboard", tmp_path / "board"]
    assert htl("train", phantom.rows, "-o", tmp_path / "m.h5", *flags)[0] == 0
    events = accumulator.EventAccumulator(str(tmp_path / "board" / "m"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss/train", "loss/val", "iou/val", "lr", "seconds/epoch"}
    log = split_lines((tmp_path / "m.log.jsonl").read_bytes())
    drawn = [(event.step, round(event.value, 4)) for event in events.Scalars("iou/val")]
    assert drawn == [(entry["epoch"], round(entry["val_iou"], 4)) for entry in log]


def test_tensorboard_that_is_not_installed(htl, phantom, tmp_path, monkeypatch):
    """Without the package it is an error that tells how to install it, before any row is read."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = "htl train: --tensorboard needs the package tensorboard; pip install 'htltools[tensorboard]'\n"
    assert htl("train", "nowhere", "-o", tmp_path / "m.h5", "--tensorboard", tmp_path / "b") == (2, b"", said)


def test_patience_needs_validation(htl, phantom, tmp_path):
    """Without rows of split val nothing tells an early end, which is an error."""
    rows = joined_lines(row for row in phantom.samples if row["split"] == "train")
    code, out, err = htl("train", "-o", tmp_path / "m.h5", *QUICK, "--patience", 3, stdin=rows)
    assert (code, out) == (65, b"")
    assert err.endswith("no annotated row of split val, by which --patience could tell; leave it out, or give some rows split val\n")


def test_recipes_make_other_models(htl, phantom, dense, tmp_path):
    """Weight decay and warm-up change the weights and stand in the history; their defaults change nothing."""
    usual = ["--weight-decay", 0.05, "--warmup-epochs", 0.3]
    assert htl("train", phantom.rows, "-o", tmp_path / "usual.h5", *QUICK, *usual)[0] == 0
    assert same_weights(tmp_path / "usual.h5", dense)
    for number, flags in enumerate((["--weight-decay", 0], ["--warmup-epochs", 1.5], ["--lr-scheduler", "cosine", "--warmup-epochs", 1])):
        assert htl("train", phantom.rows, "-o", tmp_path / f"{number}.h5", *QUICK, *flags)[0] == 0
        assert not same_weights(tmp_path / f"{number}.h5", dense)
    assert Checkpoint.load(tmp_path / "1.h5").history[-1]["parameters"]["warm_up"] == 1.5


@pytest.mark.parametrize("more", [[], ["--fold", "1/3"], ["--supervision", "semi"]])
def test_frozen_layers_keep_their_weights(htl, phantom, dense, tmp_path, more):
    """--freeze keeps layers of --init in every bit, in folds and for the teacher of semi-supervision as well, and says how many weights."""
    some = phantom.samples[::2] if "semi" in more else []
    rows = [without_boxes(row) if row in some and row["split"] == "train" else row for row in phantom.samples]
    flags = ["--init", dense, "--freeze", "backbone", *QUICK[:-1], *more]
    code, _, err = htl("train", "-o", tmp_path / "m.h5", *flags, stdin=joined_lines(rows))
    assert code == 0, err
    before, after = Checkpoint.load(dense).weights, Checkpoint.load(tmp_path / "m.h5").weights
    last = {"net.6.2.weight", "net.6.2.bias"}
    assert {name for name in before if before[name].tobytes() != after[name].tobytes()} == last
    total = sum(array.size for name, array in before.items() if "running" not in name and "num_batches" not in name)
    assert f"--freeze backbone: {total - 516:,} of {total:,} weights stay as they are" in err


def test_missing_folder_of_the_output(htl, tmp_path):
    """A folder that is not there is an error before the training, not after."""
    code, _, err = htl("train", "-o", tmp_path / "no" / "m.h5", stdin=b"{}")
    assert (code, err) == (73, f"htl train: the folder {tmp_path}/no is not there; create it first\n")


def test_a_group_in_two_splits_is_refused(htl, phantom, tmp_path):
    """What would leak from training into testing is refused by name, with 65, and nothing is written."""
    rows = [row | {"group": "same"} for row in phantom.samples]
    code, out, err = htl("train", "-o", tmp_path / "m.h5", stdin=joined_lines(rows))
    assert (code, out) == (65, b"")
    assert err.startswith("htl train: the group 'same' stands in two splits, ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda row: row | {"split": "test"}, "no annotated row of split train; rows need split and boxes; see htl-stream(5)"),
        (lambda row: row | {"boxes": []}, "no annotated row of split train; rows need split and boxes; see htl-stream(5)"),
        (lambda row: row | {"weight": 0}, "all weights are zero: nothing to learn from"),
        (
            lambda row: row | {"boxes": row["boxes"] * 2},
            "has 2 boxes, this model predicts one; prepare with --one-box union or largest, "
            "or train a net that finds several, such as --arch compact_fcos",
        ),
    ],
)
def test_rows_that_nothing_can_be_learned_from(htl, phantom, tmp_path, change, said):
    """Rows without a train split, boxes or weight, or with several boxes, are refused with the reason."""
    code, out, err = htl("train", "-o", tmp_path / "m.h5", "-q", stdin=joined_lines(map(change, phantom.samples)))
    assert (code, out) == (65, b"")
    assert err.rstrip("\n").endswith(said)
    assert err.count("\n") == 1
    assert not (tmp_path / "m.h5").exists()


def test_unlabelled_rows_are_counted_and_no_validation_is_said(htl, phantom, tmp_path):
    """Rows without a box are left aside aloud; without a validation split the last epoch is kept."""
    rows = [row for row in phantom.samples if row["split"] == "train"]
    rows[0] = {key: value for key, value in rows[0].items() if key != "boxes"}
    code, out, err = htl("train", "-o", tmp_path / "m.h5", "--epochs", 1, "--batch-size", 16, stdin=joined_lines(rows))
    assert code == 0
    assert "htl train: 1 rows of split train are left aside: 1 not annotated\n" in err
    assert "htl train: no annotated row of split val: the last epoch is kept, not the best\n" in err
    assert Checkpoint.load(tmp_path / "m.h5").metrics.keys() == {"epoch", "loss"}
    assert without_hardness(split_lines(out)) == rows


def test_init_from_a_checkpoint(htl, phantom, dense, tmp_path):
    """--init FILE starts from its weights, at a lower rate; a file for another net or frame is refused."""
    assert htl("train", phantom.rows, "-o", tmp_path / "m.h5", *QUICK, "--init", dense, "--lr", 0)[0] == 0
    before, after = Checkpoint.load(dense), Checkpoint.load(tmp_path / "m.h5")
    assert (before.weights["net.0.0.weight"] == after.weights["net.0.0.weight"]).all()
    assert str(dense) in after.history[-1]["inputs"]
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "n.h5", *QUICK, "--init", dense, "--arch", "resnet18")
    assert code == 65
    assert "is a compact for [32, 32, 3], wanted is resnet18 for [32, 32, 3]" in err
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "n.h5", "--init", "nowhere.h5")
    assert (code, err) == (
        2,
        "htl train: --init takes none, imagenet, a checkpoint or weights of torch.save, and 'nowhere.h5' is no file\n",
    )


def test_init_from_a_pruned_checkpoint(htl, phantom, dense, pruned, tmp_path):
    """--init with a pruned model says that its zeros will be lost; with a dense one nothing is said."""
    share = f"{Checkpoint.load(pruned).pruning['sparsity']:.0%}"
    err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", "--epochs", 1, "--init", pruned, "--limit", 40)[2]
    assert (
        f"htl train: --init {pruned} is pruned: training moves all weights, also the {share} that were cut; its copy is dense again" in err
    )
    assert "is pruned" not in htl("train", phantom.rows, "-o", tmp_path / "n.h5", "--epochs", 1, "--init", dense, "--limit", 40)[2]


def test_a_fold_is_left_out(htl, phantom, tmp_path):
    """--fold trains on the other folds alone, as if the rows of that one were not there, says how many they are, and hands on every row."""
    spoken = [*PLAIN, "--epochs", 2, "--batch-size", 16]
    code, out, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", *spoken, "--fold", "1/3", "--seed", 4)
    assert code == 0
    training = [row for row in phantom.samples if row["split"] == "train"]
    gone = {row["id"] for row in training if fold_of(row["group"], 3, 4) == 1}
    assert 0 < len(gone) < len(training)
    assert f"htl train: fold 1/3: {len(gone)} of {len(training)} training rows are left out\n" in err
    rows = [row for row in split_lines(out) if "id" in row]
    assert without_hardness(rows) == phantom.samples
    assert not any("hardness" in row for row in rows if row["id"] in gone)
    assert Checkpoint.load(tmp_path / "m.h5").fold == {"k": 1, "K": 3, "seed": 4}
    rest = joined_lines(row for row in phantom.samples if row["id"] not in gone)
    assert htl("train", "-o", tmp_path / "rest.h5", *spoken, "--seed", 4, stdin=rest)[0] == 0
    assert same_weights(tmp_path / "m.h5", tmp_path / "rest.h5")
    assert Checkpoint.load(tmp_path / "rest.h5").fold is None


@pytest.mark.parametrize("text", ["1", "0/5", "6/5", "1/1", "a/b", "-1/5", "1/5/2", "1.0/5", ""])
def test_folds_that_are_none(htl, phantom, tmp_path, text):
    """A fold must be one of two or more."""
    code, out, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", f"--fold={text}")
    assert (code, out) == (2, b"")
    assert err == f"htl train: --fold takes k/K with 1 <= k <= K and K of 2 or more, such as 1/5, not {text!r}\n"


def test_a_fold_of_everything(htl, phantom, tmp_path):
    """Where all training rows are of one group there is nothing left to learn from without it."""
    rows = [row | {"group": row["split"]} for row in phantom.samples]
    code, out, err = htl("train", "-o", tmp_path / "m.h5", *QUICK, "--fold", f"{fold_of('train', 5)}/5", stdin=joined_lines(rows))
    assert (code, out) == (65, b"")
    assert err.endswith("leaves out every training row; folds are dealt by group: there are too few groups for them\n")


def test_starting_from_weights_that_saw_the_fold(htl, phantom, dense, tmp_path):
    """--init with a model of all rows, or of another fold, gets a warning: it was fitted to the rows of the fold."""
    said = f"--init {dense} may have seen fold 1/2: then no score of this model is out of sample"
    spoken = ["--epochs", 1, "--batch-size", 16, "--fold", "1/2"]
    assert said in htl("train", phantom.rows, "-o", tmp_path / "m.h5", *spoken, "--init", dense)[2]
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "n.h5", *spoken, "--init", tmp_path / "m.h5")
    assert (code, "may have seen" in err) == (0, False)


def test_weights_count_and_no_boost_is_no_weight(htl, scored, dense, tmp_path):
    """Rows that `resample --boost 0` wrote train to the same bits as rows without weights; --boost 1 to others."""
    for boost in (0, 1):
        code, weighted, _ = htl("resample", scored, "--by", "loss", "--boost", boost)
        assert code == 0
        assert htl("train", "-o", tmp_path / f"{boost}.h5", *QUICK, stdin=weighted)[0] == 0
    assert same_weights(tmp_path / "0.h5", dense)
    assert not same_weights(tmp_path / "1.h5", dense)


def test_null_weights_are_no_weights(htl, phantom, dense, tmp_path):
    """A weight that jq left as null counts as 1, and never as not-a-number."""
    rows = [row | {"weight": None} for row in phantom.samples]
    assert htl("train", "-o", tmp_path / "m.h5", *QUICK, stdin=joined_lines(rows))[0] == 0
    assert same_weights(tmp_path / "m.h5", dense)


def test_a_torchvision_backbone_trains(htl, phantom, tmp_path):
    """Any torchvision classification net can be the localizer."""
    options = ["--epochs", 1, "--batch-size", 16, "-q", "--arch", "mobilenet_v3_small", "--lr-scheduler", "cosine"]
    assert htl("train", phantom.rows, "-o", tmp_path / "m.h5", *options)[0] == 0
    checkpoint = Checkpoint.load(tmp_path / "m.h5")
    assert checkpoint.architecture["name"] == "mobilenet_v3_small"
    assert all(np.isfinite(array).all() for array in checkpoint.weights.values())


def test_byte_stable_output(htl, phantom, tmp_path, monkeypatch):
    """With --no-history the same call writes the same rows; with SOURCE_DATE_EPOCH the records are stable as well."""
    outputs = []
    for _ in range(2):
        code, out, _ = htl("train", phantom.rows, "-o", tmp_path / "m.h5", *QUICK, "--force", "--no-history")
        assert code == 0
        outputs.append((out, (tmp_path / "m.h5").read_bytes()))
    assert outputs[0] == outputs[1]
    assert "history" not in json.loads(outputs[0][0].splitlines()[0])


def test_mixed_frames_are_refused(htl, phantom, tmp_path):
    """Training and validation images of different frames do not mix."""
    code, _, _ = htl("prepare", "--phantom", 20, "--size", 48, "-j", 1, "-o", tmp_path / "other")
    assert code == 0
    other = [
        row | {"id": f"o{row['id']}", "group": f"o{row['group']}"} for row in read_rows(tmp_path / "other")[0] if row["split"] == "val"
    ]
    rows = [row for row in phantom.samples if row["split"] == "train"] + other
    code, _, err = htl("train", "-o", tmp_path / "m.h5", *QUICK, stdin=joined_lines(rows))
    assert (code, err) == (
        65,
        f"htl train: the store holds images of 48x48x3, {tmp_path}/m.h5 takes 32x32x3; prepare them with the same --size\n",
    )
    assert os.listdir(tmp_path) == ["other"]


@pytest.mark.parametrize(
    "flags",
    [
        ("--attend", "adaptive", "--attend-by", "pruned_disagreement"),
        ("--attend", "replay"),
        ("--attend", "damaged", "--attend-by", "random"),
    ],
)
def test_attention_while_training(htl, phantom, dense, tmp_path, flags):
    """Attention makes another model of the same rows and seed, says in its history how, and the same again gives the same weights."""
    quick = [*QUICK, *flags, "--attend-renew", 1, "--attend-top", 0.25, "--attend-boost", 2, "--attend-sparsity", 0.5]
    for name in "first", "second":
        assert htl("train", phantom.rows, "-o", tmp_path / f"{name}.h5", *quick)[0] == 0
    assert same_weights(tmp_path / "first.h5", tmp_path / "second.h5")
    assert not same_weights(tmp_path / "first.h5", dense)
    parameters = Checkpoint.load(tmp_path / "first.h5").history[-1]["parameters"]
    assert (parameters["attend"], parameters["attend_top"], parameters["attend_boost"]) == (flags[1], 0.25, 2)


def test_rows_without_boxes(htl, stopped, phantom, tmp_path):
    """Semi-supervision trains on rows with and without boxes, goes on after a stop, and needs some of both."""
    few = [row if i % 4 == 0 or row["split"] != "train" else without_boxes(row) for i, row in enumerate(phantom.samples)]
    rows = tmp_path / "few.jsonl"
    rows.write_bytes(joined_lines(few))
    code, _, err = htl("train", rows, "-o", tmp_path / "semi.h5", "--supervision", "semi", *QUICK[:-1])
    labelled = sum(row["split"] == "train" and "boxes" in row for row in few)
    unlabelled = sum(row["split"] == "train" and "boxes" not in row for row in few)
    assert (code, f"training on {labelled} and {unlabelled} without boxes" in err) == (0, True)
    assert "left aside" not in err
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "none.h5", "--supervision", "semi", *QUICK)
    assert (code, "no row of split train lacks boxes" in err) == (65, True)

    assert stopped(1, rows, "-o", tmp_path / "stopped.h5", "--supervision", "semi", *QUICK)[0] == 130
    assert htl("train", rows, "-o", tmp_path / "stopped.h5", "--supervision", "semi", *QUICK)[0] == 0
    assert same_weights(tmp_path / "stopped.h5", tmp_path / "semi.h5")


def without_boxes(row):
    """An unlabelled row."""
    return {name: value for name, value in row.items() if name != "boxes"}


def test_weak_supervision_sees_no_training_box(htl, phantom, tmp_path):
    """The weights are the same in every bit whatever boxes the training rows have; the checkpoint names the classes."""
    models = []
    for name, change in {"without": without_boxes, "wrong": lambda row: row | {"boxes": [[0, 0, 1, 1]]}}.items():
        rows = tmp_path / f"{name}.jsonl"
        rows.write_bytes(joined_lines(change(row) if row["split"] == "train" else row for row in phantom.samples))
        models.append(tmp_path / f"{name}.h5")
        code, out, err = htl("train", rows, "-o", models[-1], "--supervision", "weak", *QUICK[:-1])
        assert (code, "constant_val_iou" in err) == (0, True), err
        assert sum("id" in line for line in split_lines(out)) == len(phantom.samples)
    assert same_weights(*models)
    checkpoint = Checkpoint.load(models[0])
    assert checkpoint.architecture["classes"] == sorted({row["label"] for row in phantom.samples if row["split"] == "train"})
    assert 0 < checkpoint.weights["threshold"] < 1


@pytest.mark.parametrize(
    "label, said",
    [
        (None, "no row of split train has a label; weak supervision needs the field label"),
        ("nv", "all rows of split train have the label 'nv'; weak supervision needs two classes or more"),
    ],
)
def test_weak_supervision_needs_classes(htl, phantom, tmp_path, label, said):
    """Without labels, or with one class only, there is nothing to learn from."""
    rows = [row | {"label": label} for row in phantom.samples]
    code, out, err = htl("train", "-o", tmp_path / "m.h5", "--supervision", "weak", *QUICK, stdin=joined_lines(rows))
    assert (code, out) == (65, b"")
    assert said in err


def test_models_of_boxes_and_of_classes_do_not_mix(htl, phantom, dense, tmp_path):
    """A class model cannot start from a box model."""
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", "--supervision", "weak", "--init", dense, *QUICK)
    classes = ", ".join(sorted({row["label"] for row in phantom.samples if row["split"] == "train"}))
    cause = f"--init {dense} is a model of the task box and wanted is one of the task class_map with the classes {classes}"
    assert (code, err) == (65, f"htl train: {cause}; start from one of the same --supervision\n")


@pytest.mark.parametrize(
    "flags, said",
    [
        (
            ["--supervision", "weak", "--attend", "replay"],
            "--attend replay goes with --supervision full; weak attends by resample --pseudo",
        ),
        (["--supervision", "weak", "--attend-top", "0.2"], "--attend-top has no effect here"),
        (["--attend-by", "loss"], "--attend-by has no effect here; it needs --attend, or --pseudo-labels attend or suppress"),
        (["--pseudo-labels", "attend"], "--pseudo-labels needs --supervision semi"),
        (["--supervision", "semi", "--attend", "replay"], "--attend replay goes with --supervision full; semi attends by --pseudo-labels"),
        (["--supervision", "semi", "--pseudo-labels", "teacher", "--attend-boost", "2"], "--attend-boost has no effect here"),
        (["--attend", "damaged", "--attend-by", "pruned_disagreement"], "--attend damaged has no scores to go by pruned_disagreement"),
    ],
)
def test_flags_without_effect_are_refused(htl, phantom, tmp_path, flags, said):
    """A flag that would do nothing is an error, not a quiet training of something else."""
    code, out, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", *QUICK, *flags)
    assert (code, out) == (2, b"")
    assert said in err
    assert not (tmp_path / "m.h5").exists()


def test_a_late_start_is_told(capsys):
    """A training that was hardly better than a constant box after a fifth of its epochs says so; one of few epochs or steps is not late."""
    late, early = [0.51, 0.53, 0.6, 0.7, 0.71, 0.72, 0.73, 0.74, 0.75, 0.76], [0.51, 0.6, *[0.8] * 8]
    for ious, steps in ((early, 40), (late[:4], 40), ([], 40), (late, 20)):
        warn_if_late(ious, steps, 0.5, "box")
    assert capsys.readouterr().err == ""
    warn_if_late(late, 40, 0.5, "box")
    assert (
        "after 2 of 10 epochs its validation IoU 0.5300 was hardly better than that of one constant box (0.5000); "
        in capsys.readouterr().err
    )
