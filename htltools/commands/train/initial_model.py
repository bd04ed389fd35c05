"""The model that a training starts from."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from htltools import console
from htltools.commands.train.initial_weights import load_state_dict
from htltools.commands.train.plan import Plan
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.freezing import freeze
from htltools.core.nets.localizer import Localizer
from htltools.core.runtime.runtime import Runtime
from htltools.errors import DataError
from htltools.formats.models.torch_weights import is_torch_weights
from htltools.tasks.predictor import CheckpointPredictor


def fresh_localizer(plan: Plan, frame: list[int], net_options: dict[str, Any]) -> tuple[Localizer, dict[str, Any]]:
    """The model to start from, and its architecture; `net_options` follow from the rows.

    Raises: DataError where --init names a checkpoint of another net, frame, task or other classes, or weights of another net.
    """
    torch.manual_seed(plan.seed)
    more: dict[str, Any] = {"looks": asdict(plan.looks_while_training)} if plan.looks_again else {}
    more |= {"input": [plan.input] * 2} if plan.input else {}
    wanted = architecture(plan.arch, frame, plan.task_name, **net_options, **more)
    if plan.init in ("none", "imagenet") or is_torch_weights(Path(plan.init)):
        model = build(wanted, imagenet=plan.init == "imagenet", trusted=plan.trusted)
        if plan.init not in ("none", "imagenet"):
            load_state_dict(model.net, Path(plan.init))
        return frozen(plan, model), wanted
    start = CheckpointPredictor(Path(plan.init), Runtime("cpu", trusted=plan.trusted))
    console.explain(str(start))
    if pruning := start.checkpoint.pruning:
        cause = f"--init {plan.init} is pruned: training moves all weights, also the {pruning['sparsity']:.0%} that were cut"
        console.say(f"{cause}; its copy is dense again")
    found = start.checkpoint.architecture
    if (found["name"], found["size"], found.get("input")) != (plan.arch, frame, wanted.get("input")):
        words = f"--init {plan.init} is a {found['name']} for {found['size']}, wanted is {plan.arch} for {frame}"
        raise DataError(words, "name its --arch, prepare with its --size")
    if (found["task"], found.get("classes")) != (plan.task_name, net_options.get("classes")):
        kinds = " and wanted is one ".join(f"of the task {each['task']}{classes_text(each)}" for each in (found, wanted))
        raise DataError(f"--init {plan.init} is a model {kinds}", "start from one of the same --supervision")
    if plan.fold and start.checkpoint.fold != asdict(plan.fold):
        console.say(f"--init {plan.init} may have seen fold {plan.fold}: then no score of this model is out of sample")
    start.localizer.looks = plan.looks_while_training
    return frozen(plan, start.localizer), {name: value for name, value in found.items() if name != "looks"} | more


def frozen(plan: Plan, model: Localizer) -> Localizer:
    """The model, in which what --freeze names is frozen, in place; how much that is is said."""
    if plan.freeze:
        still, count = freeze(model, plan.freeze)
        console.say(f"--freeze {plan.freeze}: {still:,} of {count:,} weights stay as they are")
    return model


def classes_text(architecture: dict[str, Any]) -> str:
    """The classes of an architecture, in words."""
    return f" with the classes {', '.join(architecture['classes'])}" if architecture.get("classes") else ""
