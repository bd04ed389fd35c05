"""From the name of a net to a localizer: the compact net, or any of torchvision's, with a head that answers."""

from collections.abc import Collection
from typing import Any
from urllib.error import URLError

from torch import nn

from htltools.core.nets.box_head import BoxHead
from htltools.core.nets.class_maps import backbone_maps, compact_maps
from htltools.core.nets.compact import compact
from htltools.core.nets.detector import Detector
from htltools.core.nets.detectors import detection_net
from htltools.core.nets.localizer import NORMALISATION, Localizer, MapLocalizer
from htltools.core.nets.mask_localizer import MaskLocalizer
from htltools.core.nets.names import DETECTORS
from htltools.core.nets.unet import EncoderDecoder, Segmentation
from htltools.core.nets.user_net import is_own, own_net
from htltools.errors import MissingInput, UsageError

COMPACT_UNET = "compact_unet"  # the name of the encoder-decoder


def architecture(name: str, size: tuple[int, int, int], **more: Any) -> dict[str, Any]:
    """What `build` needs to make a localizer for images of `size` (H, W, C); with `classes`, names of them, one that answers by a map;
    with `objects`, names of classes, and `most`, one that finds up to so many objects. `masks` is true of the nets of lesion masks."""
    return {"name": name, "size": list(size), **({"masks": True} if predicts_masks(name) else {}), **more}


def build(architecture: dict[str, Any], *, imagenet: bool = False, trusted: Collection[str] = ()) -> Localizer:
    """A localizer with fresh weights, or with torchvision's ImageNet weights in its backbone.

    Raises: UsageError for a name of no net, or one that cannot do this; MissingInput where the ImageNet weights cannot be
    fetched; DataError for a net of the user's own, `package.module:function`, that is none of the `trusted`.
    """
    name, size, classes = architecture["name"], architecture["size"], architecture.get("classes")
    if name.startswith("compact") and imagenet:
        other = "lraspp_mobilenet_v3_large" if name == COMPACT_UNET else "resnet18"
        raise UsageError(f"there are no ImageNet weights for {name}", f"use --init none, or a torchvision backbone such as {other}")
    if architecture.get("masks"):
        net = EncoderDecoder(*size) if name == COMPACT_UNET else Segmentation(segmentation_net(name, imagenet))
        return MaskLocalizer(net, size[:2], **NORMALISATION)
    if is_own(name):
        if imagenet or classes is not None:
            raise UsageError(f"{name} has neither ImageNet weights nor maps of classes", "use compact or a torchvision backbone for these")
        return Localizer(own_net(name, size, trusted), **NORMALISATION)
    if "objects" in architecture:
        net = detection_net(name, size, len(architecture["objects"]), architecture["most"], imagenet)
        return Detector(net, **NORMALISATION, classes=architecture["objects"])
    if classes is not None:
        compacted = name == "compact"
        net = compact_maps(size, len(classes)) if compacted else backbone_maps(torchvision_net(name, imagenet), size, len(classes))
        return MapLocalizer(net, **NORMALISATION)
    return Localizer(compact(*size) if name == "compact" else backbone(name, imagenet), **NORMALISATION)


def predicts_masks(name: str) -> bool:
    """Whether a name means a net that answers with a lesion mask: `compact_unet`, or a segmentation net of torchvision."""
    from torchvision import models

    return name == COMPACT_UNET or name in models.list_models(module=models.segmentation)


def torchvision_net(name: str, imagenet: bool) -> nn.Module:
    """A torchvision classification net as it comes."""
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        names = f"use compact or one of torchvision's: {', '.join(sorted(known)[:40])} ..."
        remedy = f"{names}; masks: {COMPACT_UNET} or lraspp_mobilenet_v3_large; several objects: {', '.join(DETECTORS)}"
        raise UsageError(f"no model is called {name!r}", remedy)
    return fetched(name, weights="DEFAULT" if imagenet else None)


def segmentation_net(name: str, imagenet: bool) -> nn.Module:
    """A torchvision segmentation net of one class, without its auxiliary head."""
    return fetched(name, weights=None, weights_backbone="DEFAULT" if imagenet else None, num_classes=1, aux_loss=False)


def fetched(name: str, **how: Any) -> nn.Module:
    """A torchvision net, with weights from the network where they are asked for."""
    from torchvision import models

    try:
        return models.get_model(name, **how)
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
