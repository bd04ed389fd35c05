"""What the machine can do: the device and the arithmetic that suit it."""

import torch

from htltools.errors import DeviceMissing, UsageError


def chosen_device(name: str) -> torch.device:
    """The device for auto, cpu, cuda or cuda:N.

    Raises: DeviceMissing where CUDA was asked for and cannot be used; UsageError for another name.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device takes auto, cpu, cuda or cuda:N, not {name!r}") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device takes auto, cpu, cuda or cuda:N, not {name!r}")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise DeviceMissing("no CUDA device can be used here", "use --device cpu or auto")
        if (device.index or 0) >= torch.cuda.device_count():
            raise DeviceMissing(f"there is no {name}: {torch.cuda.device_count()} CUDA devices here")
    return device


def chosen_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type of the heavy arithmetic for auto, fp32 or bf16.

    auto: bf16 on GPUs with bf16 tensor cores (compute capability 8 and up), fp32 elsewhere. CPUs with AMX multiply bf16
    faster, but `auto` leaves them at fp32 until equal accuracy has been shown there.
    """
    if precision == "auto":
        fast = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if fast else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
