"""How a training stops and goes on: its state in a file after each epoch."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from htltools import console
from htltools.commands.train.plan import Plan
from htltools.core.training.loop import State
from htltools.errors import CannotCreate, HtlError
from htltools.formats.files.atomic import replacing
from htltools.formats.models.checkpoint import RESUME_KIND, read_arrays, write_arrays
from htltools.formats.rows.jsonlines import compact_json, joined_lines
from htltools.formats.rows.row import Row
from htltools.formats.store.checksummed_hdf5 import check_hdf5_checksum


@contextmanager
def resume_hint(plan: Plan) -> Iterator[None]:
    """However a training is broken off, say how it goes on.

    Raises: HtlError where torch.compile cannot do it.
    """
    try:
        yield
    except BaseException as error:
        if plan.resume_path.exists():
            console.say(f"stopped; the same command goes on from {plan.resume_path}")
        elif not isinstance(error, Exception):
            console.say("stopped before the first epoch was done; the same command starts anew")
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise HtlError(f"the net cannot be compiled here ({type(error).__name__})", "leave out --compile") from error
        raise


def training_identity(
    plan: Plan, architecture: dict[str, Any], rows: Iterable[Row], weights: np.ndarray, *, by_shards: bool
) -> dict[str, Any]:
    """What must be the same for an interrupted training to go on: parameters and data. by_shards: see `shuffling.chosen_shuffle`."""
    keys = ["id", *plan.task.target_fields, "size", "store", "index"]
    data = hashlib.sha256(weights.tobytes())
    for row in rows:
        data.update(compact_json([row.get(key) for key in keys]))
    return {
        "parameters": {name: value for name, value in asdict(plan).items() if name != "out"}
        | {"shuffle": "shards" if by_shards else "full"},
        "architecture": architecture,
        "data": data.hexdigest(),
    }


def save_state(plan: Plan, identity: dict[str, Any], state: State) -> None:
    """Write what it takes to go on, and the log."""
    moments = state.optimizer["state"]
    arrays = {f"weights/{name}": tensor.numpy() for name, tensor in state.weights.items()}
    arrays |= {f"best/{name}": tensor.numpy() for name, tensor in state.best.items()}
    arrays |= {f"objective/{name}": tensor.numpy() for name, tensor in state.objective.items()}
    arrays |= {f"optimizer/{i}/{name}": tensor.cpu().numpy() for i, moment in moments.items() for name, tensor in moment.items()}
    groups = state.optimizer["param_groups"]
    with replacing(plan.log_path) as temporary:  # first: a training that is killed in between writes it again
        temporary.write_bytes(joined_lines(entry | {"seconds": seconds} for entry, seconds in zip(state.log, state.seconds)))
    about = {"identity": identity, "epoch": state.epoch, "log": state.log, "seconds": state.seconds, "groups": groups}
    write_arrays(plan.resume_path, RESUME_KIND, arrays, about)


def load_state(plan: Plan, identity: dict[str, Any]) -> State | None:
    """The state of an interrupted training; None where there is none.

    Raises: CannotCreate where it belongs to another training; DataError where it is damaged.
    """
    if not plan.resume_path.exists():
        return None
    check_hdf5_checksum(plan.resume_path)  # once, before hours go into it
    arrays, about = read_arrays(plan.resume_path, RESUME_KIND)
    identity = json.loads(json.dumps(identity))
    if about["identity"] != identity:
        old, new = about["identity"]["parameters"], identity["parameters"]
        changed = [f"{name} {old.get(name)} -> {new[name]}" for name in new if old.get(name) != new[name]] or ["the rows"]
        raise CannotCreate(f"{plan.resume_path} belongs to another training ({', '.join(changed)})", "start anew with --no-resume")

    def tensors(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): torch.from_numpy(np.array(array)) for name, array in arrays.items() if name.startswith(prefix)}

    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors("optimizer/").items():
        number, _, moment = name.partition("/")
        moments.setdefault(int(number), {})[moment] = tensor
    optimizer = {"state": moments, "param_groups": about["groups"]}
    return State(about["epoch"], tensors("weights/"), optimizer, tensors("best/"), about["log"], tensors("objective/"), about["seconds"])
