"""Nets that answer with a map of scores for each class, at several resolutions: what class labels alone can train."""

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from htltools.core.nets.compact import trunk
from htltools.errors import UsageError

FINEST = 28  # the longer side of the finest map that is used, in places


class Stages(nn.Sequential):
    """A chain of modules that answers with what each of them makes: a list of maps."""

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for stage in self:
            x = stage(x)
            maps.append(x)
        return maps


class Extracted(nn.Module):
    """The maps of a traced torchvision net as a list."""

    def __init__(self, graph: nn.Module):
        super().__init__()
        self.graph = graph

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self.graph(x).values())


class ClassMaps(nn.Module):
    """Images [B, C, H, W] to class scores at each place, [B, K, h, w] for each size of map that the trunk has, the finest first.

    Every size has a linear head of its own, and each of them is trained. The finest map is the one that shows where: its places
    see little of their surroundings, so that what they say of the class is said of what lies there. The coarser ones classify
    better; without them the features of the finest are worse (one run each on HAM10000: validation IoU .58 instead of .65).

    Raises: UsageError where the trunk has not two of them.
    """

    def __init__(self, stages: nn.Module, size: list[int], classes: int):
        super().__init__()
        self.stages = stages
        maps = on_paper(stages, size)
        fit = {tuple(m.shape[2:]): place for place, m in enumerate(maps) if max(m.shape[2:]) <= FINEST and min(m.shape[2:]) > 1}
        if len(fit) < 2:
            raise UsageError("the net has too few maps to tell from class labels where something is", "use a convolutional --model")
        self.places = list(fit.values())  # the last map of each size
        self.heads = nn.ModuleList(nn.Conv2d(maps[place].shape[1], classes, 1) for place in self.places)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = self.stages(x)
        return [head(maps[place]) for head, place in zip(self.heads, self.places)]


def on_paper(net: nn.Module, size: list[int]) -> Any:
    """What a net answers to one image of `size` [H, W, C], as shapes alone: nothing is computed, and no memory taken for it."""
    height, width, channels = size
    with torch.no_grad():
        return copy.deepcopy(net).to("meta").eval()(torch.zeros(1, channels, height, width, device="meta"))


def compact_maps(size: list[int], classes: int) -> ClassMaps:
    """The trunk of the compact net with class maps, for images of `size` [H, W, C]."""
    return ClassMaps(Stages(*trunk(*size)[0]), size, classes)


def backbone_maps(net: nn.Module, size: list[int], classes: int) -> ClassMaps:
    """A torchvision classification net with class maps instead of its head.

    Raises: UsageError where it keeps no maps of several sizes, as plain transformers do not.
    """
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    height, width, _ = size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trained, evaluated = get_graph_node_names(net)
        names = [name for name in evaluated if name in set(trained)]
        made = on_paper(create_feature_extractor(net, names), size)
        shapes = {name: m.shape for name, m in made.items() if isinstance(m, Tensor) and m.ndim == 4}
        last = {tuple(shape[2:]): name for name, shape in shapes.items() if shape[2] * width == shape[3] * height and min(shape[2:]) > 1}
        return ClassMaps(Extracted(create_feature_extractor(net, list(last.values()))), size, classes)
