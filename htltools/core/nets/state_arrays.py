"""The weights of a localizer as arrays, and a localizer from them."""

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from torch import nn

from htltools.core.nets.factory import build, input_size
from htltools.core.nets.localizer import Localizer
from htltools.core.nets.user_net import is_user_net
from htltools.errors import DataError, UsageError

NARROWEST, SPARE = 1000, 2**22  # times the weights that channel pruning leaves, and numbers beside, that a net may have been made of


def weights_of(model: nn.Module) -> dict[str, np.ndarray]:
    """The state of a model as arrays on the CPU, by name."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()}


def from_weights(architecture: dict[str, Any], weights: dict[str, np.ndarray], trusted: Collection[str] = ()) -> Localizer:
    """A localizer with stored weights, in evaluation mode. Layers narrowed by channel pruning get their stored shape.

    Raises: DataError where the weights do not fit the architecture, or its net is one of the user's own that is not `trusted`.
    """
    try:
        if not is_user_net(architecture["name"]):
            check_architecture(architecture, weights)
        with torch.random.fork_rng(devices=[]):  # fresh weights are drawn, and thrown away
            model = build(architecture, trusted=trusted)
        freeze_norms(model, weights)
        fit_shapes(model, weights)
        model.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in weights.items()})
        if is_small(architecture, model) and not is_user_net(architecture["name"]):
            check_output(model.eval(), architecture)
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
        raise DataError(f"the weights do not fit the architecture {architecture.get('name')!r} ({reason})") from None
    return model.eval()


def check_architecture(architecture: dict[str, Any], weights: dict[str, np.ndarray]) -> None:
    """Compare an architecture with its weights on torch's device meta, before any memory is taken for it.

    Raises: ValueError, RuntimeError where the net is another one, far larger than its weights, or does not fit together.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        try:
            plan = build(architecture).eval()
        except UsageError as error:
            raise ValueError(str(error)) from None
        except NotImplementedError:  # RegNets reckon with tensors while they are built; the largest of them takes 2.6 GB
            return
        freeze_norms(plan, weights)
        state = plan.state_dict()
        if state.keys() != weights.keys():
            raise ValueError(f"it has {len(state)} tensors, stored are {len(weights)}, or others")
        planned, stored = sum(tensor.numel() for tensor in state.values()), sum(array.size for array in weights.values())
        if planned > SPARE + NARROWEST * stored:
            raise ValueError(f"it would take {planned} numbers, stored are {stored}")
        fit_shapes(plan, weights)
        if not is_small(architecture, plan):  # else with its weights: computing on meta imports torch's compiler, as long as torch itself
            check_output(plan, architecture)


def is_small(architecture: dict[str, Any], model: Localizer) -> bool:
    """Whether it costs next to nothing to run a model on one image."""
    return max(sum(weights.numel() for weights in model.parameters()), math.prod(input_size(architecture))) <= SPARE


def check_output(model: Localizer, architecture: dict[str, Any]) -> None:
    """Run the net of a model on one image.

    Raises: ValueError where its output has not the shape that its task needs; RuntimeError where its layers do not fit together.
    """
    height, width, channels = input_size(architecture)
    with torch.inference_mode():
        output = model.net(torch.zeros(1, channels, height, width))
    if model.task != "class_map" and output.shape[1:] != model.output_shape:
        raise ValueError(f"its output is {list(output.shape[1:])}, not {list(model.output_shape)}")


def freeze_norms(model: Localizer, weights: dict[str, np.ndarray]) -> None:
    """Freeze the batch norms of a detector whose stored statistics count no batches: torchvision freezes those of ImageNet backbones."""
    if model.task != "detect":
        return
    from torchvision.ops import FrozenBatchNorm2d

    for path, module in list(model.named_modules()):
        if type(module) is nn.BatchNorm2d and f"{path}.num_batches_tracked" not in weights:
            model.set_submodule(path, FrozenBatchNorm2d(module.num_features, module.eps))


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
