"""Where and how models run."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from htltools.processes import several_processes

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Runtime:
    """The device, the arithmetic and the batch size of predictions, as flags name them; torch is imported when they are first used.

    device_name: auto, cpu, cuda or cuda:N. precision: auto, fp32, tf32 or bf16. batch_size: images at a time, wherever a model only
    predicts. seed: of everything random. trusted: names of the user's own nets that may run.
    """

    device_name: str = "auto"
    precision: str = "auto"
    batch_size: int = 256
    seed: int = 0
    trusted: tuple[str, ...] = ()

    @cached_property
    def device(self) -> "torch.device":
        """The device. Processes that torchrun started join their group here, and each takes a GPU of its own.

        A GPU's arithmetic is set for the whole process, see `set_cuda_arithmetic`.

        Raises: DeviceMissing, UsageError.
        """
        from htltools.core.runtime import distributed
        from htltools.core.runtime.device import chosen_device, set_cuda_arithmetic

        device = chosen_device(self.device_name)
        if device.type == "cuda":
            set_cuda_arithmetic(self.precision)
        return distributed.join(device) if several_processes() else device

    @cached_property
    def dtype(self) -> "torch.dtype":
        """The type of the heavy arithmetic."""
        from htltools.core.runtime.device import chosen_dtype

        return chosen_dtype(self.precision)

    def autocast(self):
        """A context in which heavy arithmetic has this type."""
        import torch

        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def at(self, batch_size: int) -> "Runtime":
        """The same with another batch size."""
        return replace(self, batch_size=batch_size)
