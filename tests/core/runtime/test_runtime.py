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


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16"])
def test_autocast(precision):
    """Within `autocast` a product of matrices has the type of the runtime."""
    runtime, x = Runtime("cpu", precision), torch.ones(2, 2)
    with runtime.autocast():
        assert (x @ x).dtype == runtime.dtype


def test_another_batch_size():
    """`at` changes the batch size of a copy, and nothing else."""
    runtime = Runtime("cpu", "bf16", 8, 3, ("a.b:c",))
    assert runtime.at(5) == Runtime("cpu", "bf16", 5, 3, ("a.b:c",))
    assert runtime.batch_size == 8
    with pytest.raises(FrozenInstanceError):
        runtime.batch_size = 5
