"""From an architecture to a localizer: the compact nets, any of torchvision's with a head for the task, or the user's own."""

import copy
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from torch import nn

from htltools.core.nets.box_head import BoxHead
from htltools.core.nets.class_maps import backbone_maps, compact_maps
from htltools.core.nets.compact import compact
from htltools.core.nets.detection.names import DETECTORS
from htltools.core.nets.localizer import NORMALISATION, Localizer
from htltools.core.nets.looks import Looks
from htltools.core.nets.map_localizer import MapLocalizer
from htltools.core.nets.mask_localizer import MaskLocalizer, PixelLocalizer
from htltools.core.nets.names import COMPACT, COMPACT_UNET
from htltools.core.nets.unet import EncoderDecoder, Segmentation
from htltools.core.nets.user_net import build_user_net, is_user_net
from htltools.errors import MissingInput, UsageError

if TYPE_CHECKING:  # torchvision, which takes as long to import as torch
    from htltools.core.nets.detection.detector import Detector


def architecture(name: str, size: Sequence[int], task: str = "box", **more: Any) -> dict[str, Any]:
    """What `build` needs to make a localizer: the name of its net, the size (H, W, C) of its images, and its task.

    `more`: for tasks detect and class_map `classes`, the names of the classes; for detect also `most`, objects per image at most. For
    the others `input`, (h, w) of what the net takes where that is less than the image, `looks`, the fields of
    `Looks`, and `glance`, whether there is a net for the first look.
    """
    return {"name": name, "size": list(size), "task": task, **more}


def predicts_pixels(name: str) -> bool:
    """Whether the net of a name says at each pixel whether it is lesion: it can learn from lesion masks, and from boxes."""
    if name in (COMPACT, COMPACT_UNET):
        return name == COMPACT_UNET
    from torchvision import models

    return name in models.list_models(module=models.segmentation)


def task_of_net(name: str, *, labels_alone: bool = False, masks: bool = False) -> str:
    """The task of the net of a name: "detect"; "class_map" where it is to learn from image labels alone, and has no pixels to predict;
    "mask" where it has, and is to learn from lesion masks; else "box".
    """
    if name in DETECTORS:
        return "detect"
    if (masks or labels_alone) and predicts_pixels(name):
        return "mask"
    return "class_map" if labels_alone else "box"


def build(architecture: dict[str, Any], *, imagenet: bool = False, trusted: Collection[str] = ()) -> Localizer:
    """A localizer with fresh weights, or with torchvision's ImageNet weights in its backbone.

    Raises: UsageError for an unknown name or task, or a net that cannot do the task; MissingInput where the ImageNet weights
    cannot be fetched; DataError for a net of the user's own, `package.module:function`, that is none of the `trusted`.
    """
    name, task = architecture["name"], architecture["task"]
    if name.startswith("compact") and imagenet:
        other = "lraspp_mobilenet_v3_large" if name == COMPACT_UNET else "resnet18"
        remedy = f"start from fresh weights, or use a torchvision backbone such as {other}"
        raise UsageError(f"there are no ImageNet weights for {name}", remedy)
    if is_user_net(name) and (imagenet or task == "class_map"):
        raise UsageError(f"{name} has neither ImageNet weights nor maps of classes", "use compact or a torchvision backbone for these")
    if task not in BUILDERS:
        raise UsageError(f"no task is called {task!r}", f"use one of {', '.join(BUILDERS)}")
    try:
        localizer = BUILDERS[task](architecture, imagenet, trusted)
    except URLError as error:
        cause = f"the ImageNet weights of {name} could not be fetched ({error.reason})"
        raise MissingInput(cause, "connect, or start from fresh weights") from None
    height, width, _ = input_size(architecture)
    localizer.input = (height, width) if architecture.get("input") else None
    if looks := architecture.get("looks"):
        localizer.looks = Looks(**looks | {"box": tuple(looks["box"]) if looks.get("box") else None})
    if architecture.get("glance"):
        localizer.glance = copy.deepcopy(localizer.net)
    return localizer


