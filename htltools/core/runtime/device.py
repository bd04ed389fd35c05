"""The device, and the type of the heavy arithmetic on it."""

import torch

from htltools.errors import DeviceMissing, UsageError


def chosen_device(name: str) -> torch.device:
    """The device of a name: auto (CUDA where there is a GPU), cpu, cuda or cuda:N.

    Raises: DeviceMissing where CUDA was asked for and cannot be used; UsageError for another name.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    refusal = UsageError(f"a device is auto, cpu, cuda or cuda:N, not {name!r}")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise refusal from None
    if device.type not in ("cpu", "cuda"):
        raise refusal
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise DeviceMissing("no CUDA device can be used here", "use cpu or auto")
        if (device.index or 0) >= torch.cuda.device_count():
            raise DeviceMissing(f"there is no {name}: {torch.cuda.device_count()} CUDA devices here")
    return device


def chosen_dtype(precision: str) -> torch.dtype:
    """The type of the heavy arithmetic for auto, fp32, tf32 or bf16; tf32 is fp32 with shorter factors, see `set_cuda_arithmetic`.

    auto is fp32, also where bf16 is faster: over five seeds a net trained in bf16 had .0017 less test IoU than one trained in
    fp32 from the same start (compact, 64 pixels, 2,048 images of HAM10000, head in fp32; less in every seed), and .0006 more
    validation IoU.
    """
    return torch.bfloat16 if precision == "bf16" else torch.float32


def set_cuda_arithmetic(precision: str) -> None:
    """Let CUDA compute the same each time, in this process, and with all 24 bits of fp32 unless tf32 is asked for.

    torch's own settings let cuDNN take algorithms that add in no fixed order, so that the same seed gives other weights, and cut the
    factors of convolutions to 11 bits (tf32), so that a score depends on the batch that an image is in. With them, tests that hold
    equal seeds and equal scores against each other failed on an H200.
    """
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def multiplies_bf16_fast(device: torch.device) -> bool:
    """Whether bf16 is worth a try: tensor cores (compute capability 8 and up), or a CPU with AMX. Without AMX, AVX-512's bf16 is slower."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", None)  # torch has no public name for it that all versions know
    return bool(has_amx and has_amx())
