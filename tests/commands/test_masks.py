"""Masks from end to end: train, prune, score, evaluate and export with nets that predict lesion masks."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.models.onnx import OnnxModel
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.formats.rows.row import Row
from htltools.formats.sources.open_rows import read_rows

QUICK = ["--attend", "none", "--epochs", 2, "--batch-size", 16, "-q"]
BY_MASK = {"pruned_disagreement", "pruned_shift", "pruned_loss", "iou_drop", "loss_gap", "suspect", "loss", "smallness", "random"}
DYNAMICS = {"forgetting", "cartography_error", "cartography_spread", "negative_aum"}


@pytest.fixture(scope="module")
def masked(phantom, htl, tmp_path_factory):
    """A net of masks trained on the phantoms, a pruned copy, and the rows after each: `dense`, `pruned`, `trained`, `scored`."""
    folder = tmp_path_factory.mktemp("masked")
    dense, pruned = folder / "dense.h5", folder / "pruned.h5"

    def made(name, *args):
        code, out, err = htl(*args)
        assert code == 0, err
        (folder / name).write_bytes(out)
        return folder / name

    trained = made("t.jsonl", "train", phantom.rows, "-o", dense, "--arch", "compact_unet", *QUICK)
    rows = made("p.jsonl", "prune", trained, "-o", pruned, "--sparsity", 0.5, "--epochs", 1, "--batch-size", 16, "-q")
    return SimpleNamespace(folder=folder, dense=dense, pruned=pruned, trained=trained, scored=made("s.jsonl", "score", rows, "-q"))


@pytest.fixture(scope="module")
def onnx(htl, masked):
    """The dense model as an ONNX file, and what was said of it."""
    path = masked.folder / "m.onnx"
    code, _, err = htl("export", "--model", masked.dense, "-o", path, masked.scored)
    assert code == 0, err
    return path, err


def without_masks(rows, tmp_path):
    """The rows with a store of the same images that holds no masks."""
    from htltools.formats.store.shard import Images, read_shard, write_shard

    images = Images([Row(row) for row in rows]).batch(np.arange(len(rows)))
    bare = [{key: value for key, value in row.items() if key != "store"} | {"index": i} for i, row in enumerate(rows)]
    write_shard(tmp_path / "00000.h5", images, None, bare, [], plan="by hand", history=[])
    return joined_lines(read_shard(tmp_path / "00000.h5")[0])


def values(out):
    """Values of the metrics of all samples by name."""
    return {line["metric"]: line["value"] for line in split_lines(out) if line["subgroup"] is None}


def test_train_learns_masks(masked):
    """The checkpoint names its task, and the IoU of one constant mask; training rows get their training dynamics."""
    checkpoint = Checkpoint.load(masked.dense)
    assert checkpoint.architecture == {"task": "mask", "name": "compact_unet", "size": [32, 32, 3]}
    assert {"val_iou", "constant_val_iou"} <= set(checkpoint.metrics)
    rows = [row for row in split_lines(masked.trained.read_bytes()) if "id" in row]
    trained = [row for row in rows if set(row.get("hardness", {})) == DYNAMICS]  # but for the last incomplete batch of both epochs
    assert len(trained) >= 32
    assert {row["split"] for row in trained} == {"train"}
    assert not any(row.get("hardness") for row in rows if row["split"] != "train")


@pytest.mark.slow
def test_a_training_goes_on_where_it_stopped(htl, phantom, tmp_path):
    """Two epochs and two more of the same plan end with the weights of four at once: masks and order follow from the seed."""
    from htltools.commands.train import resume
    from htltools.core.training.loop import State

    args = ["train", phantom.rows, "--arch", "compact_unet", "--epochs", 3, "--batch-size", 16, "-q"]
    assert htl(*args, "-o", tmp_path / "whole.h5")[0] == 0
    broken = resume.save_state

    def stopping(plan, identity, state: State):
        broken(plan, identity, state)
        if state.epoch == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("htltools.commands.train.fit.save_state", stopping)
        assert htl(*args, "-o", tmp_path / "m.h5")[0] == 130
    assert htl(*args, "-o", tmp_path / "m.h5")[0] == 0
    one, other = (Checkpoint.load(tmp_path / name).weights for name in ("whole.h5", "m.h5"))
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_score_compares_masks(masked):
    """Every row gets the columns of masks and the boxes of both; rows that were not trained on have no more than these."""
    rows = [row for row in split_lines(masked.scored.read_bytes()) if "id" in row]
    assert all(set(row["hardness"]) - DYNAMICS == BY_MASK for row in rows)
    assert all(set(row["predicted"]) == {"dense", "pruned"} for row in rows)
    assert (
        0 <= min(row["hardness"]["pruned_disagreement"] for row in rows) < max(row["hardness"]["pruned_disagreement"] for row in rows) <= 1
    )


def test_one_constant_mask_is_told(htl, masked, silenced, copy_of, tmp_path):
    """A pruned net that predicts the same mask for every image is reported by score, also with -q."""
    same = copy_of(silenced(masked.dense, tmp_path / "s.h5", "net.head."), tmp_path / "p.h5", masked.dense)
    code, _, err = htl("score", masked.trained, "-q", "--model", masked.dense, "--pruned", same)
    assert code == 0 and f"htl score: {same} predicts the same for all 80 rows: " in err


def test_rows_without_masks_get_what_needs_none(htl, masked, tmp_path):
    """Without a mask, or without annotated boxes, pruned_disagreement and pruned_shift are there, and no loss; they need neither."""
    rows = read_rows(masked.scored)[0][:8]
    expected = [row["hardness"][name] for row in rows for name in ("pruned_disagreement", "pruned_shift")]
    plain = [{key: value for key, value in row.items() if key != "hardness"} for row in rows]
    hidden = [row if i % 2 else {**row, "pseudo": True} for i, row in enumerate(plain)]
    hidden = [{key: value for key, value in row.items() if key != "boxes" or i % 2 == 0} for i, row in enumerate(hidden)]
    for stdin in without_masks(plain, tmp_path), joined_lines(hidden):
        code, out, err = htl("score", "--model", masked.dense, "--pruned", masked.pruned, stdin=stdin)
        assert code == 0, err
        scores = [row["hardness"] for row in split_lines(out) if "id" in row]
        assert all(set(each) == {"pruned_disagreement", "pruned_shift", "random"} for each in scores)
        assert [each[name] for each in scores for name in ("pruned_disagreement", "pruned_shift")] == pytest.approx(expected, abs=1e-5)


def test_folds(htl, phantom, masked, tmp_path):
    """A model that leaves out a fold scores its rows; it is pruned without them."""
    args = ["--epochs", 1, "--batch-size", 16, "-q"]
    model, cut = tmp_path / "f.h5", tmp_path / "p.h5"
    assert htl("train", phantom.rows, "-o", model, "--arch", "compact_unet", "--fold", "1/2", "--init", masked.dense, *args)[0] == 0
    assert htl("prune", phantom.rows, "--model", model, "-o", cut, "--sparsity", 0.3, "--recover", "bn", "-q")[0] == 0
    code, _, err = htl("score", phantom.rows, "--model", model, "--pruned", cut)
    assert code == 65
    assert "no dense model leaves out fold 2/2" in err
    held_out = joined_lines([row for row in phantom.samples if row["split"] != "train"])
    assert htl("score", "--model", model, "--pruned", cut, stdin=held_out)[0] == 0


def test_evaluate_gives_dice(htl, masked, onnx):
    """Dice and the IoU of masks stand beside the figures of the box, with intervals, deltas and limits; an ONNX file has the same."""
    code, out, _ = htl(
        "evaluate", masked.scored, "--model", masked.dense, "--baseline", masked.pruned, "--split", "train", "--group-by", "sex"
    )
    assert code == 0
    measured, lines = values(out), split_lines(out)
    assert {"dice", "mask_iou", "dice.delta", "iou_mean", "iou_mean.delta", "hd95", "hd95.delta", "assd", "boundary_iou"} <= set(measured)
    assert 0 < measured["assd"] < measured["hd95"] < 1 and 0 < measured["boundary_iou"] < 1
    assert measured["mask_iou"] < measured["dice"] < 1
    assert next(line for line in lines if line["metric"] == "dice")["low"] < measured["dice"]
    assert {"male", "female"} <= {line["subgroup"]["sex"] for line in lines if line["metric"] == "dice" and line["subgroup"]}
    again = values(htl("evaluate", masked.scored, "--model", onnx[0], "--split", "train")[1])
    assert again == pytest.approx({name: measured[name] for name in again}, abs=1e-4)
    assert htl("evaluate", masked.scored, "--model", masked.dense, "--fail-under", "dice=0.999")[0] == 3
    assert htl("evaluate", masked.scored, "--model", masked.dense, "--fail-under", "hd95=0.9")[0] == 0  # less is better


def test_evaluate_without_masks(htl, masked, onnx, tmp_path):
    """Where the store holds no masks the figures are those of the box; a limit on Dice then says what is missing."""
    rows = without_masks(read_rows(masked.scored)[0][:40], tmp_path)
    expected = values(htl("evaluate", "--model", masked.dense, stdin=rows)[1])
    assert "iou_mean" in expected and "dice" not in expected
    assert values(htl("evaluate", "--model", onnx[0], stdin=rows)[1]) == pytest.approx(expected, abs=1e-4)
    assert "without masks in the store" in htl("evaluate", "--model", masked.dense, "--fail-under", "dice=0.5", stdin=rows)[2]


def test_onnx_scores_alike(htl, onnx, masked, phantom):
    """`score` of the ONNX file gives the hardness that its checkpoint gives, of masks and of their boxes."""
    rows = b"".join(masked.scored.read_bytes().splitlines(keepends=True)[:21])
    (code, out, err), (_, theirs, _) = (
        htl("score", "-", "--partial", "--model", each, "--also", "soft_dice_doubt", stdin=rows) for each in (onnx[0], masked.dense)
    )
    assert code == 0, err
    hardness = [[row["hardness"] for line in own.splitlines() if "hardness" in (row := json.loads(line))] for own in (out, theirs)]
    assert len(hardness[0]) > 10
    for ours, expected in zip(*hardness):
        assert ours == pytest.approx(expected, abs=2e-3)


def test_export_has_masks(onnx, masked, phantom):
    """The file predicts boxes and masks, says so, and was held against torch on both."""
    import torch

    from htltools.core.runtime.runtime import Runtime
    from htltools.formats.store.shard import Images
    from htltools.tasks.onnx_predictor import OnnxPredictor
    from htltools.tasks.predictor import CheckpointPredictor

    path, said = onnx
    assert re.search(r"largest difference from torch \S+ of the image's sides, .*; largest difference of masks \S+\n", said)
    file = OnnxPredictor(path, Runtime("cpu"))
    assert file.task.name == "mask"
    assert file.model.about["htl.masks"].startswith("masks: float32 [N, H, W]")
    batch = Images(phantom.samples[:3]).batch(np.arange(3))
    outputs = file.outputs_of(batch)
    model = CheckpointPredictor(masked.dense, Runtime("cpu")).localizer
    with torch.inference_mode():
        images = torch.from_numpy(batch)
        np.testing.assert_allclose(outputs["masks"], model.masks(model.normalised(images)), atol=1e-5)
        np.testing.assert_allclose(outputs["boxes"], model(images), atol=1e-4)
    np.testing.assert_array_equal(outputs["boxes"], file.model.predict(batch, {"boxes": (4,)})["boxes"])


@pytest.mark.slow
def test_quantized(htl, masked, tmp_path):
    """Integers keep the boxes of the masks, which is measured, and both outputs."""
    path = tmp_path / "small.onnx"
    code, _, err = htl("export", "--model", masked.dense, "-o", path, masked.scored, "--quantize", "int8", "--max-loss", 0.2)
    assert code == 0, err
    assert "mean IoU on" in err
    model = OnnxModel(path, "cpu")
    assert (model.task, model.output_names) == ("mask", ["boxes", "masks"])


def test_channels_go(htl, phantom, masked, tmp_path):
    """Channel pruning makes a smaller net of masks, which loads again."""
    path = tmp_path / "narrow.h5"
    args = ["--method", "channel", "--sparsity", 0.5, "--epochs", 1, "-q"]
    assert htl("prune", phantom.rows, "--model", masked.dense, "-o", path, *args)[0] == 0
    assert Checkpoint.load(path).pruning["parameters"] < 0.6 * 856588
    assert htl("evaluate", phantom.rows, "--model", path)[0] == 0


def test_report_measures_masks(htl, masked, tmp_path):
    """The page gives Dice and the IoU of masks as evaluate does, and shows the boxes around the masks."""
    code, _, err = htl("report", masked.scored, "-o", tmp_path / "r.html", "--model", masked.dense, "--pruned", masked.pruned)
    assert code == 0, err
    page = (tmp_path / "r.html").read_text()
    measured = values(htl("evaluate", masked.scored, "--model", masked.dense)[1])
    for name in ("iou_mean", "dice", "mask_iou"):
        assert f"<td>{name}</td><td>{measured[name]:.3f} [" in page


def test_models_of_two_kinds_do_not_mix(htl, masked, pruned):
    """Masks are compared with masks."""
    code, _, err = htl("score", masked.trained, "--model", masked.dense, "--pruned", pruned)
    assert code == 65
    assert f"models that do not go together: {masked.dense} (task mask) and {pruned} (task box); name models of one task" in err


def test_only_boxes_can_do_this(htl, phantom, masked, tmp_path):
    """Weak supervision and columns of a box head are refused in words."""
    code, _, err = htl("train", phantom.rows, "-o", tmp_path / "m.h5", "--arch", "compact_unet", "--supervision", "weak")
    assert (code, "compact_unet is a net of the task mask, which --supervision weak does not train" in err) == (2, True), err
    code, _, err = htl("score", phantom.rows, "--model", masked.dense, "--pruned", masked.pruned, "--also", "grand")
    assert (code, f"{masked.dense} is a model of the task mask: it has no box head for --also grand" in err) == (65, True)


def test_a_store_without_masks_cannot_teach_them(htl, phantom, tmp_path):
    """Where masks are asked for the error says what to prepare; else the same net learns from boxes, and has no masks to predict."""
    bare = without_masks(phantom.samples[:20], tmp_path)
    code, _, err = htl("train", "-o", tmp_path / "m.h5", "--targets", "masks", stdin=bare)
    assert code == 65
    assert "no row of split train has a lesion mask in its store; prepare with masks/ or --masks" in err
    code, _, err = htl("train", "-o", tmp_path / "m.h5", *QUICK, stdin=bare)
    assert code == 0, err
    architecture = Checkpoint.load(tmp_path / "m.h5").architecture
    assert (architecture["name"], architecture["task"]) == ("compact_unet", "box")


def test_rows_with_a_box_alone_are_learned_too(htl, phantom, tmp_path):
    """Where some training rows have a mask and others a box alone, all are learned, and that is said."""
    some, others = [row for row in phantom.samples if row["split"] != "train"], [row for row in phantom.samples if row["split"] == "train"]
    rows = joined_lines(some + others[:20]) + without_masks(others[20:], tmp_path)
    code, out, err = htl("train", "-o", tmp_path / "m.h5", "--epochs", 1, "--batch-size", 16, "--attend", "none", stdin=rows)
    assert code == 0, err
    assert f"{len(others) - 20} rows of split train have a box and no lesion mask: the ellipse in the box stands for it" in err
    assert f"training on {len(others)}" in err
