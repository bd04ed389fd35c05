"""Where and how models run."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from htltools.core.runtime.runtime import Runtime
from htltools.errors import UsageError


def test_device_and_type_are_resolved_when_asked():
    """A wrong name of a device is refused where the device is first used, and not before."""
    runtime = Runtime("gpu")
    with pytest.raises(UsageError, match="a device is auto, cpu, cuda or cuda:N, not 'gpu'"):
        _ = runtime.device
    assert (Runtime("cpu").device, Runtime("cpu").dtype, Runtime("cpu", "bf16").dtype) == (
        torch.device("cpu"),
        torch.float32,
        torch.bfloat16,
    )


@pytest.mark.parametrize("precision", ["auto", "fp32", "tf32", "bf16"])
def test_autocast(precision):
    """Within `autocast` a product of matrices has the type of the runtime."""
    runtime, x = Runtime("cpu", precision), torch.ones(2, 2)
    with runtime.autocast():
        assert (x @ x).dtype == runtime.dtype


@pytest.fixture
def cuda_arithmetic(monkeypatch):
    """torch's settings by name, as they are with one CUDA device as far as torch says; put back in the end."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    places = {"deterministic": (cudnn, "deterministic"), "convolutions": (cudnn, "allow_tf32"), "products": (matmul, "allow_tf32")}
    before = {name: getattr(*place) for name, place in places.items()}
    yield lambda: {name: getattr(*place) for name, place in places.items()}
    for name, place in places.items():
        setattr(*place, before[name])


@pytest.mark.parametrize(("precision", "short"), [("auto", False), ("fp32", False), ("tf32", True), ("bf16", False)])
def test_arithmetic_of_a_gpu(cuda_arithmetic, precision, short):
    """On a GPU cuDNN computes the same each time, and with all bits of fp32 unless tf32 was asked for."""
    assert Runtime("cuda", precision).device.type == "cuda"
    assert cuda_arithmetic() == {"deterministic": True, "convolutions": short, "products": short}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_convolutions_on_a_gpu_are_those_of_a_cpu():
    """A convolution on a GPU has the precision of fp32: shorter factors would be off by a thousandth."""
    x, weights, device = torch.rand(8, 64, 32, 32), torch.rand(64, 64, 3, 3), Runtime("cuda").device
    there, here = torch.conv2d(x.to(device), weights.to(device)).cpu(), torch.conv2d(x.double(), weights.double())
    assert ((there - here).abs() / here).max() < 1e-5


def test_another_batch_size():
    """`at` changes the batch size of a copy, and nothing else."""
    runtime = Runtime("cpu", "bf16", 8, 3, ("a.b:c",))
    assert runtime.at(5) == Runtime("cpu", "bf16", 5, 3, ("a.b:c",))
    assert runtime.batch_size == 8
    with pytest.raises(FrozenInstanceError):
        runtime.batch_size = 5
