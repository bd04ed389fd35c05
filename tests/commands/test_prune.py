"""`htl prune`."""

import numpy as np
import pytest

from htltools.commands.prune import health_gate
from htltools.core.hardness.cross_fitting import fold_of
from htltools.core.nets.factory import build
from htltools.core.pruning.unstructured import SWEEP, prunable
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.formats.rows.provenance import file_digest
from tests.conftest import PLAIN


def zero_share(path):
    """The share of the prunable weights of a checkpoint that is zero."""
    checkpoint = Checkpoint.load(path)
    model = build(checkpoint.architecture)
    names = [name for name, module in model.named_modules() if any(module is other for other, _ in prunable(model))]
    weights = [checkpoint.weights[f"{name}.weight"] for name in names]
    return 1 - sum(np.count_nonzero(w) for w in weights) / sum(w.size for w in weights)


@pytest.fixture(scope="module")
def learned(htl, phantom, tmp_path_factory):
    """A dense model that is far better than one constant box: path of its checkpoint."""
    path = tmp_path_factory.mktemp("learned") / "dense.h5"
    assert htl("train", phantom.rows, "-q", "-o", path, *PLAIN, "--epochs", 12, "--batch-size", 8)[::2] == (0, "")
    return path


@pytest.mark.parametrize("method", ["l1", "layer-l1", "random"])
def test_the_share_asked_for_is_cut(htl, phantom, dense, tmp_path, method):
    """Each unstructured method writes zeros for the share asked for, into a smaller file, and leaves the dense file's bytes alone."""
    before = dense.read_bytes()
    options = ["--method", method, "--sparsity", 0.9, "--recover", "none", "-q"]
    code, out, _ = htl("prune", phantom.rows, "--model", dense, "-o", tmp_path / "p.h5", *options)
    assert code == 0
    assert zero_share(tmp_path / "p.h5") == pytest.approx(0.9, abs=1e-3)
    assert dense.read_bytes() == before
    # what is small in a net of 2 MB, biases and norms, is not cut; and random leaves more kinds of numbers than the largest ones
    assert (tmp_path / "p.h5").stat().st_size <= {"l1": 0.15, "layer-l1": 0.155, "random": 0.165}[method] * dense.stat().st_size
    checkpoint = Checkpoint.load(tmp_path / "p.h5")
    assert (checkpoint.pruning["method"], checkpoint.pruning["asked"], checkpoint.pruning["recover"]) == (method, 0.9, "none")
    assert checkpoint.pruning["sparsity"] == pytest.approx(0.9, abs=1e-3)
    assert checkpoint.history[-1]["inputs"] == {str(dense): file_digest(dense)}
    notes = [line for line in split_lines(out) if line.get("htl") == "model"]
    assert [(note["role"], note["path"]) for note in notes] == [("dense", str(dense)), ("pruned", str(tmp_path / "p.h5"))]
    assert notes[1]["sha256"] == file_digest(tmp_path / "p.h5")
    assert [line for line in split_lines(out) if "id" in line] == phantom.samples


def test_channels_make_the_net_smaller(htl, phantom, dense, tmp_path):
    """--method channel writes a net with fewer parameters, which loads and scores like any other."""
    options = ["--method", "channel", "--sparsity", 0.5, "--recover", "bn", "-q"]
    assert htl("prune", phantom.rows, "--model", dense, "-o", tmp_path / "p.h5", *options)[0] == 0
    small, whole = (sum(w.size for w in Checkpoint.load(path).weights.values()) for path in (tmp_path / "p.h5", dense))
    assert small == pytest.approx(whole / 2, rel=0.15)
    code, out, _ = htl("score", phantom.rows, "--model", dense, "--pruned", tmp_path / "p.h5", "--limit", 5, "-q")
    assert code == 0
    assert [{"pruned_disagreement", "pruned_loss", "suspect"} <= line["hardness"].keys() for line in split_lines(out) if "id" in line] == [
        True
    ] * 5


