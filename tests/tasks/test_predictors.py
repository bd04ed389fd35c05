"""What predicts: a checkpoint, an ONNX file or COCO results, measured alike, and each file opened once."""

import functools
import json
from itertools import combinations

import onnxruntime
import pytest
import torch

from htltools.commands.export.write import Export, wrapped, write_as
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.localizer import NORMALISATION
from htltools.core.nets.state_arrays import weights_of
from htltools.core.runtime.runtime import Runtime
from htltools.errors import DataError
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.models.onnx import write_metadata
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.tasks.onnx_predictor import OnnxPredictor
from htltools.tasks.predictor import CheckpointPredictor, predictor

SIZE = [32, 32, 3]
CLASSES = "bkl", "mel", "nv"  # the labels of phantoms
NETS = {
    "box": ("compact", {}),
    "mask": ("compact_unet", {}),
    "class_map": ("compact", {"classes": CLASSES}),
    "detect": ("compact_fcos", {"classes": ["object"], "most": 10}),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A checkpoint with the fresh weights of seed 0 by task; scores of the detector lie on both sides of its threshold, 0.5."""
    folder, paths = tmp_path_factory.mktemp("models"), {}
    for task, (name, more) in NETS.items():
        torch.manual_seed(0)
        shape = architecture(name, SIZE, task, **more)
        weights = weights_of(build(shape))
        for each in weights:
            if each.endswith("cls_logits.bias"):
                weights[each] = 0 * weights[each]
        paths[task] = folder / f"{task}.h5"
        Checkpoint(weights, shape, {"size": SIZE, **NORMALISATION}).save(paths[task])
    return paths


@pytest.fixture(scope="module")
def exported(models):
    """`exported("box")` gives the model of a task as an ONNX file: its path."""

    @functools.cache
    def path(task):
        file = models[task].with_suffix(".onnx")
        model, asked = CheckpointPredictor(models[task], Runtime("cpu")), Export("none", 0.0, False, "cpu", 0, ())
        write_as("none", file, model, wrapped(model, asked), iter(()))
        return file

    return path


@pytest.fixture(scope="module")
def rows(phantom):
    """The phantom rows, with the class of each box."""
    return [row.changed(labels=["object"]) for row in phantom.samples]


def results_of(path, rows):
    """What a checkpoint predicts for rows, as COCO results."""
    model = CheckpointPredictor(path, Runtime("cpu"))
    predictions = model.predict(model.data(rows))
    results = []
    for row, own in zip(rows, predictions.astype(float)):
        for *box, score in own[:, [0, 1, 2, 3, 5]] if own.ndim == 2 else [[*own, 1.0]]:
            x0, y0, x1, y1 = (share * side for share, side in zip(box, row.size * 2))
            if score > 0:
                results.append({"image_id": row.id, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score})
    return json.dumps(results)


def values(out):
    """Values of the metrics of all samples by name."""
    return {line["metric"]: line["value"] for line in split_lines(out) if line["subgroup"] is None}


@pytest.mark.slow
@pytest.mark.parametrize("task", ["box", "class_map", "detect"])
def test_the_same_predictions_give_the_same_metrics(htl, phantom, rows, models, exported, tmp_path, task):
    """A model, its ONNX file and its predictions as COCO results measure alike, and differ from each other by nothing."""
    stdin = joined_lines(rows if task == "detect" else phantom.samples)
    (tmp_path / "results.json").write_text(results_of(models[task], rows))
    expected = values(htl("evaluate", "--model", models[task], stdin=stdin)[1])
    for other in (exported(task), tmp_path / "results.json"):
        code, out, err = htl("evaluate", "--model", other, "--baseline", models[task], "--batch-size", 7, stdin=stdin)
        assert code == 0, err
        measured = values(out)
        assert {name for name in measured if not name.endswith(".delta")} == expected.keys() - {
            "maxboxacc_v2",
            "maxboxacc_v2_oracle",
            "pxap",
        }
        assert [measured[name] for name in expected if name in measured] == pytest.approx(
            [value for name, value in expected.items() if name in measured], abs=1e-4
        )
        assert all(value == pytest.approx(0, abs=1e-4) for name, value in measured.items() if name.endswith(".delta"))
    assert 0 < expected["iou_mean"] < 1


@pytest.fixture
def opened(monkeypatch):
    """The names of all model files that are opened, in order."""
    names = []
    load, session = Checkpoint.load.__func__, onnxruntime.InferenceSession

    def loading(cls, path):
        names.append(path.name)
        return load(cls, path)

    def starting(*args, **options):
        names.append("session")
        return session(*args, **options)

    monkeypatch.setattr(Checkpoint, "load", classmethod(loading))
    monkeypatch.setattr(onnxruntime, "InferenceSession", starting)
    return names


def test_evaluate_opens_each_file_once(htl, phantom, models, exported, opened):
    """One session for an ONNX file and one read of a checkpoint, however many batches, subgroups and splits there are."""
    flags, onnx = ("--batch-size", 3, "--group-by", "sex", "-q"), exported("box")
    opened.clear()  # what the export itself opened
    assert htl("evaluate", phantom.rows, "--model", onnx, *flags)[0] == 0
    assert opened == ["session"]
    assert htl("evaluate", phantom.rows, "--model", onnx, "--baseline", models["box"], *flags)[0] == 0
    assert opened[1:] == ["session", "box.h5"]


def test_score_and_report_open_each_file_once(htl, phantom, models, copy_of, opened, tmp_path):
    """score opens each file once for all its batches; report measures with the models that it scored with."""
    pair = "--model", models["box"], "--pruned", copy_of(models["box"], tmp_path / "pruned.h5")
    attended = copy_of(models["box"], tmp_path / "attended.h5")
    opened.clear()
    assert htl("score", phantom.rows, *pair, "--batch-size", 7, "-q")[0] == 0
    assert opened == ["box.h5", "pruned.h5"]
    opened.clear()
    out = "-o", tmp_path / "r.html", "--gallery", 3, "-q"
    code, _, err = htl("report", phantom.rows, *pair, "--attended", attended, *out)
    assert code == 0, err
    assert opened == ["attended.h5", "box.h5", "pruned.h5"]


@pytest.mark.parametrize("pair", [*combinations(NETS, 2)], ids=" ".join)
def test_score_refuses_models_of_two_tasks_alike(htl, phantom, models, pair):
    """Models of any two tasks do not score together, whichever is the dense one: 65, in one line."""
    for dense, pruned in (pair, pair[::-1]):
        code, out, err = htl("score", phantom.rows, "--model", models[dense], "--pruned", models[pruned])
        named = [
            f"{models[task]} (task {task}{', classes ' + ', '.join(NETS[task][1]['classes']) if NETS[task][1] else ''})"
            for task in (dense, pruned)
        ]
        cause = f"models that do not go together: {' and '.join(named)}"
        assert (code, out, err) == (65, b"", f"htl score: {cause}; name models of one task and its classes\n")


def test_score_refuses_models_of_other_classes(htl, phantom, models, tmp_path):
    """Models of one task that number other classes do not score together."""
    checkpoint = Checkpoint.load(models["detect"])
    checkpoint.architecture["classes"] = ["nail"]
    checkpoint.save(tmp_path / "nails.h5")
    code, _, err = htl("score", phantom.rows, "--model", models["detect"], "--pruned", tmp_path / "nails.h5")
    assert (code, "(task detect, classes object) and" in err, "(task detect, classes nail)" in err) == (65, True, True)


def test_evaluate_compares_tasks_of_one_box(htl, phantom, models):
    """A model of masks and one of boxes are compared by their boxes, which is said; the mask keeps its Dice, without a difference."""
    code, out, err = htl("evaluate", phantom.rows, "--model", models["mask"], "--baseline", models["box"])
    assert code == 0, err
    assert "htl evaluate: models of the tasks mask and box are compared by their boxes\n" in err
    measured = values(out)
    assert {"iou_mean.delta", "dice"} <= measured.keys() and "dice.delta" not in measured
    code, _, err = htl("evaluate", phantom.rows, "--model", models["mask"], "--baseline", models["mask"])
    assert (code, "are compared by their boxes" in err) == (0, False)


@pytest.mark.parametrize("task", ["box", "mask", "class_map"])
def test_evaluate_refuses_objects_against_one_box(htl, rows, models, task):
    """Average precision and the IoU of one box do not compare."""
    for ours, theirs in ((task, "detect"), ("detect", task)):
        code, out, err = htl("evaluate", "--model", models[ours], "--baseline", models[theirs], stdin=joined_lines(rows))
        words = {"detect": "finds several objects"}
        cause = ", ".join(f"{models[each]} {words.get(each, 'predicts one box')}" for each in (ours, theirs))
        assert (code, out, err) == (65, b"", f"htl evaluate: {cause}; compare models of one kind\n")


def test_an_onnx_file_without_what_its_task_needs(exported, phantom, tmp_path):
    """An ONNX file that lacks an output of its task, or the names of its classes, is refused when it is opened."""
    for task, about, cause in (
        ("box", {"htl.task": "mask"}, r"does not predict masks, as a model of the task mask does; export it with htl"),
        ("detect", {"htl.task": "detect"}, r"does not say which classes it detects \(htl.objects\); export it with htl"),
        ("box", {"htl.task": "lines"}, r"is a model of the task 'lines', and known are box, mask, detect, class_map"),
    ):
        path = tmp_path / "m.onnx"
        path.write_bytes(exported(task).read_bytes())
        write_metadata(path, about)
        with pytest.raises(DataError, match=f"m.onnx {cause}"):
            OnnxPredictor(path, Runtime("cpu"))
        with pytest.raises(DataError, match=f"m.onnx {cause}"):
            predictor(path, phantom.samples, Runtime("cpu"))
