"""The threshold of `prune`, against torch's own global pruning, which sorts, and against one pass over the weights."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import alternating, show
from torch import nn
from torch.nn.utils import prune

sys.path.insert(0, str(Path(__file__).parents[2]))  # this checkout, installed or not
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.localizer import Localizer
from htltools.core.pruning.structured import prune_channels, remove_channels
from htltools.core.pruning.unstructured import largest_magnitudes, prunable, prunable_count, prune_weights

SHARE, SIDE = 0.8, 2048


def compared(what: str, peer: str, ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """One line of the table, in seconds."""
    mine, others, ratio, low, high = alternating(ours, theirs, repeats)
    return {"what": what, "peer": peer, "ours": mine, "theirs": others, "unit": "s", "ratio": ratio, "low": low, "high": high}


def torch_global(net: nn.Module) -> None:
    """The same cut by torch, on a net whose hooks are taken off again."""
    parameters = prunable(net)
    prune.global_unstructured(parameters, prune.L1Unstructured, amount=SHARE)
    for module, name in parameters:
        weight = getattr(module, f"{name}_orig").detach()
        prune.remove(module, name)
        module.weight = nn.Parameter(weight)


def bisected(localizer: Localizer, sparsity: float, size: list[int]) -> None:
    """The share of channels by halving, at a pruning each step."""
    low, high, total = 0.0, 1.0, prunable_count(localizer)
    for _ in range(8):
        ratio = (low + high) / 2
        gone = 1 - prunable_count(remove_channels(localizer, ratio, size)) / total
        low, high = (ratio, high) if gone < sparsity else (low, ratio)


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Lines of the table: random normal weights, 100 million of them (quick: 8 million)."""
    layers = 2 if quick else 24
    torch.manual_seed(0)
    net = nn.Sequential(*(nn.Linear(SIDE, SIDE, bias=False) for _ in range(layers)))
    for layer in net:
        nn.init.normal_(layer.weight)
    weights = [layer.weight.detach().numpy() for layer in net]
    joined = torch.from_numpy(np.concatenate([weight.ravel() for weight in weights]))
    count = f"{len(joined) / 1e6:.0f} million weights"
    localizer, size = build(architecture("resnet18", (64, 64, 3))).eval(), [64, 64, 3]
    some = 2 if quick else 3
    return [
        compared(
            f"prune --method l1, {count}",
            "torch global_unstructured",
            lambda: prune_weights(net, "l1", SHARE),
            lambda: torch_global(net),
            some,
        ),
        compared(
            f"its threshold and masks, {count}", "abs().sum()", lambda: largest_magnitudes(weights, SHARE), lambda: joined.abs().sum(), 9
        ),
        compared(
            "prune --method channel, resnet18",
            "a bisection of eight steps",
            lambda: prune_channels(localizer, 0.7, size),
            lambda: bisected(localizer, 0.7, size),
            some,
        ),
    ]


if __name__ == "__main__":
    show(rows("--quick" in sys.argv))
