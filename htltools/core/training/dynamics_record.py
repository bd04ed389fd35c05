"""Training dynamics: how the predictions of a net in training fit its samples, epoch by epoch, without a forward pass of their own."""

from collections.abc import Sequence

import torch
from torch import Tensor

from htltools.core.geometry.box_loss import box_iou


class Record:
    """IoU and margin of N training samples in each of E epochs: float32 [E, N] each, NaN where a sample was not seen.

    The margin is the IoU of a prediction with its own box, less the largest IoU with the box of any other sample of its batch. A
    sample that is seen several times in an epoch has the mean.
    """

    def __init__(self, count: int):
        self.iou, self.margin = torch.empty(0, count), torch.empty(0, count)

    def add_boxes(self, samples: Sequence[Tensor], boxes: Sequence[Tensor]) -> None:
        """Record an epoch: samples int64 [B] of each batch, and their predicted and annotated boxes [B, 2, 4] as shares of the sides."""
        batches = [(chosen.to(own.device), own[:, 0].clamp(0, 1), own[:, 1]) for chosen, own in zip(samples, boxes)]
        iou, margin = zip(*(margins(*batch) for batch in batches))
        self.add(torch.cat([chosen for chosen, *_ in batches]), torch.cat(iou), torch.cat(margin))

    def add(self, samples: Tensor, iou: Tensor, margin: Tensor) -> None:
        """Record an epoch of known IoU and margin: samples int64 [N] and float32 [N] twice."""
        self.iou = torch.cat([self.iou, sample_means(samples, iou, self.iou.shape[1])])
        self.margin = torch.cat([self.margin, sample_means(samples, margin, self.iou.shape[1])])

    def state_dict(self) -> dict[str, Tensor]:
        """State to resume from."""
        return {"iou": self.iou, "margin": self.margin}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        self.iou, self.margin = state_dict["iou"], state_dict["margin"]


def margins(samples: Tensor, predicted: Tensor, annotated: Tensor) -> tuple[Tensor, Tensor]:
    """IoU in [0, 1] and margin in [-1, 1] of each prediction of a batch: samples int64 [B], boxes [B, 4] twice, give float32 [B] twice."""
    every = box_iou(predicted.unsqueeze(1), annotated)  # [B, B]
    own = every.diagonal()
    others = every.masked_fill(samples.unsqueeze(1) == samples, 0).amax(1)
    return own, own - others


def sample_means(samples: Tensor, values: Tensor, count: int) -> Tensor:
    """The mean value of each of N samples: int64 and float32 [n] give float32 [1, N] on the CPU, NaN for a sample without values."""
    total, times = torch.zeros(2, count, dtype=torch.float64, device=samples.device)
    total.index_add_(0, samples, values.double())
    times.index_add_(0, samples, torch.ones_like(values, dtype=torch.float64))
    return (total / times).float().cpu().unsqueeze(0)
