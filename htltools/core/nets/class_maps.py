"""Nets that predict a map of scores for each class, at several resolutions: class labels alone can train them."""

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from htltools.core.nets.compact import trunk
from htltools.errors import UsageError

FINEST = 28  # the longer side of the finest map that is used, in places


class StageMaps(nn.Sequential):
    """A chain of modules that gives the output of each of them: a list of maps."""

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for stage in self:
            x = stage(x)
            maps.append(x)
        return maps


class ExtractedMaps(nn.Module):
    """The maps of a traced torchvision net as a list."""

    def __init__(self, graph: nn.Module):
        super().__init__()
        self.graph = graph

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self.graph(x).values())


class ClassMaps(nn.Module):
    """Images [B, C, H, W] to class scores at each place, [B, K, h, w] for each size of map that the trunk has, the finest first.

    Every size has a linear head of its own, and each of them is trained. The finest map is the one that localizes: its places
    see little of their surroundings, so that their class scores are of what lies there. The coarser ones classify
    better; without them the features of the finest are worse (one run each on HAM10000: validation IoU .58 instead of .65).

    Raises: UsageError where the trunk has not two of them.
    """

    def __init__(self, stages: nn.Module, size: Sequence[int], classes: int):
        super().__init__()
        self.stages = stages
        maps = meta_outputs(stages, size)
        fit = {tuple(m.shape[2:]): place for place, m in enumerate(maps) if max(m.shape[2:]) <= FINEST and min(m.shape[2:]) > 1}
        if len(fit) < 2:
            raise UsageError("the net has too few maps to localize by class labels", "use a convolutional net")
        self.places = list(fit.values())  # the last map of each size
        self.heads = nn.ModuleList(nn.Conv2d(maps[place].shape[1], classes, 1) for place in self.places)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = self.stages(x)
        return [head(maps[place]) for head, place in zip(self.heads, self.places)]


def meta_outputs(net: nn.Module, size: Sequence[int]) -> Any:
    """The outputs of a net for one image of `size` [H, W, C], as shapes alone: nothing is computed, and no memory taken for it."""
    height, width, channels = size
    with torch.no_grad():
        return copy.deepcopy(net).to("meta").eval()(torch.zeros(1, channels, height, width, device="meta"))


def compact_maps(size: Sequence[int], classes: int) -> ClassMaps:
    """The trunk of the compact net with class maps, for images of `size` [H, W, C]."""
    height, width, channels = size
    return ClassMaps(StageMaps(*trunk(height, width, channels)[0]), size, classes)


def backbone_maps(net: nn.Module, size: Sequence[int], classes: int) -> ClassMaps:
    """A torchvision classification net with class maps instead of its head.

    Raises: UsageError where it has no maps of several sizes, as plain transformers.
    """
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    height, width, _ = size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trained, evaluated = get_graph_node_names(net)
        names = [name for name in evaluated if name in set(trained)]
        outputs = meta_outputs(create_feature_extractor(net, names), size)
        shapes = {name: m.shape for name, m in outputs.items() if isinstance(m, Tensor) and m.ndim == 4}
        last = {tuple(shape[2:]): name for name, shape in shapes.items() if shape[2] * width == shape[3] * height and min(shape[2:]) > 1}
        return ClassMaps(ExtractedMaps(create_feature_extractor(net, list(last.values()))), size, classes)
