"""Localizers: a picture in, one box out. The compact net, or any torchvision classification backbone."""

from collections.abc import Collection
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from htltools.core.boxes import iou
from htltools.core.classmaps import backbone_maps, compact_maps
from htltools.core.compact import compact
from htltools.core.evidence import evidence, map_boxes, stretched
from htltools.core.head import BoxHead
from htltools.core.own_model import is_own, own_net
from htltools.errors import DataError, MissingInput, UsageError

# ImageNet's colours: what pretrained backbones expect, and as good as any for the others.
NORMALISATION = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}

THRESHOLD = 0.225  # of a map, where no annotated picture tells a better one
MIRRORS = [], [3], [2], [2, 3]  # axes along which pictures are mirrored


class Localizer(nn.Module):
    """Pictures as stored, uint8 [B, H, W, C], to boxes float32 [B, 4]: [x0, y0, x1, y1] as shares of width and height.

    Boxes lie in [0, 1] with x0 <= x1 and y0 <= y1. Other kinds of localizers derive from this one: `answer` is the shape of what
    one picture is answered with, and `overlap` holds answers against the annotation, or against each other.
    """

    answer: tuple[int, ...] = (4,)

    def __init__(self, net: nn.Module, mean: list[float], std: list[float]):
        super().__init__()
        self.net = net
        gain = 1 / (255 * torch.tensor(std).view(1, -1, 1, 1))
        self.register_buffer("gain", gain, persistent=False)
        self.register_buffer("bias", -255 * torch.tensor(mean).view(1, -1, 1, 1) * gain, persistent=False)

    def normalised(self, pictures: Tensor) -> Tensor:
        """uint8 [B, H, W, C] to float32 [B, C, H, W] in channels-last memory, which costs no copy."""
        return torch.addcmul(self.bias, pictures.permute(0, 3, 1, 2).float(), self.gain)

    def boxes(self, x: Tensor) -> Tensor:
        """The boxes [B, 4] of normalised pictures [B, C, H, W]."""
        return boxes_of(self.net(x)).clamp(0, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.boxes(self.normalised(pictures))

    def overlap(self, answers: np.ndarray, annotated: np.ndarray) -> np.ndarray:
        """IoU of answers [N, *answer] and annotation [N, ...]: [N] in [0, 1], 1 = the same."""
        return iou(answers, annotated)


class MapLocalizer(Localizer):
    """A localizer that learned from class labels alone: its box is drawn around the peak of its map of class evidence.

    `threshold` is where the map counts as the object, in [0, 1]; it lies with the weights.
    """

    def __init__(self, net: nn.Module, mean: list[float], std: list[float]):
        super().__init__(net, mean, std)
        self.register_buffer("threshold", torch.tensor(THRESHOLD))

    def map(self, x: Tensor) -> Tensor:
        """The class evidence at each place of normalised pictures [B, C, H, W] and their mirror images, in [0, 1]: [B, h, w].

        Twice as fine as the net's map, by cubic interpolation, which gained .007 of validation IoU on HAM10000 in each of two nets;
        linear interpolation gained nothing.
        """
        views = [evidence(self.net(x.flip(axes))[0]).flip([axis - 1 for axis in axes]) for axes in MIRRORS]
        mean = torch.stack(views).mean(0).unsqueeze(1)
        return stretched(interpolate(mean, scale_factor=2, mode="bicubic", align_corners=False).squeeze(1))

    def boxes(self, x: Tensor) -> Tensor:
        return map_boxes(self.map(x), self.threshold)


def boxes_of(raw: Tensor) -> Tensor:
    """The four numbers that a net answers with [B, 4], as boxes [B, 4] with their edges in order.

    The sigmoid is stretched to [-0.1, 1.1], so that a box which touches the border needs no infinite number; training
    sees it like this, and a localizer clips it.
    """
    edges = torch.sigmoid(raw.float()) * 1.2 - 0.1
    first, second = edges[:, :2], edges[:, 2:]
    return torch.cat([torch.minimum(first, second), torch.maximum(first, second)], 1)


def architecture(name: str, size: tuple[int, int, int], **more: Any) -> dict[str, Any]:
    """What `build` needs to make a localizer for pictures of `size` (H, W, C); with `classes`, names of them, one that answers by a map."""
    return {"name": name, "size": list(size), **more}


def build(architecture: dict[str, Any], *, imagenet: bool = False, trusted: Collection[str] = ()) -> Localizer:
    """A localizer with fresh weights, or with torchvision's ImageNet weights in its backbone.

    Raises: UsageError for a name of no net, or one that cannot do this; MissingInput where the ImageNet weights cannot be
    fetched; DataError for a net of the user's own, `package.module:function`, that is none of the `trusted`.
    """
    name, size, classes = architecture["name"], architecture["size"], architecture.get("classes")
    if name == "compact" and imagenet:
        raise UsageError("there are no ImageNet weights for compact", "use --init none, or a torchvision backbone such as resnet18")
    if is_own(name):
        if imagenet or classes is not None:
            raise UsageError(f"{name} has neither ImageNet weights nor maps of classes", "use compact or a torchvision backbone for these")
        return Localizer(own_net(name, size, trusted), **NORMALISATION)
    if classes is not None:
        compacted = name == "compact"
        net = compact_maps(size, len(classes)) if compacted else backbone_maps(torchvision_net(name, imagenet), size, len(classes))
        return MapLocalizer(net, **NORMALISATION)
    return Localizer(compact(*size) if name == "compact" else backbone(name, imagenet), **NORMALISATION)


def torchvision_net(name: str, imagenet: bool) -> nn.Module:
    """A torchvision classification net as it comes."""
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UsageError(f"no model is called {name!r}", f"use compact or one of torchvision's: {', '.join(sorted(known)[:40])} ...")
    try:
        return models.get_model(name, weights="DEFAULT" if imagenet else None)
    except URLError as error:
        raise MissingInput(f"the ImageNet weights of {name} could not be fetched ({error.reason})", "connect, or use --init none") from None


def backbone(name: str, imagenet: bool) -> nn.Module:
    """A torchvision classification net whose last linear layer answers with four numbers."""
    net = torchvision_net(name, imagenet)
    heads = [(path, module) for path, module in net.named_modules() if isinstance(module, nn.Linear)]
    if not heads:
        raise UsageError(f"{name} has no linear layer to put a box head on", "use another backbone")
    path, last = heads[-1]
    net.set_submodule(path, BoxHead(last.in_features))
    if name.startswith(("inception", "googlenet")):
        net.aux_logits = False
        net.AuxLogits = net.aux1 = net.aux2 = None
    return net


def weights_of(model: nn.Module) -> dict[str, np.ndarray]:
    """The state of a model as arrays on the CPU, by name."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()}


def from_weights(architecture: dict[str, Any], weights: dict[str, np.ndarray], trusted: Collection[str] = ()) -> Localizer:
    """A localizer with stored weights, in evaluation mode. Layers narrowed by channel pruning get their stored shape.

    Raises: DataError where the weights do not fit the architecture, or its net is one of somebody's own that is not `trusted`.
    """
    try:
        with torch.random.fork_rng(devices=[]):  # fresh weights are drawn, and thrown away
            model = build(architecture, trusted=trusted)
        fit_shapes(model, weights)
        model.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in weights.items()})
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"the weights do not fit the architecture {architecture.get('name')!r} ({str(error).splitlines()[-1].strip()})"
        ) from None
    return model.eval()


def fit_shapes(model: nn.Module, weights: dict[str, np.ndarray]) -> None:
    """Give every layer the shape of its stored weights, and the attributes that go with it."""
    for path, module in model.named_modules():
        stored = weights.get(f"{path}.weight")
        if stored is None or not is_narrower(stored.shape, module.weight.shape):
            continue
        match module:
            case nn.Conv2d():
                if module.groups > 1:  # depthwise: as many groups as channels
                    module.groups = stored.shape[0] // (module.out_channels // module.groups)
                module.out_channels, module.in_channels = stored.shape[0], stored.shape[1] * module.groups
            case nn.Linear():
                module.out_features, module.in_features = stored.shape
            case nn.BatchNorm2d():
                module.num_features = stored.shape[0]
                module.running_mean, module.running_var = torch.zeros(stored.shape), torch.ones(stored.shape)
            case nn.LayerNorm():
                module.normalized_shape = tuple(stored.shape)
        module.weight = nn.Parameter(torch.zeros(stored.shape))
        if getattr(module, "bias", None) is not None:
            module.bias = nn.Parameter(torch.zeros(weights[f"{path}.bias"].shape))
    for path, parameter in list(model.named_parameters()):  # such as ConvNeXt's layer_scale
        stored = weights.get(path)
        if stored is not None and is_narrower(stored.shape, parameter.shape):
            owner, _, name = path.rpartition(".")
            setattr(model.get_submodule(owner), name, nn.Parameter(torch.zeros(stored.shape)))


def is_narrower(stored: tuple[int, ...], built: tuple[int, ...]) -> bool:
    """Whether a tensor is what channel pruning leaves of another: fewer channels, the same kernel. Loading refuses any other shape."""
    return len(stored) == len(built) and stored[2:] == built[2:] and stored != built and all(0 < s <= b for s, b in zip(stored, built))


def fraction_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] in pixels of pictures of (width, height) [N, 2], as shares of width and height."""
    return (boxes / np.tile(sizes, 2)).astype(np.float32)


def pixel_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] as shares of width and height, in pixels of pictures of (width, height) [N, 2]."""
    return boxes * np.tile(sizes, 2)