def input_size(architecture: dict[str, Any]) -> list[int]:
    """The size (H, W, C) of what the net of an architecture takes."""
    stored = architecture["size"]
    return [*(architecture.get("input") or stored[:2]), stored[2]]


def box_localizer(architecture: dict[str, Any], imagenet: bool, trusted: Collection[str]) -> Localizer:
    """A localizer for one box."""
    name, size = architecture["name"], input_size(architecture)
    if predicts_pixels(name):
        return PixelLocalizer(pixel_net(name, size, imagenet), (size[0], size[1]), **NORMALISATION)
    if is_user_net(name):
        return Localizer(build_user_net(name, size, trusted), **NORMALISATION)
    height, width, channels = size
    return Localizer(compact(height, width, channels) if name == COMPACT else backbone(name, imagenet), **NORMALISATION)


def mask_localizer(architecture: dict[str, Any], imagenet: bool, trusted: Collection[str]) -> MaskLocalizer:
    """A localizer for lesion masks."""
    name, size, stored = architecture["name"], input_size(architecture), architecture["size"]
    return MaskLocalizer(pixel_net(name, size, imagenet), (size[0], size[1]), (stored[0], stored[1]), **NORMALISATION)


def pixel_net(name: str, size: Sequence[int], imagenet: bool) -> nn.Module:
    """A net from normalised images [B, C, H, W] of `size` (H, W, C) to logits [B, H, W]."""
    height, width, channels = size
    return EncoderDecoder(height, width, channels) if name == COMPACT_UNET else Segmentation(segmentation_net(name, imagenet))


def object_detector(architecture: dict[str, Any], imagenet: bool, trusted: Collection[str]) -> "Detector":
    """A localizer for objects of the `classes`, at most `most` on an image."""
    from htltools.core.nets.detection.detector import Detector
    from htltools.core.nets.detection.detectors import detection_net

    classes = architecture["classes"]
    net = detection_net(architecture["name"], architecture["size"], len(classes), architecture["most"], imagenet)
    return Detector(net, **NORMALISATION, classes=classes)


def map_localizer(architecture: dict[str, Any], imagenet: bool, trusted: Collection[str]) -> MapLocalizer:
    """A localizer by maps of the `classes`."""
    name, size, count = architecture["name"], input_size(architecture), len(architecture["classes"])
    net = compact_maps(size, count) if name == COMPACT else backbone_maps(torchvision_net(name, imagenet), size, count)
    return MapLocalizer(net, **NORMALISATION)


# by task, a localizer from architecture, imagenet and trusted; a further task adds its own
BUILDERS: dict[str, Callable[[dict[str, Any], bool, Collection[str]], Localizer]] = {
    "box": box_localizer,
    "mask": mask_localizer,
    "detect": object_detector,
    "class_map": map_localizer,
}


def torchvision_net(name: str, imagenet: bool) -> nn.Module:
    """A torchvision classification net, unchanged."""
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        names = f"use compact or one of torchvision's: {', '.join(sorted(known)[:40])} ..."
        remedy = f"{names}; masks: {COMPACT_UNET} or lraspp_mobilenet_v3_large; several objects: {', '.join(DETECTORS)}"
        raise UsageError(f"no model is called {name!r}", remedy)
    return models.get_model(name, weights="DEFAULT" if imagenet else None)


def segmentation_net(name: str, imagenet: bool) -> nn.Module:
    """A torchvision segmentation net of one class, without its auxiliary head."""
    from torchvision import models

    return models.get_model(name, weights=None, weights_backbone="DEFAULT" if imagenet else None, num_classes=1, aux_loss=False)


def backbone(name: str, imagenet: bool) -> nn.Module:
    """A torchvision classification net with a box head in place of its last linear layer."""
    net: Any = torchvision_net(name, imagenet)
    heads = [(path, module) for path, module in net.named_modules() if isinstance(module, nn.Linear)]
    if not heads:
        raise UsageError(f"{name} has no linear layer to put a box head on", "use another backbone")
    path, last = heads[-1]
    net.set_submodule(path, BoxHead(last.in_features))
    if name.startswith(("inception", "googlenet")):
        net.aux_logits = False
        net.AuxLogits = net.aux1 = net.aux2 = None
    return net
