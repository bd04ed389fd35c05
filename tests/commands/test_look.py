"""Looking again: `htl train --attend look`, `htl look`, and every command that a model which looks again goes through."""

from types import SimpleNamespace

import pytest

from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import joined_lines, split_lines

QUICK = "--epochs", 2, "--batch-size", 16, "-q"


def value(out, name="iou_mean"):
    """A metric that `evaluate` wrote."""
    return next(line["value"] for line in split_lines(out) if line["metric"] == name and line["subgroup"] is None)


def looks(path):
    """How a model looks, by its checkpoint."""
    return Checkpoint.load(path).architecture.get("looks")


@pytest.fixture(scope="module")
def made(phantom, htl, tmp_path_factory):
    """Models that look twice, of boxes and of masks, and a pruned copy of each: paths by name."""
    folder = tmp_path_factory.mktemp("looks")
    names = "boxes", "masks", "boxes_pruned", "masks_pruned"
    paths = SimpleNamespace(rows=phantom.rows, **{name: folder / f"{name}.h5" for name in names})
    for kind in "boxes", "masks":
        dense, pruned = folder / f"{kind}.h5", folder / f"{kind}_pruned.h5"
        for command in (
            ("train", phantom.rows, "-o", dense, "--targets", kind, "--looks", 2, *QUICK),
            ("prune", phantom.rows, "--model", dense, "-o", pruned, "--sparsity", 0.3, "--epochs", 1, "-q"),
        ):
            code, _, err = htl(*command)
            assert code == 0, err
    return paths


def test_default_training(htl, phantom, tmp_path):
    """The default net predicts pixels, of masks where there are some and else of boxes, and looks as is best on split val."""
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", "--epochs", 1, "--batch-size", 16)
    assert code == 0, err
    checkpoint = Checkpoint.load(tmp_path / "m.h5")
    assert (checkpoint.architecture["name"], checkpoint.architecture["task"]) == ("compact_unet", "mask")
    assert checkpoint.metrics["val_iou"] >= checkpoint.metrics["one_look_val_iou"] and "looks: " in err
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "b.h5", "--targets", "boxes", "--attend", "none", *QUICK)
    assert code == 0, err
    architecture = Checkpoint.load(tmp_path / "b.h5").architecture
    assert (architecture["task"], architecture.get("looks")) == ("box", None)


@pytest.mark.parametrize("kind", ["boxes", "masks"])
def test_every_command_follows(htl, made, kind, tmp_path):
    """score, evaluate, export and report take a model that looks twice as any other; the ONNX file predicts the same.

    A file takes long to write: here of masks, of boxes with a glance below.
    """
    dense, pruned = getattr(made, kind), getattr(made, f"{kind}_pruned")
    assert looks(dense)["count"] == looks(pruned)["count"] == 2
    code, scored, err = htl("score", made.rows, "--model", dense, "--pruned", pruned, "-q")
    assert code == 0, err
    code, out, err = htl("evaluate", made.rows, "--model", dense)
    assert code == 0, err
    if kind == "masks":
        code, _, err = htl("export", made.rows, "--model", dense, "-o", tmp_path / "m.onnx")
        assert code == 0 and "largest difference from torch" in err, err
        code, again, err = htl("evaluate", made.rows, "--model", tmp_path / "m.onnx")
        assert code == 0 and value(again) == pytest.approx(value(out), abs=1e-4)
    code, _, err = htl("report", "-", "-o", tmp_path / "r.html", "--model", dense, "--pruned", pruned, "-q", stdin=scored)
    assert code == 0, err


@pytest.mark.parametrize("kind", ["boxes", "masks"])
def test_a_glance_by_the_pruned_copy(htl, made, kind, tmp_path):
    """A checkpoint can hold a pruned copy for the first look: it evaluates, and exports as one file that predicts the same."""
    dense, pruned, out = getattr(made, kind), getattr(made, f"{kind}_pruned"), tmp_path / "g.h5"
    code, stream, err = htl("look", made.rows, "--model", dense, "--glance", pruned, "--looks", 2, "-o", out)
    assert code == 0 and "looks: 2 times" in err, err
    assert any(line.get("path") == str(out) for line in split_lines(stream) if line.get("htl") == "model")
    checkpoint = Checkpoint.load(out)
    assert checkpoint.architecture["glance"] and any(name.startswith("glance.") for name in checkpoint.weights)
    code, measured, err = htl("evaluate", made.rows, "--model", out, "--split", "val")
    assert code == 0, err
    assert kind == "masks" or value(measured) == pytest.approx(checkpoint.metrics["val_iou"], abs=1e-4)
    if kind == "boxes":
        code, _, err = htl("export", made.rows, "--model", out, "-o", tmp_path / "g.onnx", "-q")
        assert code == 0, err
        code, again, _ = htl("evaluate", made.rows, "--model", tmp_path / "g.onnx", "--split", "val")
        assert value(again) == pytest.approx(value(measured), abs=1e-4)
    code, _, err = htl("prune", made.rows, "--model", out, "-o", tmp_path / "p.h5", "--sparsity", 0.5)
    assert (code, "holds two nets, one for the first look; prune the model that it was made from" in err) == (65, True), err


def test_other_looks(htl, made, tmp_path):
    """The same weights can look once, more often until two looks agree, at random places, or at the median box."""
    wanted = {
        "once": (("--looks", 1), {"count": 1}),
        "patient": (("--looks", 3, "--agree", 0.9, "--look-window", 1.5), {"count": 3, "agree": 0.9, "window": 1.5}),
        "random": (("--looks", 2, "--look-at", "random"), {"at": "random"}),
        "median": (("--looks", 2, "--look-at", "median"), {"at": "median"}),
    }
    for name, (flags, fields) in wanted.items():
        code, _, err = htl("look", made.rows, "--model", made.boxes, "-o", tmp_path / f"{name}.h5", "-q", *flags)
        assert code == 0, err
        found = looks(tmp_path / f"{name}.h5")
        assert {field: found[field] for field in fields} == fields
        assert (found["box"] is not None) == (name == "median")
        assert htl("evaluate", made.rows, "--model", tmp_path / f"{name}.h5", "-q")[0] == 0


