"""A task that htl does not know, a key point an image: one class, one builder of its nets and one entry make every command take it."""

import numpy as np
import pytest
import torch

from htltools.commands.train.fit import train_localizer
from htltools.commands.train.plan import Plan
from htltools.core.hardness.scores import Comparison, present_mean
from htltools.core.nets import factory
from htltools.core.nets.compact import compact
from htltools.core.nets.localizer import NORMALISATION, Localizer
from htltools.core.runtime.runtime import Runtime
from htltools.core.statistics.sample_metrics import BoxMetrics
from htltools.core.training.objectives.epoch import EpochObjective
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.formats.rows.row import Row
from htltools.tasks import registry
from htltools.tasks.box import Box
from htltools.tasks.rows import image_sizes, matching_images
from htltools.tasks.task import Data


def closeness(one, other):
    """1 - the distance of points [N, 2], as shares of the sides: [N] in [0, 1], 1 = the same; NaN where either is none."""
    return np.clip(1 - shift(one, other), 0, 1)


def shift(one, other):
    """The larger distance along an axis: [N]."""
    return np.abs(np.asarray(one, float) - other).max(-1)


class PointLocalizer(Localizer):
    """Images uint8 [B, H, W, C] to points float32 [B, 2], as shares of the sides."""

    task = "points"
    prediction_shape = (2,)
    output_shape = (4,)  # of the compact net, of which two numbers are taken

    def forward(self, images):
        return self.onnx_outputs(self.normalised(images))

    def onnx_outputs(self, x):
        return torch.sigmoid(self.net(x).float())[:, :2]

    def overlap(self, predictions, targets):
        return closeness(predictions, targets)


class PointObjective(EpochObjective):
    """The distance from points [N, 2]."""

    def __init__(self, model, data, weights, recipe, runtime):
        super().__init__(model, data.images, weights, recipe, runtime)
        self.targets = torch.from_numpy(data.targets).to(runtime.device)

    def loss(self, batch, chosen, change, seed):
        predicted = torch.sigmoid(self.net(self.model.normalised(batch)).float())[:, :2]
        return (predicted - self.targets[chosen]).abs().sum(1)


class Points(Box):
    """One key point an image, in the field `point` of rows, in pixels; see `Task` for what each member is."""

    name = "points"
    kind = "points"
    target_fields = ("point",)
    supports = frozenset()
    field = "pointed"
    comparison = Comparison(closeness, shift, lambda points: np.where(np.isnan(points[:, 0]), np.nan, 1.0))

    def is_annotated(self, row):
        return "point" in row

    def validation_data(self, rows, classes, frame, path):
        return Data(rows, matching_images(rows, frame, path), self.annotation(rows, classes))

    def objective(self, model, training, weights, validation, recipe, runtime, extras):
        return PointObjective(model, training, weights, recipe, runtime)

    def constant_baseline(self, training, validation):
        constant = np.median(training.targets, 0)
        return "point", float(closeness(constant, validation.targets).mean())

    def annotation(self, rows, classes, place=None):
        points = np.array([row.get("point") or [np.nan, np.nan] for row in rows])
        return (points / image_sizes(rows)).astype(np.float32)

    def losses(self, models, images, predictions, annotation, runtime):
        return np.abs(predictions - annotation).sum(-1)

    def measured_outputs(self, outputs, batch, rows):
        return outputs["points"]

    def per_sample(self, predictions, targets, classes, threshold):
        return BoxMetrics(closeness(predictions, targets))

    def field_values(self, predictions, sizes, classes):
        return [[round(float(edge), 2) for edge in point] for point in present_mean(predictions) * sizes]

    def onnx_outputs(self, frame):
        return {"points": (2,)}

    def onnx_metadata(self, model):
        return {"htl.output": "points: float32 [N, 2], shares of the sides"}


def point_localizer(architecture, imagenet, trusted):
    """A localizer of points."""
    return PointLocalizer(compact(*architecture["size"]), **NORMALISATION)


