"""`train --init FILE` with weights that torch.save wrote, as other training programs leave them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from htltools.formats.models.checkpoint import Checkpoint

EXAMPLES = Path(__file__).parents[2] / "examples"
NAME = "own_model:small"


@pytest.fixture
def own_net(monkeypatch):
    """The net of examples/own_model.py for the phantom images, with weights of its own."""
    monkeypatch.syspath_prepend(EXAMPLES)
    from own_model import small

    torch.manual_seed(7)
    return small(32, 32, 3)


def start(htl, phantom, out: Path, *flags) -> tuple[int, str]:
    """Exit code and messages of a training of one epoch that hardly moves."""
    code, _, err = htl("train", phantom.rows, "-o", out, "--attend", "none", "--epochs", 1, "--lr", 1e-9, "--batch-size", 16, *flags)
    return code, err


def test_a_state_dict_of_the_same_net(htl, phantom, own_net, tmp_path):
    """A net of one's own starts from its weights, also where they were saved beside other things and under DataParallel's prefix."""
    state = own_net.state_dict()
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "w.pt")
    code, err = start(htl, phantom, tmp_path / "m.h5", "--arch", NAME, "--init", tmp_path / "w.pt")
    assert code == 0, err
    assert f"htl train: --init {tmp_path / 'w.pt'}: {len(state)} of the {len(state)} tensors of the net are taken\n" in err
    weights = Checkpoint.load(tmp_path / "m.h5").weights
    np.testing.assert_allclose(weights["net.5.weight"], state["5.weight"].numpy(), atol=1e-6)


def test_a_classifier_without_its_head(htl, phantom, tmp_path):
    """A backbone starts from a classifier of the same kind: the box head is new, which is said, with what is not used."""
    from torchvision.models import mobilenet_v3_small

    torch.manual_seed(7)
    classifier = mobilenet_v3_small(num_classes=2)
    torch.save(classifier.state_dict(), tmp_path / "w.pt")
    code, err = start(htl, phantom, tmp_path / "m.h5", "--arch", "mobilenet_v3_small", "--init", tmp_path / "w.pt")
    assert code == 0, err
    assert "these start anew: classifier.3." in err and "not used: classifier.3.weight, classifier.3.bias\n" in err
    first = Checkpoint.load(tmp_path / "m.h5").weights["net.features.0.0.weight"]
    np.testing.assert_allclose(first, classifier.features[0][0].weight.detach().numpy(), atol=1e-6)


class Planted:
    """What a pickle would run: it would write a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_refused(htl, phantom, own_net, tmp_path):
    """Code in a file does not run; weights of another net, without --arch, damaged or not numbers are refused in one line."""
    torch.save({"state_dict": own_net.state_dict(), "x": Planted(tmp_path / "ran")}, tmp_path / "code.pt")
    torch.save({f"other.{i}": torch.zeros(2) for i in range(5)}, tmp_path / "other.pt")
    torch.save({name: value * float("nan") for name, value in own_net.state_dict().items()}, tmp_path / "nan.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "other.pt").read_bytes()[:200])
    expected = {
        "code": "holds Python objects beside tensors; write the state dict alone: torch.save(net.state_dict(), FILE)",
        "list": "holds no tensors by name; write the state dict alone: torch.save(net.state_dict(), FILE)",
        "cut": "is no file of torch.save, or is damaged; write the state dict alone: torch.save(net.state_dict(), FILE)",
        "nan": "are not all numbers",
        "other": "has 0 of the 26 tensors of the net; missing: 0.0.weight, 0.1.weight, 0.1.bias and 23 more; "
        "in the file: other.0, other.1, other.2 and 2 more; name the net with --arch that the weights are of",
    }
    for name, reason in expected.items():
        code, err = start(htl, phantom, tmp_path / "m.h5", "--arch", NAME, "--init", tmp_path / f"{name}.pt", "-q")
        assert (code, err.count("\n")) == (65, 1) and err.endswith(f"{reason}\n"), err
    code, err = start(htl, phantom, tmp_path / "m.h5", "--init", tmp_path / "other.pt")
    assert (code, err) == (2, f"htl train: --init {tmp_path / 'other.pt'} holds weights without their net; name it with --arch\n")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "m.h5").exists()
    sys.modules.pop("own_model", None)