def test_recoveries(htl, phantom, dense, pruned, tmp_path):
    """bn renews statistics and no weight; finetune trains the weights that stayed; both hold the zeros."""
    cut = Checkpoint.load(pruned).weights
    for recover in ("bn", "finetune"):
        options = ["--sparsity", 0.6, "--recover", recover, "--epochs", 1, "--batch-size", 16, "-q"]
        assert htl("prune", phantom.rows, "--model", dense, "-o", tmp_path / f"{recover}.h5", *options)[0] == 0
    bn, finetuned = (Checkpoint.load(tmp_path / f"{recover}.h5").weights for recover in ("bn", "finetune"))
    assert (bn["net.0.0.weight"] == cut["net.0.0.weight"]).all()
    assert not (bn["net.0.1.running_mean"] == cut["net.0.1.running_mean"]).all()
    for name in ("net.0.0.weight", "net.3.conv1.weight", "net.6.0.weight"):
        assert (finetuned[name][cut[name] == 0] == 0).all()
        assert not (finetuned[name] == cut[name]).all()
    assert finetuned.keys() == cut.keys()


def test_nothing_cut_is_the_dense_model(htl, phantom, dense, tmp_path):
    """--sparsity 0 without recovery copies the weights bit for bit."""
    assert htl("prune", phantom.rows, "--model", dense, "-o", tmp_path / "p.h5", "--sparsity", 0, "--recover", "none", "-q")[0] == 0
    before, after = Checkpoint.load(dense).weights, Checkpoint.load(tmp_path / "p.h5").weights
    assert all((after[name] == array).all() for name, array in before.items())


def test_the_control_that_is_recovered_alike_but_not_pruned(htl, phantom, learned, tmp_path):
    """--sparsity 0 takes the recovery of any other sparsity and cuts no weight; its checkpoint says so, and score takes it as a copy."""
    recovery = ["--recover", "finetune", "--epochs", 1, "--batch-size", 16]
    code, out, err = htl("prune", phantom.rows, "--model", learned, "-o", tmp_path / "0.h5", "--sparsity", 0, *recovery)
    assert code == 0
    assert f"htl prune: {tmp_path}/0.h5: no weight cut, the control for pruning, validation IoU " in err
    control, before = Checkpoint.load(tmp_path / "0.h5"), Checkpoint.load(learned)
    asked = {"asked": 0.0, "sparsity": 0.0, "recover": "finetune", "dense_sha256": before.digest}
    assert {name: control.pruning[name] for name in asked} == asked
    moved = [not np.array_equal(control.weights[name], array) for name, array in before.weights.items() if name.endswith("weight")]
    assert all(moved) and all(array.all() for name, array in control.weights.items() if name.endswith("conv1.weight"))
    code, scored, err = htl("score", "-q", stdin=out)
    assert (code, err) == (0, "")
    hardness = [line["hardness"] for line in split_lines(scored) if "id" in line]
    assert len(hardness) == len(phantom.samples) and all(row["pruned_shift"] > 0 for row in hardness)
    for method in "layer-l1", "random", "channel":  # the same steps whatever would have been cut
        flags = ["--method", method, "--sparsity", 0, *recovery, "-q"]
        assert htl("prune", phantom.rows, "--model", learned, "-o", tmp_path / f"{method}.h5", *flags)[0] == 0
        assert Checkpoint.load(tmp_path / f"{method}.h5").digest == control.digest


def test_a_random_cut_answers_images_differently(htl, phantom, learned, tmp_path):
    """The control of the same seed as the training is alive: after its recovery its predictions vary from image to image."""
    flags = ["--method", "random", "--sparsity", 0.5, "--epochs", 12, "--batch-size", 8, "-q"]
    code, out, err = htl("prune", phantom.rows, "--model", learned, "-o", tmp_path / "p.h5", *flags)
    pruning = Checkpoint.load(tmp_path / "p.h5").pruning
    assert (code, pruning["constant"], pruning["dead_layers"]) == (0, False, [])
    boxes = np.array([row["predicted"]["pruned"] for row in split_lines(htl("score", "-q", stdin=out)[1]) if "id" in row])
    assert boxes.std(0).min() > 0.04 * np.max(phantom.samples[0]["size"])
    assert err == ""  # healthy


def damaged_head(model, path, bias):
    """A copy of a compact model whose hidden layer before the head has that bias: far below zero it never fires."""
    checkpoint = Checkpoint.load(model)
    checkpoint.weights["net.6.0.bias"] = np.full_like(checkpoint.weights["net.6.0.bias"], bias)
    checkpoint.save(path)
    return path


