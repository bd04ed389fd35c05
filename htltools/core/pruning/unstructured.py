"""Unstructured pruning: single weights of a copy of a localizer are set to zero, and batch-norm statistics recover."""

import copy
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.utils import prune
from torch.optim.swa_utils import update_bn

from htltools.core.nets.localizer import Localizer
from htltools.errors import UsageError

SWEEP = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3)  # sparsities that the health gate tries, from the largest
STRIDE = 127  # of the sample that gives bounds for the threshold; prime, so that it strays over rows and kernels
PIECE = 2**17  # weights at a time, which stay in the cache
HEALTHY = 0.9  # share of the dense validation IoU that a healthy pruned net keeps


def prunable(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """The weights that pruning may cut: those of convolutions and linear layers."""
    return [(module, "weight") for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


def prune_weights(model: Localizer, method: str, sparsity: float, seed: int = 0) -> Localizer:
    """A copy of the model in which a share of the prunable weights is held at zero, also while it trains on.

    `l1`: the smallest magnitudes of all layers together. `layer-l1`: the same share of each layer. `random`: a random choice in each
    layer but those of the prediction (see `random_choice`), the control for whether it matters which weights go. The copy carries
    torch's pruning hooks until `baked`.

    Raises: ValueError for another method.
    """
    model = copy.deepcopy(model)
    parameters = prunable(model)
    weights = [getattr(module, name).detach().cpu().numpy() for module, name in parameters]
    match method:
        case "l1":
            kept = largest_magnitudes(weights, sparsity)
        case "layer-l1":
            kept = [largest_magnitudes([weight], sparsity)[0] for weight in weights]
        case "random":
            last = model.prediction_layers
            kept = random_choice(weights, [any(module is layer for layer in last) for module, _ in parameters], sparsity, seed)
        case _:
            raise ValueError(f"no method {method!r}")
    for (module, name), stays in zip(parameters, kept):
        prune.custom_from_mask(module, name, torch.from_numpy(stays).to(getattr(module, name).device))
    return model


def largest_magnitudes(weights: Sequence[np.ndarray], sparsity: float) -> list[np.ndarray]:
    """Masks of the weights that stay where the smallest magnitudes of all arrays together go: bool, one array in the shape of each.

    Exactly round(sparsity * count) go, `sparsity` in [0, 1); of equal magnitudes the first ones. As torch's
    `global_unstructured` with `L1Unstructured`, but in two passes over the weights and hardly any memory beside the result,
    where torch's `topk` all but sorts a copy of them.

    >>> [kept.tolist() for kept in largest_magnitudes([np.array([0.1, -0.4]), np.array([[-0.2], [0.3]])], 0.5)]
    [[False, True], [[False], [True]]]
    """
    if not (count := round(sparsity * sum(weight.size for weight in weights))):
        return [np.ones_like(weight, bool) for weight in weights]
    limit_and_ties = threshold(weights, count, *bracket(weights, count)) or threshold(weights, count, 0, np.inf)
    assert limit_and_ties  # each magnitude lies from 0 to infinity
    limit, ties = limit_and_ties
    kept = []
    for weight in weights:
        stays = np.empty(weight.size, bool)
        for start, magnitudes in pieces(weight):
            stays[start : start + PIECE] = magnitudes > limit
            equal = start + np.flatnonzero(magnitudes == limit)
            stays[equal[ties:]] = True
            ties = max(ties - len(equal), 0)
        kept.append(stays.reshape(weight.shape))
    return kept


def random_choice(weights: Sequence[np.ndarray], whole: Sequence[bool], sparsity: float, seed: int) -> list[np.ndarray]:
    """Masks of the weights that stay in a random cut: bool, one array in the shape of each layer.

    Exactly round(sparsity * count) weights go, `sparsity` in [0, 1): the same share of each layer, to within one weight, except that
    layers marked `whole` lose none, which the others make up for. Where the others have too few weights for that, all lose.

    The numbers are numpy's: torch draws initial weights of its own generator, so that a choice by the same generator and seed would
    keep almost only weights that began negative, and no ReLU of a hidden linear layer would ever fire.

    >>> [int((~kept).sum()) for kept in random_choice([np.ones(600), np.ones((20, 20)), np.ones(4)], [False, False, True], 0.5, 0)]
    [301, 201, 0]
    """
    sizes = np.array([weight.size for weight in weights])
    count, open_to_cuts = round(sparsity * sizes.sum()), np.where(whole, 0, sizes)
    if count >= open_to_cuts.sum():
        open_to_cuts = sizes
    cuts = np.diff(np.round(open_to_cuts.cumsum() * (count / open_to_cuts.sum())), prepend=0).astype(int)
    random, kept = np.random.default_rng(seed), []
    for weight, cut in zip(weights, cuts):
        stays = np.ones(weight.size, bool)
        stays[random.choice(weight.size, cut, replace=False, shuffle=False)] = False
        kept.append(stays.reshape(weight.shape))
    return kept


def pieces(weight: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The start of each piece of the weights, in their order by index, and its magnitudes."""
    values = weight.ravel()
    return ((start, np.abs(values[start : start + PIECE])) for start in range(0, len(values), PIECE))


def bracket(weights: Sequence[np.ndarray], count: int) -> tuple[float, float]:
    """Bounds between which the count-th smallest magnitude lies almost surely: six standard errors around it in a sample."""
    sample = np.sort(np.concatenate([np.abs(weight.ravel()[::STRIDE]) for weight in weights]))
    share = count / sum(weight.size for weight in weights)
    reach = 6 * (share * (1 - share) / len(sample)) ** 0.5
    low, high = int((share - reach) * len(sample)) - 1, int((share + reach) * len(sample)) + 1
    return sample[low] if low > 0 else 0, sample[high] if high < len(sample) else np.inf


def threshold(weights: Sequence[np.ndarray], count: int, low: float, high: float) -> tuple[float, int] | None:
    """The count-th smallest magnitude, and how many of exactly that magnitude are among the `count`.

    Only magnitudes from `low` to `high` are sorted; None where the count-th does not lie there.
    """
    below, near = 0, []
    for weight in weights:
        for _, magnitudes in pieces(weight):
            small = magnitudes < low
            below += int(np.count_nonzero(small))
            near.append(magnitudes[(magnitudes <= high) & ~small])
    members = np.concatenate(near)
    if not below < count <= below + len(members):
        return None
    members.partition(count - below - 1)
    limit = members[count - below - 1]
    return limit, count - below - int(np.count_nonzero(members < limit))


def baked(model: Localizer) -> Localizer:
    """The model, changed in place: its zeros are written into plain weights, and the pruning hooks removed."""
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
    """The number of weights that pruning may cut."""
    return sum(getattr(module, name).numel() for module, name in prunable(model))


def recalibrate(model: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Renew the batch-norm statistics of a localizer or its validator, in place, from the images that it takes; weights stay.

    Raises: UsageError where a batch has one image, and the net has one place left of it: batch norm has no variance there.
    """
    try:
        update_bn(batches, model)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        cause = "batch norm has no variance in a batch of one image, of which the net leaves one place"
        raise UsageError(cause, "use --batch-size 2 or more, and at least two training rows, or --recover none") from None
    model.eval()
