"""A net of the user's own through the commands: `package.module:function`."""

import sys
from pathlib import Path

import pytest

from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.models.onnx import OnnxModel
from htltools.formats.rows.jsonlines import split_lines

EXAMPLES = Path(__file__).parents[2] / "examples"
NAME = "own_model:small"


@pytest.fixture(scope="module")
def own(htl, phantom):
    """A localizer with the net of examples/own_model.py, trained for an epoch on the phantom rows: path of its checkpoint."""
    path = phantom.folder / "own.h5"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        code, _, err = htl("train", phantom.rows, "-q", "-o", path, "--arch", NAME, "--attend", "none", "--epochs", 1, "--batch-size", 16)
    assert code == 0, err
    return path


def test_a_checkpoint_remembers_its_name(own):
    """The checkpoint holds the name of the function and the weights of its net, and no code."""
    checkpoint = Checkpoint.load(own)
    assert checkpoint.architecture == {"task": "box", "name": NAME, "size": [32, 32, 3]}
    assert checkpoint.weights["net.5.weight"].shape == (4, 64 * 2 * 2)
    assert 0 <= checkpoint.metrics["val_iou"] <= 1


@pytest.mark.parametrize("command", ["prune", "score", "evaluate", "export", "report", "train"])
def test_nothing_runs_by_the_word_of_a_file(htl, phantom, own, tmp_path, command, monkeypatch):
    """Without leave no command imports the code that a checkpoint names: 65, how to allow it, and nothing written."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, "own_model", raising=False)
    more = {
        "prune": ["-o", tmp_path / "p.h5", "--model", own],
        "score": ["--model", own, "--pruned", own],
        "evaluate": ["--model", own],
        "report": ["-o", tmp_path / "r.html", "--model", own, "--pruned", own],
        "export": ["-o", tmp_path / "o.onnx", "--model", own],
        "train": ["-o", tmp_path / "t.h5", "--init", own],
    }[command]
    code, out, err = htl(command, phantom.rows, *more, "-q")
    assert (code, out) == (65, b"")
    cause = f"{own}: its net is code on your machine by the name {NAME!r}, and no code runs because a file names it"
    assert err == f"htl {command}: {cause}; if you know that code and want it to run, name it with --trust\n"
    assert list(tmp_path.iterdir()) == []
    assert "own_model" not in sys.modules


def test_with_leave_it_is_a_model_like_others(htl, phantom, own, tmp_path, monkeypatch):
    """--trust, or HTL_TRUST, with that name lets every command use it: it is pruned, scored, measured, shown and exported."""
    monkeypatch.syspath_prepend(EXAMPLES)
    pruned, onnx = tmp_path / "p.h5", tmp_path / "o.onnx"
    cut = ["prune", phantom.rows, "-q", "-o", pruned, "--model", own, "--sparsity", 0.5, "--recover", "none"]
    assert htl(*cut, "--trust", f"other:net,{NAME}")[0] == 0
    cuts = [weights for name, weights in Checkpoint.load(pruned).weights.items() if name.endswith("0.weight") or "5.weight" in name]
    assert sum((weights == 0).sum() for weights in cuts) / sum(weights.size for weights in cuts) == pytest.approx(0.5, abs=0.01)
    monkeypatch.setenv("HTL_TRUST", NAME)
    code, out, err = htl("score", phantom.rows, "-q", "--model", own, "--pruned", pruned, "--also", "grand")
    assert code == 0, err
    assert all(line["hardness"]["grand"] > 0 for line in split_lines(out) if "id" in line)
    assert htl("evaluate", phantom.rows, "-q", "--model", own, "--baseline", pruned)[0] == 0
    code, _, err = htl("report", phantom.rows, "-q", "-o", tmp_path / "r.html", "--model", own, "--pruned", pruned, "--trust", NAME)
    assert code == 0, err
    assert "<td>dense</td><td>own.h5</td>" in (tmp_path / "r.html").read_text()
    assert htl("export", "-q", "-o", onnx, "--model", own)[0] == 0
    assert OnnxModel(onnx, "cpu").size == [32, 32, 3]
    code, out, err = htl("score", phantom.rows, "-q", "--model", own, "--pruned", pruned, "--also", "dropout_disagreement")
    assert (code, out) == (65, b"")
    assert (
        err
        == f"htl score: {own} has no box head for --also dropout_disagreement; end your own net in htltools.core.nets.box_head.BoxHead\n"
    )
