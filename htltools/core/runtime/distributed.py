"""Processes that share a job: the ranks that torchrun started, or this process alone.

Every rank runs the same program on the same rows. Batches are dealt out among them and sums are taken over all of them, so
that the result is that of one process up to the order of summation; only the first rank writes.
"""

import atexit
import os
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, distributed, nn

from htltools.errors import DeviceMissing


def join(device: torch.device) -> torch.device:
    """Meet the other processes of torchrun, and the device that is this one's: each takes a GPU of its own.

    Once they have met, it only names the device.

    Raises: DeviceMissing where there are more processes than GPUs.
    """
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        if device.index >= torch.cuda.device_count():
            raise DeviceMissing(f"there is no {device}: {torch.cuda.device_count()} CUDA devices here", "start fewer processes")
        torch.cuda.set_device(device)
    if together():
        return device
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    atexit.register(distributed.destroy_process_group)
    return device


def together() -> bool:
    """Whether several processes share this job."""
    return distributed.is_available() and distributed.is_initialized()


def count() -> int:
    """How many processes share this job."""
    return distributed.get_world_size() if together() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if together() else 0


def share(turns):
    """The part of this process of whatever has one entry (of its first axis) for each sample of a batch, or each batch."""
    return turns[rank() :: count()]


def summed(tensor: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if together():
        distributed.all_reduce(tensor)
    return tensor


def gathered(own: Tensor, count: int) -> Tensor:
    """Batches of `count` samples from the parts of all processes (see `share`): [S, own part, ...] to [S, count, ...]."""
    whole = own.new_zeros(len(own), count, *own.shape[2:])
    share(whole.transpose(0, 1))[:] = own.transpose(0, 1)
    return summed(whole)


def trained_together(net: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The net as all processes train it: gradients are means over them, batch norm sees the batches of all."""
    if not together():
        return net
    if device.type == "cuda":
        net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    else:
        for module in net.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = SharedBatchNorm
    warnings.filterwarnings("ignore", "Grad strides do not match")  # of 1 x 1 kernels in channels-last memory, which is no matter
    places = [device] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(net, places, gradient_as_bucket_view=True)


class Summed(torch.autograd.Function):
    """The sum over all processes, which gradients pass through as well."""

    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        return summed(tensor.clone())

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return summed(gradient.clone())


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, where torch has none: `nn.SyncBatchNorm` is for GPUs alone."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float()  # [B, C, H, W], as under autocast
        here = values.new_tensor([values.numel() / values.shape[1]])
        sums = Summed.apply(torch.cat([values.sum((0, 2, 3)), here]))
        n, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        centred = values - mean.view(1, -1, 1, 1)
        variance = Summed.apply(centred.square().sum((0, 2, 3))) / n
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)
        gain = self.weight * (variance + self.eps).rsqrt()
        return torch.addcmul(self.bias.view(1, -1, 1, 1), centred, gain.view(1, -1, 1, 1)).to(x.dtype)
