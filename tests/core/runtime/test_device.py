"""The device and the type of its arithmetic."""

import pytest
import torch

from htltools.core.runtime.device import chosen_device, chosen_dtype, multiplies_bf16_fast
from htltools.errors import DeviceMissing, UsageError


@pytest.fixture
def no_cuda(monkeypatch):
    """A machine without CUDA."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def cuda(monkeypatch):
    """A machine with two CUDA devices, as far as torch says."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_without_cuda(no_cuda):
    """auto is the CPU, and CUDA fails with the remedy."""
    assert chosen_device("auto") == chosen_device("cpu") == torch.device("cpu")
    with pytest.raises(DeviceMissing, match="no CUDA device can be used here; use cpu or auto"):
        chosen_device("cuda")


def test_with_cuda(cuda):
    """auto is CUDA, a device is chosen by number, and a number that is not there is refused."""
    assert chosen_device("auto").type == "cuda"
    assert chosen_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceMissing, match="there is no cuda:2: 2 CUDA devices here"):
        chosen_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "mps", "", "cuda:x", "cpu:", "meta"])
def test_other_names_are_refused(name):
    """Any other name of a device is refused."""
    with pytest.raises(UsageError) as caught:
        chosen_device(name)
    assert str(caught.value) == f"a device is auto, cpu, cuda or cuda:N, not {name!r}"


def test_arithmetic():
    """auto is fp32; other precisions are taken as they are named."""
    assert chosen_dtype("auto") == chosen_dtype("fp32") == torch.float32
    assert chosen_dtype("bf16") == torch.bfloat16


def test_where_bf16_is_fast(cuda, monkeypatch):
    """GPUs with tensor cores for it and CPUs with AMX multiply bf16 fast; where torch does not know, it is slow."""
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    for capability, fast in {(8, 0): True, (9, 0): True, (7, 5): False}.items():
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, capability=capability: capability)
        assert multiplies_bf16_fast(gpu) is fast
    for has_amx in True, False:
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda has_amx=has_amx: has_amx, raising=False)
        assert multiplies_bf16_fast(cpu) is has_amx
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert multiplies_bf16_fast(cpu) is False