def test_an_unhealthy_copy_is_reported_even_with_q(htl, phantom, learned, tmp_path):
    """A copy far below its dense model, one that predicts a constant, and dead layers are told with -q, again when its rows go out anew."""
    args = ["prune", phantom.rows, "-q", "--model", learned, "-o", tmp_path / "p.h5", "--sparsity", 0.9999, "--recover", "none"]
    for _ in range(2):
        code, out, err = htl(*args)
        assert (code, err.count("\n")) == (0, 1)
        pruning = Checkpoint.load(tmp_path / "p.h5").pruning
        assert (pruning["constant"], pruning["prediction_spread"]) == (True, 0)
        assert err.startswith(
            f"htl prune: {tmp_path}/p.h5 is not healthy: its validation IoU {pruning['val_iou']:.4f} is below 0.9 of the dense "
        )
        assert (
            f", no better than one constant prediction ({pruning['constant_val_iou']:.4f}), it predicts the same for every image, " in err
        )
        assert ", dead layers: net.1.conv1, net.1.conv2, net.2.conv1 and " in err
        assert err.endswith(" more; cut less, or recover it longer\n")
    code, _, err = htl("score", "-q", stdin=out)
    assert code == 0 and f"htl score: {tmp_path}/p.h5 predicts the same for all {len(phantom.samples)} rows: " in err


def test_a_healthy_copy_is_not_complained_of(htl, phantom, learned, tmp_path):
    """A copy that lost next to nothing is taken in silence with -q."""
    args = "--sparsity", 0.05, "--recover", "none", "-q"
    assert htl("prune", phantom.rows, "--model", learned, "-o", tmp_path / "p.h5", *args)[::2] == (0, "")


def test_a_dense_model_that_is_dead_is_told(htl, phantom, learned, tmp_path):
    """A copy of a dense model whose hidden layer never fires passes the gate, but not without a warning."""
    dead = damaged_head(learned, tmp_path / "dead.h5", -1e4)
    code, _, err = htl("prune", phantom.rows, "-q", "--model", dead, "-o", tmp_path / "p.h5", "--recover", "none")
    assert (
        code == 0
        and "p.h5 is not healthy" in err
        and "it predicts the same for every image, dead layers: net.6.2; train its dense model longer" in err
    )


def test_batch_norm_recovery_of_one_row(htl, phantom, tmp_path):
    """--recover bn with one training row and a net that leaves one place of an image says what is missing, in place of torch's words."""
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(htl("prepare", "--phantom", 12, "--size", 8, "-j", 1, "-q", "-o", tmp_path / "store")[1])
    assert htl("train", rows, "-q", "-o", tmp_path / "d.h5", "--epochs", 1)[0] == 0
    one = [row for row in split_lines(rows.read_bytes()) if row.get("split") == "train"][:1]
    args = "--model", tmp_path / "d.h5", "-o", tmp_path / "p.h5", "--sparsity", 0.5, "--recover", "bn"
    code, _, err = htl("prune", *args, stdin=joined_lines(one))
    cause = "batch norm has no variance in a batch of one image, of which the net leaves one place"
    assert (code, err.splitlines()[-1]) == (
        2, f"htl prune: {cause}; use --batch-size 2 or more, and at least two training rows, or --recover none"
    )  # fmt: skip


def test_the_health_gate_takes_the_largest_healthy_sparsity(htl, phantom, dense, tmp_path, monkeypatch):
    """auto keeps the first sparsity of its sweep, from the largest, whose validation IoU stays above the gate, and shows the sweep."""
    dense_iou = dense_val_iou(htl, phantom, dense, tmp_path)
    code, _, err = htl("prune", phantom.rows, "--model", dense, "-o", tmp_path / "p.h5", "--recover", "none")
    pruning = Checkpoint.load(tmp_path / "p.h5").pruning
    assert code == 0
    assert [entry["asked"] for entry in pruning["sweep"]] == list(SWEEP)
    healthy = [entry["asked"] for entry in pruning["sweep"] if entry["val_iou_before_recovery"] >= 0.9 * dense_iou]
    assert pruning["asked"] == max(healthy)
    assert pruning["val_iou"] >= 0.9 * pruning["dense_val_iou"]
    assert "sparsity\tval IoU, cut\trecovered\t\n" in err
    assert err.count("<- taken") == 1
    place = SWEEP.index(pruning["asked"]) + 1
    assert f"htl prune: sparsity {pruning['asked']:g} ({place} of at most 7): validation IoU {pruning['val_iou']:.4f}\n" in err
    assert zero_share(tmp_path / "p.h5") == pytest.approx(pruning["asked"], abs=1e-3)