def test_small_input_of_a_fine_store(htl, phantom, tmp_path):
    """--input: the net takes smaller images than the store has, and looks again at a part in full; all commands follow."""
    model = tmp_path / "m.h5"
    for net in ("--targets", "masks"), ("--arch", "compact"):  # a file of the latter is written soon
        code, _, err = htl("train", phantom.rows, "-o", model, "--input", 16, *net, "--looks", 2, "--force", *QUICK)
        assert code == 0, err
        assert Checkpoint.load(model).architecture["input"] == [16, 16]
    code, _, err = htl("export", phantom.rows, "--model", model, "-o", tmp_path / "m.onnx")
    assert code == 0, err
    ours, theirs = (value(htl("evaluate", phantom.rows, "--model", path)[1]) for path in (model, tmp_path / "m.onnx"))
    assert ours == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("by, targets", [("pruned_loss", "boxes"), ("pruned_loss", "masks"), ("loss", "boxes"), ("random", "masks")])
def test_crops_go_to_the_hard(htl, phantom, by, targets, tmp_path):
    """Enlarged crops can be given more often to hard samples."""
    flags = ("--attend", "look", "--attend-by", by, "--attend-renew", 1, "--epochs", 2, "--batch-size", 16, "-q")
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", "--targets", targets, *flags)
    assert code == 0, err


def test_crops_by_default(htl, phantom, tmp_path):
    """Boxes are learned with enlarged crops, masks without, unless a share is asked for; the recovery of `prune` keeps to that."""
    for flags, seen in {("--targets", "boxes"): True, ("--targets", "masks"): False, ("--attend-crops", 0.5): True}.items():
        code, _, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", "--force", *flags, "--epochs", 1, "--batch-size", 16, "-q")
        assert (code, Checkpoint.load(tmp_path / "m.h5").training["looks"]) == (0, seen), err
    for flags in ("--attend", "none"), ("--supervision", "semi"), ("--supervision", "weak"):
        code, _, err = htl("train", phantom.rows, "-o", tmp_path / "x.h5", *flags, "--attend-crops", 0.5)
        assert (code, "--attend-crops goes with --attend look" in err) == (2, True), err


def test_semi_supervision_looks_again(htl, phantom, tmp_path):
    """The teacher looks again, and the student learns to; the model that is kept looks as is best."""
    half = joined_lines([{key: item for key, item in row.items() if key != "boxes" or i % 2} for i, row in enumerate(phantom.samples)])
    for use in "teacher", "none":
        args = ("--supervision", "semi", "--pseudo-labels", use, "--looks", 2, *QUICK)
        code, _, err = htl("train", "-", "-o", tmp_path / f"{use}.h5", *args, stdin=half)
        assert code == 0, err
        assert looks(tmp_path / f"{use}.h5")["count"] == 2


def test_weak_supervision_can_look_again(htl, phantom, tmp_path):
    """On request the map learns from images that are cut around its own boxes, and looks again where that is better on split val."""
    args = ("--supervision", "weak", "--attend", "look", "--attend-renew", 1, "--epochs", 3, "--batch-size", 16)
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", *args)
    assert code == 0 and "looks: " in err, err
    assert Checkpoint.load(tmp_path / "m.h5").training["looks"]
    assert htl("train", phantom.rows, "-o", tmp_path / "p.h5", "--supervision", "weak", *QUICK)[0] == 0
    assert looks(tmp_path / "p.h5") is None
    code, _, err = htl("look", phantom.rows, "--model", tmp_path / "p.h5", "--looks", 2, "-o", tmp_path / "t.h5")
    assert code == 0 and looks(tmp_path / "t.h5")["count"] == 2, err
    once, twice = (value(htl("evaluate", phantom.rows, "--model", tmp_path / f"{name}.h5")[1]) for name in "pt")
    assert once != twice
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "x.h5", *args, "--attend-by", "loss")
    assert (code, "--attend-by has no effect here" in err) == (2, True), err


def test_what_is_refused(htl, made, phantom, dense, tmp_path):
    """What cannot look again, or has nothing to choose by, is refused in one line."""
    out = tmp_path / "m.h5"
    rest = joined_lines([row for row in phantom.samples if row["split"] == "train"])
    cases = [
        (65, ("look", made.rows, "--model", made.boxes, "--glance", dense, "-o", out), b"", "is no pruned copy of"),
        (65, ("look", "-", "--model", made.boxes, "-o", out), rest, "no annotated row of split val, which says what is best"),
        (2, ("look", made.rows, "--model", made.boxes, "--looks", 1, "--agree", 0.9, "-o", out), b"", "--agree needs two looks or more"),
        (2, ("train", made.rows, "-o", out, "--attend", "none", "--looks", 2), b"", "--looks and --look-window go with --attend look"),
        (2, ("train", made.rows, "-o", out, "--arch", "compact", "--targets", "masks"), b"", "a net that predicts them"),
        (2, ("train", made.rows, "-o", out, "--arch", "compact_fcos", "--attend", "look"), b"", "which --attend look is not for"),
    ]
    for code, words, stdin, message in cases:
        got, stdout, err = htl(*words, stdin=stdin)
        assert (got, stdout, err.count("\n"), message in err, out.exists()) == (code, b"", 1, True, False), err
