"""Weights that a training leaves as they are."""

from difflib import get_close_matches

from torch import nn

from htltools.core.nets.localizer import Localizer
from htltools.errors import UsageError

BACKBONE = "backbone"
WITH_WEIGHTS = nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear


def freeze(model: Localizer, what: str) -> tuple[int, int]:
    """Freeze a part of a localizer's net, in place: the numbers of its frozen weights, and of all of them.

    `what`: "backbone", a number of layers (convolutions and linear ones, counted from the image), or names of parts such as "layer1"
    or "stages.0", joined by commas. Batch norms whose weights are frozen keep their statistics too, see `Localizer.train`.

    Raises: UsageError where there are no such layers.
    """
    parameters = dict(model.net.named_parameters())
    if what == BACKBONE:
        frozen = backbone_weights(model)
    elif what.isdecimal():
        frozen = first_weights(model, int(what))
    else:
        parts = [part_named(model, name.strip()) for name in what.split(",")]
        frozen = [name for name in parameters if any(f"{name}.".startswith(f"{part}.") for part in parts)]
    for name in frozen:
        parameters[name].requires_grad_(False)
    return sum(parameters[name].numel() for name in frozen), sum(p.numel() for p in parameters.values())


def backbone_weights(model: Localizer) -> list[str]:
    """Names of the weights of the backbone: with ImageNet's weights the ones that know something.

    They are those of the part of that name, without a feature pyramid; of the way down of an encoder-decoder; or all but the prediction's.
    """
    parts = [name for name, _ in model.net.named_modules()]
    inner = next((name for name in parts if f".{name}".endswith(f".{BACKBONE}.body")), None)
    inner = inner or next((name for name in parts if f".{name}".endswith(f".{BACKBONE}")), None)
    if hasattr(model.net, "joins"):
        return [name for name, _ in model.net.named_parameters() if name.startswith(("stem.", "stages."))]
    if inner:
        return [name for name, _ in model.net.named_parameters() if name.startswith(f"{inner}.")]
    last = {id(parameter) for layer in model.prediction_layers for parameter in layer.parameters()}
    return [name for name, parameter in model.net.named_parameters() if id(parameter) not in last]


def first_weights(model: Localizer, count: int) -> list[str]:
    """Names of the weights of the first layers, and of the norms between them.

    Raises: UsageError where there are not more layers than that.
    """
    layers = [name for name, module in model.net.named_modules() if isinstance(module, WITH_WEIGHTS)]
    if not 0 < count < len(layers):
        raise UsageError(f"--freeze takes from 1 to {len(layers) - 1} layers of this net, not {count}")
    names = [name for name, _ in model.net.named_parameters()]
    return names[: next(i for i, name in enumerate(names) if name.startswith(f"{layers[count]}."))]


def part_named(model: Localizer, name: str) -> str:
    """The name of a part of the net.

    Raises: UsageError where it has none of that name.
    """
    parts = [part for part, _ in model.net.named_modules() if part]
    if name in parts:
        return name
    near = get_close_matches(name, parts, 1)
    remedy = f"did you mean {near[0]}?" if near else f"it has {', '.join(name for name, _ in model.net.named_children())}"
    raise UsageError(f"--freeze takes backbone, a number of layers, or parts of the net, and this one has no {name!r}", remedy)