def dense_val_iou(htl, phantom, dense, tmp_path):
    """The validation IoU of the dense model, as prune measures it."""
    htl("prune", phantom.rows, "--model", dense, "-o", tmp_path / "0.h5", "--sparsity", 0, "--recover", "none", "-q")
    return Checkpoint.load(tmp_path / "0.h5").pruning["dense_val_iou"]


def test_no_healthy_sparsity(htl, phantom, dense, tmp_path, monkeypatch):
    """Where no sparsity is healthy, auto fails with the remedy and writes nothing."""
    monkeypatch.setattr(health_gate, "HEALTHY", 9.0)
    code, out, err = htl("prune", phantom.rows, "--model", dense, "-o", tmp_path / "p.h5", "--recover", "none", "-q")
    assert (code, out) == (1, b"")
    assert "no sparsity of the sweep keeps the model healthy; train it longer, or choose --sparsity and --recover by hand" in err
    assert not (tmp_path / "p.h5").exists()


@pytest.mark.parametrize(
    "sparsity, said",
    [
        ("1", "--sparsity takes numbers from 0 up to but not including 1, not '1'"),
        ("-0.1", "--sparsity takes numbers from 0 up to but not including 1, not '-0.1'"),
        ("nan", "--sparsity takes numbers from 0 up to but not including 1, not 'nan'"),
        ("much", "--sparsity takes numbers between 0 and 1, not 'much'"),
        ("0.5,0.6", "--sparsity takes auto or one number; run prune once for each sparsity"),
    ],
)
def test_wrong_sparsities(htl, phantom, tmp_path, sparsity, said):
    """A sparsity that is none is a usage error before anything is read."""
    code, _, err = htl("prune", phantom.rows, "-o", tmp_path / "p.h5", f"--sparsity={sparsity}")
    assert (code, err) == (2, f"htl prune: {said}\n")


def test_without_a_model(htl, phantom, tmp_path):
    """Rows without a model note need --model."""
    code, _, err = htl("prune", phantom.rows, "-o", tmp_path / "p.h5")
    assert (code, err) == (
        66,
        f"htl prune: no dense model in {phantom.rows} or --model; did a filter drop the notes? See htl-stream(5)\n",
    )


def test_without_validation(htl, phantom, dense, tmp_path):
    """The gate needs a validation split, and says so."""
    rows = joined_lines(row for row in phantom.samples if row["split"] == "train")
    code, _, err = htl("prune", "--model", dense, "-o", tmp_path / "p.h5", stdin=rows)
    cause, remedy = "no annotated row of split val, where the health gate measures", "name a --sparsity, which needs none"
    assert (code, err.splitlines()[-1]) == (65, f"htl prune: {cause}; {remedy}")
    for recover in "none", "bn", "finetune":
        cut = "--sparsity", 0.5, "--recover", recover, "--epochs", 1, "--batch-size", 16
        code, _, err = htl("prune", "--model", dense, "-o", tmp_path / f"{recover}.h5", *cut, stdin=rows)
        assert code == 0, err
        assert "no annotated row of split val: nothing is measured, and the last epoch of a recovery is kept" in err
        made = Checkpoint.load(tmp_path / f"{recover}.h5")
        assert (made.metrics, made.pruning["val_iou"], made.pruning["sparsity"]) == ({}, None, pytest.approx(0.5, abs=1e-3))


def test_existing_output(htl, phantom, dense):
    """The dense model cannot be overwritten by its pruned copy by mistake."""
    code, _, err = htl("prune", phantom.rows, "--model", dense, "-o", dense)
    assert (code, err) == (73, f"htl prune: {dense} exists; replace it with --force, or name another output\n")