@pytest.fixture(scope="module")
def points():
    """The task, which is known to htl while these tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.TASKS, Points.name, Points())
        patch.setitem(factory.BUILDERS, Points.name, point_localizer)
        yield


@pytest.fixture(scope="module")
def rows(phantom):
    """The phantom rows without boxes, each with the centre of its box as `point`; the last of each split has none."""
    kept = "id", "group", "split", "store", "index", "size", "meta"
    samples = []
    for row in phantom.samples:
        x0, y0, x1, y1 = row.boxes[0]
        samples.append(Row({name: row[name] for name in kept} | {"point": [(x0 + x1) / 2, (y0 + y1) / 2]}))
    for split in ("train", "val", "test"):
        del next(row for row in reversed(samples) if row.split == split)["point"]
    return samples


@pytest.fixture(scope="module")
def model(points, rows, tmp_path_factory):
    """A localizer of points: path of its checkpoint."""
    path = tmp_path_factory.mktemp("points") / "dense.h5"
    plan = Plan(path, "compact", "none", 4, 16, 3e-3, "onecycle", 0, None, "points")
    train_localizer(rows, plan, Runtime("cpu", batch_size=16), compiled=False, resume=False, history=lambda epochs: [])
    return path


def values(out):
    """Values of the metrics of all samples by name."""
    return {line["metric"]: line["value"] for line in split_lines(out) if line["subgroup"] is None}


def test_it_trains(model):
    """The checkpoint names its task, and what one constant prediction reaches."""
    checkpoint = Checkpoint.load(model)
    assert checkpoint.architecture == {"task": "points", "name": "compact", "size": [32, 32, 3]}
    assert 0 < checkpoint.metrics["constant_val_iou"] < 1
    assert 0.5 < checkpoint.metrics["val_iou"] <= 1


def test_it_is_pruned_and_scored(htl, model, rows, tmp_path):
    """Rows get the columns that follow from its comparison, and both predictions in its field; those without a point what needs none."""
    pruned = tmp_path / "pruned.h5"
    command = "prune", "-q", "--model", model, "-o", pruned, "--sparsity", 0.5, "--epochs", 1
    code, out, err = htl(*command, stdin=joined_lines(rows))
    assert code == 0, err
    code, out, err = htl("score", "-q", stdin=out)
    assert code == 0, err
    for row, scored in zip(rows, (line for line in split_lines(out) if "id" in line), strict=True):
        assert {name: scored[name] for name in row} == row
        both = {role: np.divide(point, row.size) for role, point in scored["pointed"].items()}
        hardness = scored["hardness"]
        assert hardness["pruned_disagreement"] == pytest.approx(hardness["pruned_shift"], abs=1e-6)
        assert hardness["pruned_shift"] == pytest.approx(shift(both["dense"], both["pruned"]), abs=1e-4)
        if "point" in row:
            assert hardness["loss"] == pytest.approx(np.abs(both["dense"] - np.divide(row["point"], row.size)).sum(), abs=2e-4)
            assert {"pruned_loss", "iou_drop", "suspect", "smallness"} <= hardness.keys()
        else:
            assert hardness.keys() == {"pruned_disagreement", "pruned_shift", "random"}
    code, _, err = htl("score", "-q", "--model", model, "--pruned", pruned, "--also", "grand", stdin=joined_lines(rows))
    assert (code, "is a model of the task points: it has no box head for --also grand" in err) == (65, True)


@pytest.mark.slow
def test_it_is_measured_and_exported(htl, model, rows, tmp_path):
    """evaluate measures the checkpoint and its ONNX file alike, by subgroup too, on rows that have a point."""
    stdin, file = joined_lines(rows), tmp_path / "m.onnx"
    command = "evaluate", "--model", model, "--group-by", "sex"
    code, out, err = htl(*command, stdin=stdin)
    assert code == 0, err
    assert {line["n"] for line in split_lines(out) if line["subgroup"] is None} == {sum(row.split == "test" for row in rows) - 1}
    code, _, err = htl("export", "--model", model, "-o", file, "-", stdin=stdin)
    assert (code, "largest difference from torch" in err) == (0, True), err
    assert "htl.task" in file.read_bytes().decode("latin1") and "points: float32 [N, 2]" in file.read_bytes().decode("latin1")
    code, again, err = htl("evaluate", "--model", file, "--baseline", model, stdin=stdin)
    assert code == 0, err
    measured, expected = values(again), values(out)
    assert {name: measured[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    assert measured["iou_mean.delta"] == pytest.approx(0, abs=1e-4)
    code, _, err = htl("export", "--model", model, "-o", tmp_path / "h.onnx", "-", "--quantize", "float16", stdin=stdin)
    assert (code, "mean IoU on" in err) == (0, True), err
    code, _, err = htl("export", "--model", model, "-o", tmp_path / "i.onnx", "-", "--quantize", "int8", stdin=stdin)
    assert (code, err) == (2, "htl export: --quantize int8 is not for models of the task points; use float16 or none\n")


def test_it_compares_with_its_own_kind_alone(htl, model, phantom, dense):
    """A model of boxes is no baseline for one of points, and does not score beside it."""
    code, _, err = htl("evaluate", phantom.rows, "--model", dense, "--baseline", model)
    assert (code, "compare models of one kind" in err) == (65, True)
    code, _, err = htl("score", phantom.rows, "--model", dense, "--pruned", model)
    assert (code, f"{dense} (task box) and {model} (task points)" in err) == (65, True)


def test_a_task_that_is_not_known(htl, phantom, dense, tmp_path):
    """A checkpoint of a task that this htl does not have is refused by name."""
    checkpoint = Checkpoint.load(dense)
    checkpoint.architecture["task"] = "lines"
    checkpoint.save(tmp_path / "m.h5")
    code, out, err = htl("evaluate", phantom.rows, "--model", tmp_path / "m.h5")
    cause = f"{tmp_path}/m.h5 is a model of the task 'lines', and known are {', '.join(registry.TASKS)}"
    assert (code, out, err) == (65, b"", f"htl evaluate: {cause}; upgrade htl\n")
