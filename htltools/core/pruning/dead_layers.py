"""Dead layers of a pruned net: those that answer every image alike."""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn

from htltools.core.nets.localizer import Localizer

SAME = 1e-6  # of the largest magnitude of a layer's input: what differs less between images does not differ


def dead_layers(model: Localizer, batches: Iterable[Tensor]) -> list[str]:
    """Names of the convolutions and linear layers whose weights are all zero, or whose input is the same for all images.

    batches: images uint8 [B, H, W, C] on the device of the model, two or more in all. The model and its mode stay as they are. A
    layer before the one that is named is then off: a ReLU that never fires, or a layer whose weights are all cut.
    """
    lowest: dict[tuple[str, torch.Size], Tensor] = {}
    highest: dict[tuple[str, torch.Size], Tensor] = {}

    def watch(name: str, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0]
        key = name, x.shape[1:]  # a head that several maps share is called with each of them
        low, high = x.amin(0), x.amax(0)
        lowest[key] = torch.minimum(lowest.get(key, low), low)
        highest[key] = torch.maximum(highest.get(key, high), high)

    layers = {name: module for name, module in model.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))}
    hooks = [module.register_forward_pre_hook(partial(watch, name)) for name, module in layers.items()]
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in batches:
                model(batch)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    varies = {
        key[0] for key, low in lowest.items() if (highest[key] - low).max() > SAME * torch.maximum(highest[key].abs(), low.abs()).max()
    }
    called = {name for name, _ in lowest}
    return [name for name, module in layers.items() if not module.weight.any() or (name in called and name not in varies)]
