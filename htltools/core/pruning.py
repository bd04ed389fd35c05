"""Pruning a copy of a localizer: which weights go, and how the rest recovers."""

import copy
from collections.abc import Iterable, Sequence

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

    Raises: ValueError for another method.
    """
    model = copy.deepcopy(model)
    parameters = prunable(model)
    weights = [getattr(module, name).detach().cpu().numpy() for module, name in parameters]
    match method:
        case "l1":
            kept = largest(weights, sparsity)
        case "layer-l1":
            kept = [largest([weight], sparsity)[0] for weight in weights]
        case "random":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                prune.global_unstructured(parameters, prune.RandomUnstructured, amount=sparsity)
            return model
        case _:
            raise ValueError(f"no method {method!r}")
    for (module, name), stays in zip(parameters, kept):
        prune.custom_from_mask(module, name, torch.from_numpy(stays).to(getattr(module, name).device))
    return model


def largest(weights: Sequence[np.ndarray], sparsity: float) -> list[np.ndarray]:
    """Which weights stay where the smallest magnitudes of all arrays together go: bool, one array in the shape of each.

    Exactly round(sparsity * count) go, `sparsity` in [0, 1); of equal magnitudes the first ones. As torch's
    `global_unstructured` with `L1Unstructured`, but in the time of a few passes over the weights: numpy partitions by vector
    instructions, in place, where torch's `topk` all but sorts.

    >>> [kept.tolist() for kept in largest([np.array([0.1, -0.4]), np.array([[-0.2], [0.3]])], 0.5)]
    [[False, True], [[False], [True]]]
    """
    sizes = [weight.size for weight in weights]
    magnitudes = np.empty(sum(sizes), weights[0].dtype)
    for weight, place in zip(weights, np.split(magnitudes, np.cumsum(sizes)[:-1])):
        np.abs(weight.ravel(), out=place)
    if not (count := round(sparsity * len(magnitudes))):
        return [np.ones_like(weight, bool) for weight in weights]
    magnitudes.partition(count - 1)
    limit = magnitudes[count - 1]
    kept = [np.abs(weight) > limit for weight in weights]
    if (magnitudes[count:] == limit).any():
        keep_later_ties(weights, kept, limit, np.count_nonzero(magnitudes[:count] == limit))
    return kept


def keep_later_ties(weights: Sequence[np.ndarray], kept: Sequence[np.ndarray], limit: float, gone: int) -> None:
    """Of the weights whose magnitude is exactly the limit only the first `gone` go; `kept` changes in place."""
    for weight, stays in zip(weights, kept):
        ties = np.argwhere(np.abs(weight) == limit)  # [T, axes]
        stays[tuple(ties[gone:].T)] = True
        gone = max(gone - len(ties), 0)


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
