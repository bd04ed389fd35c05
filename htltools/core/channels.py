"""Structured pruning: whole channels go, and the net really becomes smaller. Through Torch-Pruning's dependency graph."""

import copy
import warnings

import torch
from torch import nn

from htltools.core.localizer import Localizer
from htltools.core.pruning import prunable, prunable_count

BISECTIONS = 8


def narrowed(model: Localizer, sparsity: float, size: list[int]) -> Localizer:
    """A copy of the model without a share of its channels, the ones of the smallest L1 norm across coupled layers.

    The share of channels is searched so that `sparsity` of the prunable weights go, as near as whole channels allow.
    `size`: [H, W, C] of its input. The four outputs stay.

    Reference: Fang et al., DepGraph, CVPR 2023, by its authors' library.
    """
    model = model.to("cpu")
    total = prunable_count(model)
    low, high = 0.0, 1.0
    best, best_error = copy.deepcopy(model), sparsity
    for _ in range(BISECTIONS if sparsity else 0):
        ratio = (low + high) / 2
        candidate = without_channels(model, ratio, size)
        gone = 1 - prunable_count(candidate) / total
        if abs(gone - sparsity) < best_error:
            best, best_error = candidate, abs(gone - sparsity)
        low, high = (ratio, high) if gone < sparsity else (low, ratio)
    return best


def without_channels(model: Localizer, ratio: float, size: list[int]) -> Localizer:
    """A copy of the model without that share of the channels of each layer; at least one channel stays."""
    import torch_pruning

    model = copy.deepcopy(model).eval()
    height, width, channels = size
    last = [module for module, _ in prunable(model) if isinstance(module, nn.Linear)][-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pruner = torch_pruning.pruner.MagnitudePruner(
            model.net,
            torch.zeros(1, channels, height, width),
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=1),
            pruning_ratio=ratio,
            ignored_layers=[last],
        )
        pruner.step()
    return model
