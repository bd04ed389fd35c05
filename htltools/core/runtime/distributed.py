"""Processes that share a job: the ranks that torchrun started, or this process alone.

Every rank runs the same program on the same rows. Each takes its share of every batch, and sums are taken over all of them, so
that the result is that of one process up to the order of summation; only the first rank writes.
"""

import atexit
import os
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, distributed, nn

from htltools.errors import DeviceMissing


def join(device: torch.device) -> torch.device:
    """Join the process group of torchrun, where that is not done yet. Returns the device of this process: each has a GPU of its own.

    Raises: DeviceMissing where there are more processes than GPUs.
    """
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        if device.index >= torch.cuda.device_count():
            raise DeviceMissing(f"there is no {device}: {torch.cuda.device_count()} CUDA devices here", "start fewer processes")
        torch.cuda.set_device(device)
    if is_active():
        return device
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    atexit.register(distributed.destroy_process_group)
    return device


def is_active() -> bool:
    """Whether several processes share this job."""
    return distributed.is_available() and distributed.is_initialized()


def world_size() -> int:
    """The number of processes that share this job."""
    return distributed.get_world_size() if is_active() else 1


def process_rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if is_active() else 0


def share(whole):
    """This process's share of a sequence or of the first axis of a tensor: of the samples of a batch, or of the batches."""
    return whole[process_rank() :: world_size()]


def summed(tensor: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if is_active():
        distributed.all_reduce(tensor)
    return tensor


def gathered(own: Sequence[Tensor], batches: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Values of the samples of each batch, [own share, ...] of every process, as [B, ...]; `batches` have the lengths, [B, ...]."""
    sizes = [len(batch) for batch in batches]
    whole = own[0].new_zeros(sum(sizes), *own[0].shape[1:])
    whole[torch.cat([share(places) for places in torch.arange(len(whole)).split(sizes)]).to(whole.device)] = torch.cat(list(own))
    return summed(whole).split(sizes)


def data_parallel(net: nn.Module, device: torch.device) -> Callable[..., Tensor]:
    """The net as all processes train it: gradients are means over them, batch norm is over the batches of all."""
    if not is_active():
        return net
    if device.type == "cuda":
        net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    else:
        for module in net.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = SharedBatchNorm
    warnings.filterwarnings("ignore", "Grad strides do not match")  # of 1 x 1 kernels in channels-last memory, which is no matter
    devices = [device] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(net, devices, gradient_as_bucket_view=True)


class Summed(torch.autograd.Function):
    """The sum over all processes, in the forward and in the backward pass."""

    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        return summed(tensor.clone())

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return summed(gradient.clone())


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batches of all processes on CPUs: `nn.SyncBatchNorm` is for GPUs alone."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float()  # [B, C, H, W], as under autocast
        count = values.new_tensor([values.numel() / values.shape[1]])
        sums = Summed.apply(torch.cat([values.sum((0, 2, 3)), count]))
        n, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        centred = values - mean.view(1, -1, 1, 1)
        variance = Summed.apply(centred.square().sum((0, 2, 3))) / n
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)
        gain = self.weight * (variance + self.eps).rsqrt()
        return torch.addcmul(self.bias.view(1, -1, 1, 1), centred, gain.view(1, -1, 1, 1)).to(x.dtype)
