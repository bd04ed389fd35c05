"""Pruning a copy of a localizer: which weights go, and how the rest recovers."""

import copy
from collections.abc import Iterable

import numpy as np
import torch
from torch import nn
from torch.nn.utils import prune
from torch.optim.swa_utils import update_bn

from htltools.core.localizer import Localizer

METHODS = ("l1", "layer-l1", "random", "channel")
SWEEP = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3)  # sparsities that the health gate tries, from the largest
HEALTHY = 0.9  # share of the dense validation IoU that a healthy pruned net keeps


def prunable(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """The weights that pruning may cut: those of convolutions and linear layers."""
    return [(module, "weight") for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


def masked(model: Localizer, method: str, sparsity: float, seed: int = 0) -> Localizer:
    """A copy of the model in which a share of the prunable weights is held at zero, also while it trains on.

    `l1`: the smallest magnitudes of all layers together. `layer-l1`: the same share of each layer. `random`: any weights,
    the control for whether it matters which ones go. The copy carries torch's pruning hooks until `baked`.
    """
    model = copy.deepcopy(model)
    parameters = prunable(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        match method:
            case "l1":
                prune.global_unstructured(parameters, prune.L1Unstructured, amount=sparsity)
            case "random":
                prune.global_unstructured(parameters, prune.RandomUnstructured, amount=sparsity)
            case "layer-l1":
                for module, name in parameters:
                    prune.l1_unstructured(module, name, sparsity)
            case _:
                raise ValueError(f"no method {method!r}")
    return model


def baked(model: Localizer) -> Localizer:
    """The model, changed in place, with its zeros written into plain weights and the pruning hooks gone."""
    for module, name in prunable(model):
        if prune.is_pruned(module):
            prune.remove(module, name)
            with torch.no_grad():
                getattr(module, name).add_(0.0)  # -0.0, which a negative weight leaves, to 0.0
    return model


def sparsity_of(model: nn.Module, weights_before: int | None = None) -> float:
    """Share of the prunable weights that is zero, or gone: `weights_before` counts those of the dense model."""
    tensors = [getattr(module, name).detach() for module, name in prunable(model)]
    left = sum(int(torch.count_nonzero(tensor)) for tensor in tensors)
    return 1 - left / (weights_before or sum(tensor.numel() for tensor in tensors))


def prunable_count(model: nn.Module) -> int:
    """How many weights pruning may cut."""
    return sum(getattr(module, name).numel() for module, name in prunable(model))


def recalibrate(model: Localizer, batches: Iterable[np.ndarray], device: torch.device) -> None:
    """Renew the batch-norm statistics of the model, in place, from pictures uint8 [B, H, W, C]; weights stay."""
    update_bn((torch.from_numpy(batch) for batch in batches), model, device=device)
    model.eval()
