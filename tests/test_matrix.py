"""Tasks by commands: what a task supports works in every command that has it, and anything else is refused in one line."""

import json
from types import SimpleNamespace

import pytest

from htltools.formats.rows.jsonlines import joined_lines
from htltools.tasks.registry import TASKS

NETS = {
    "box": ("--arch", "compact"),
    "mask": ("--arch", "compact_unet"),
    "detect": ("--arch", "compact_fcos"),
    "class_map": ("--supervision", "weak"),
}
QUICK = "--epochs", 1, "--batch-size", 16, "-q"
OPTIONS = {  # command lines; {name} is a file
    "attend": ("train", "{rows}", "-o", "{out}", *QUICK, "--attend", "adaptive", "{net}"),
    "look": ("train", "{rows}", "-o", "{out}", *QUICK, "--attend", "look", "{net}"),
    "semi": ("train", "{half}", "-o", "{out}", *QUICK, "{net}", "--supervision", "semi"),
    "grand": ("score", "{rows}", "-q", "--model", "{dense}", "--pruned", "{pruned}", "--also", "grand"),
    "dropout_disagreement": ("score", "{rows}", "-q", "--model", "{dense}", "--pruned", "{pruned}", "--also", "dropout_disagreement"),
    "mirror_disagreement": ("score", "{rows}", "-q", "--model", "{dense}", "--also", "mirror_disagreement"),
    "look_disagreement": ("score", "{rows}", "-q", "--model", "{looking}", "--also", "look_disagreement"),
    "soft_dice_doubt": ("score", "{rows}", "-q", "--model", "{dense}", "--also", "soft_dice_doubt"),
    "channel": (
        "prune",
        "{rows}",
        "-q",
        "--model",
        "{dense}",
        "-o",
        "{out}",
        "--method",
        "channel",
        "--sparsity",
        "0.3",
        "--recover",
        "none",
    ),
    "int8": ("export", "{rows}", "-q", "--model", "{dense}", "-o", "{onnx}", "--quantize", "int8", "--max-loss", 1),
}


def test_the_matrix_has_all_tasks_and_options():
    """Every task has a net here, and what any of them supports a command line."""
    assert set(NETS) == set(TASKS)
    assert set().union(*(task.supports for task in TASKS.values())) == {*OPTIONS, "weak"}


@pytest.fixture(scope="module", params=TASKS)
def task(request, phantom, htl, tmp_path_factory):
    """A task with a model of it, trained for one epoch, and a pruned copy: `name`, `net`, and paths."""
    folder, net = tmp_path_factory.mktemp(request.param), NETS[request.param]
    half = [{key: value for key, value in row.items() if key != "boxes" or i % 2} for i, row in enumerate(phantom.samples)]
    (folder / "half.jsonl").write_bytes(joined_lines(half))
    dense, pruned = folder / "dense.h5", folder / "pruned.h5"
    once = ("--looks", 1) if request.param in ("box", "mask") else ()  # an ONNX file of several looks takes long to write
    for command in (
        ("train", phantom.rows, "-o", dense, *QUICK, *net, *once),
        ("prune", phantom.rows, "-q", "--model", dense, "-o", pruned, "--sparsity", 0.3, "--recover", "none"),
    ):
        code, _, err = htl(*command)
        assert code == 0, err
    return SimpleNamespace(name=request.param, net=net, rows=phantom.rows, half=folder / "half.jsonl", dense=dense, pruned=pruned)


def looking_twice(path):
    """A copy of a model that looks twice, whatever it was trained for."""
    from htltools.formats.models.checkpoint import Checkpoint

    checkpoint = Checkpoint.load(path)
    checkpoint.architecture["looks"] = {"count": 2, "window": 1.4, "average": False, "agree": 2.0}
    checkpoint.save(path.with_name("looking.h5"))
    return path.with_name("looking.h5")