def test_the_fold_goes_on_into_the_pruned_model(htl, phantom, tmp_path):
    """A pruned copy leaves out the fold of its dense model: it recovers as if the rows of that fold were not there, and says so."""
    dense, quick = tmp_path / "dense.h5", ["--batch-size", 16, "--epochs", 1]
    assert htl("train", phantom.rows, "-q", "-o", dense, "--fold", "2/2", *quick)[0] == 0
    cut = ["--model", dense, "--sparsity", 0.5, *quick]
    code, out, err = htl("prune", phantom.rows, "-o", tmp_path / "p.h5", *cut)
    assert code == 0
    gone = {row["id"] for row in phantom.samples if row["split"] == "train" and fold_of(row["group"], 2) == 2}
    assert f"htl prune: fold 2/2: {len(gone)} of " in err
    assert [row for row in split_lines(out) if "id" in row] == phantom.samples
    rest = joined_lines(row for row in phantom.samples if row["id"] not in gone)
    assert htl("prune", "-q", "-o", tmp_path / "rest.h5", *cut, stdin=rest)[0] == 0
    ours, theirs = Checkpoint.load(tmp_path / "p.h5"), Checkpoint.load(tmp_path / "rest.h5")
    assert ours.fold == {"k": 2, "K": 2, "seed": 0}
    assert all(np.array_equal(array, theirs.weights[name]) for name, array in ours.weights.items())


@pytest.mark.parametrize("recover", ["none", "bn", "finetune"])
def test_a_model_of_labels_recovers_by_labels(htl, phantom, by_map, tmp_path, recover):
    """The training boxes have no part in the pruning of a weakly supervised model; its threshold is found anew."""
    pruned = []
    for name, box in {"with": None, "other": [[0, 0, 1, 1]]}.items():
        rows = [row | {"boxes": box} if box and row["split"] == "train" else row for row in phantom.samples]
        pruned.append(tmp_path / f"{name}.h5")
        options = ["--sparsity", 0.5, "--recover", recover, "--epochs", 1, "--batch-size", 16, "-q"]
        code, _, err = htl("prune", "--model", by_map, "-o", pruned[-1], *options, stdin=joined_lines(rows))
        assert code == 0, err
    first, second = (Checkpoint.load(path) for path in pruned)
    assert all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)
    assert zero_share(pruned[0]) == pytest.approx(0.5, abs=1e-3)
    assert first.architecture == Checkpoint.load(by_map).architecture


def test_a_result_whose_rows_were_lost(htl, phantom, dense, tmp_path, monkeypatch):
    """A prune that was killed between its checkpoint and its rows sends them, by the same command, and computes nothing again."""
    command = ["prune", phantom.rows, "--model", dense, "-o", tmp_path / "p.h5", "--sparsity", 0.5, "--recover", "bn"]

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("htltools.formats.rows.stream.RowWriter.__enter__", killed)
        assert htl(*command)[:2] == (130, b"")
    written = (tmp_path / "p.h5").read_bytes()
    for changed in (["--seed", 1], ["--sparsity", 0.6], ["--recover", "none"], ["--method", "random"], ["--limit", 70], ["--epochs", 1]):
        code, out, err = htl(*command, *changed)
        assert (code, out) == (73, b"") and "p.h5 exists" in err, changed
    with monkeypatch.context() as patched:
        patched.setattr("htltools.commands.prune.health_gate.Job.at", killed)
        code, out, err = htl(*command)
    assert code == 0 and f"{tmp_path}/p.h5 is what the same command came to before; its rows go out again\n" in err
    assert [row for row in split_lines(out) if "id" in row] == phantom.samples
    assert [note["role"] for note in split_lines(out) if note.get("htl") == "model"] == ["dense", "pruned"]
    assert (tmp_path / "p.h5").read_bytes() == written
    (tmp_path / "p.h5").write_bytes(dense.read_bytes())
    assert htl(*command)[0] == 73 and (tmp_path / "p.h5").read_bytes() == dense.read_bytes()


@pytest.mark.parametrize("sparsity, said", [("auto", "--sparsity SHARE tries one sparsity alone"), ("0.5", "--recover bn takes less time")])
def test_ctrl_c_tells_how_to_go_on(htl, phantom, dense, tmp_path, monkeypatch, sparsity, said):
    """A pruning that is interrupted writes nothing, ends with 130, and says what the same command does and what is faster."""

    def interrupted(*args, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr(health_gate.Job, "at", interrupted)
    code, out, err = htl("prune", phantom.rows, "--model", dense, "-o", tmp_path / "p.h5", "--sparsity", sparsity)
    assert (code, out, list(tmp_path.iterdir())) == (130, b"", [])
    assert err.endswith(f"htl prune: stopped; the same command starts anew, and {said}\n")
