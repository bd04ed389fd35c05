"""Structured pruning: whole channels are removed, so that the net becomes smaller, by Torch-Pruning's dependency graph."""

import copy
import math
import warnings

import torch

from htltools.core.nets.localizer import Localizer
from htltools.core.pruning.unstructured import prunable_count

STEPS = 5  # of the search for the share of channels, at most
NEAR = 0.005  # it ends this near to the share of weights asked for


def prune_channels(model: Localizer, sparsity: float, size: list[int]) -> Localizer:
    """A copy of the model without a share of its channels, the ones of the smallest L1 norm across coupled layers.

    The share of channels is searched so that `sparsity` of the prunable weights go, as near as whole channels allow.
    `size`: [H, W, C] of its input. The layers of the prediction keep their outputs.

    Most weights lie between two layers that both lose channels, so that (1 - share)^2 of them stay; the share that really does
    corrects the exponent, and a few steps do what a bisection needs eight for.

    Reference: Fang et al., DepGraph, CVPR 2023, by its authors' library.
    """
    model = model.to("cpu")
    total = prunable_count(model)
    best, best_error = copy.deepcopy(model), sparsity
    exponent = 2.0
    for _ in range(STEPS):
        if best_error < NEAR:
            break
        share = 1 - (1 - sparsity) ** (1 / exponent)
        candidate = remove_channels(model, share, size)
        removed = 1 - prunable_count(candidate) / total
        if abs(removed - sparsity) < best_error:
            best, best_error = candidate, abs(removed - sparsity)
        if not 0 < removed < 1:
            break
        exponent = math.log1p(-removed) / math.log1p(-share)
    return best


def remove_channels(model: Localizer, ratio: float, size: list[int]) -> Localizer:
    """A copy of the model without that share of the channels of each layer; at least one channel stays."""
    import torch_pruning

    model = copy.deepcopy(model).eval()
    height, width, channels = size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pruner = torch_pruning.pruner.MagnitudePruner(
            model.net,
            torch.zeros(1, channels, height, width),
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=1),
            pruning_ratio=ratio,
            ignored_layers=model.prediction_layers,
        )
        pruner.step()
    return model