@pytest.mark.parametrize("option", [pytest.param(name, marks=[pytest.mark.slow] * (name == "int8")) for name in OPTIONS])
def test_what_a_task_supports_works_and_nothing_else(htl, task, option, tmp_path):
    """An option that a task supports succeeds and writes its output; any other is refused by 2 or 65 in one line, and writes nothing."""
    files = {"rows": task.rows, "half": task.half, "dense": task.dense, "pruned": task.pruned}
    files |= {"out": tmp_path / "out.h5", "onnx": tmp_path / "out.onnx", "looking": looking_twice(task.dense)}
    words = [part for word in OPTIONS[option] for part in (task.net if word == "{net}" else [word])]
    code, out, err = htl(*(str(word).format(**files) for word in words))
    if option in TASKS[task.name].supports:
        assert code == 0, err
        assert words[0] != "score" or f'"{option}":'.encode() in out
        assert words[0] == "score" or {"out.h5", "out.onnx"} & {path.name for path in tmp_path.iterdir()}
    elif option != "semi" or task.name == "detect":  # the flag --supervision makes a task of boxes of the others
        assert code in (2, 65)
        assert (out, err.count("\n"), list(tmp_path.iterdir())) == (b"", 1, []), err


@pytest.mark.slow
def test_every_task_goes_through_every_command(htl, task, tmp_path):
    """Whatever a model predicts, its hardness, metrics, ONNX file and page come from the same commands."""
    (tmp_path / "scored.jsonl").write_bytes(succeeded(htl, "score", task.rows, "-q", "--model", task.dense, "--pruned", task.pruned))
    rows = map(json.loads, (tmp_path / "scored.jsonl").read_text().splitlines())
    hardness = [row["hardness"] for row in rows if "id" in row]
    assert len(hardness) == 80 and all({"pruned_disagreement", "pruned_shift", "random"} <= set(columns) for columns in hardness)
    compared = succeeded(htl, "evaluate", tmp_path / "scored.jsonl", "-q", "--model", task.dense, "--baseline", task.pruned)
    assert {"iou_mean", "iou_mean.delta"} <= {json.loads(line)["metric"] for line in compared.splitlines()}
    succeeded(htl, "export", "-q", "--model", task.dense, "-o", tmp_path / "m.onnx")
    for model in task.dense, tmp_path / "m.onnx":
        predicted = [json.loads(line) for line in succeeded(htl, "predict", task.rows, "-q", "--model", model).splitlines()]
        doubts = [row["hardness"].get("mirror_disagreement") for row in predicted if "id" in row]
        assert len(doubts) == 80 and [doubt is not None for doubt in doubts] == [task.name != "class_map"] * 80
    measured = succeeded(htl, "evaluate", task.rows, "-q", "--model", task.dense, "--doubt", "random")
    assert "e_aurc" in {json.loads(line)["metric"] for line in measured.splitlines()}
    exported = succeeded(htl, "evaluate", tmp_path / "scored.jsonl", "-q", "--model", tmp_path / "m.onnx")
    assert json.loads(exported.splitlines()[0])["value"] == pytest.approx(json.loads(compared.splitlines()[0])["value"], abs=1e-3)
    succeeded(htl, "report", tmp_path / "scored.jsonl", "-q", "-o", tmp_path / "r.html", "--gallery", 10)
    assert succeeded(htl, "view", tmp_path / "scored.jsonl", "-q", "--to", "table", "--limit", 3).count(b"\n") == 4


@pytest.mark.parametrize("name", ["box", "detect"])
def test_coco_results(htl, phantom, name, tmp_path):
    """Predictions of another tool stand for models: as one box for rows with one, else as objects."""
    samples = [row | ({"labels": ["object"] * len(row["boxes"])} if name == "detect" else {}) for row in phantom.samples]
    (tmp_path / "rows.jsonl").write_bytes(joined_lines(samples))
    results = [
        {"image_id": row["id"], "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": 0.9}
        for row in samples
        for x0, y0, x1, y1 in row["boxes"]
    ]
    (tmp_path / "p.json").write_text(json.dumps(results))
    out = succeeded(htl, "evaluate", tmp_path / "rows.jsonl", "-q", "--predictions", tmp_path / "p.json")
    assert {json.loads(line)["metric"]: json.loads(line)["value"] for line in out.splitlines()}["iou_mean"] == pytest.approx(1)


def succeeded(htl, *args, stdin=b"") -> bytes:
    """What a call of htl writes that must succeed."""
    code, out, err = htl(*args, stdin=stdin)
    assert code == 0, err
    return out
