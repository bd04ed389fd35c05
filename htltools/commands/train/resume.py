"""How a training stops and goes on: what was asked of it, and its state in a file after each epoch."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from htltools import console
from htltools.core.hardness.cross_fitting import Fold
from htltools.core.training.adaptive_weighting import Attending
from htltools.core.training.loop import State
from htltools.core.training.mean_teacher import Unlabelled
from htltools.errors import CannotCreate, HtlError
from htltools.formats.files.atomic import replacing
from htltools.formats.models.checkpoint import RESUME_KIND, read_arrays, resume_path, write_arrays
from htltools.formats.rows.jsonlines import compact_json, joined_lines
from htltools.formats.store.checksummed_hdf5 import check_seal


@dataclass(frozen=True)
class Plan:
    """What the user asked of a training."""

    out: Path
    model: str
    init: str
    epochs: int
    batch_size: int
    rate: float
    schedule: str
    seed: int
    fold: Fold | None
    attending: Attending | None = None
    unlabelled: Unlabelled | None = None  # of semi-supervision
    weak: bool = False  # from class labels alone
    flip: tuple[float, float] = (0.5, 0.5)  # chance of a mirror image along each axis

    @property
    def resume_path(self) -> Path:
        """Where an interrupted training waits."""
        return resume_path(self.out)

    @property
    def lock_path(self) -> Path:
        """What one training at a time holds."""
        return self.out.with_name(f".{self.out.name}.lock")

    @property
    def log_path(self) -> Path:
        """One line of JSON per epoch."""
        return self.out.with_name(f"{self.out.stem}.log.jsonl")


@contextmanager
def hint_of(plan: Plan) -> Iterator[None]:
    """However a training is broken off, say how it goes on.

    Raises: HtlError where torch.compile cannot do it.
    """
    try:
        yield
    except BaseException as error:
        if plan.resume_path.exists():
            console.say(f"stopped; the same command goes on from {plan.resume_path}")
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise HtlError(f"the net cannot be compiled here ({type(error).__name__})", "leave out --compile") from error
        raise


def training_identity(plan: Plan, shape: dict, rows: list[dict], weights: np.ndarray) -> dict:
    """What must be the same for an interrupted training to go on: parameters and data."""
    learned = ["label"] if plan.weak else ["boxes", "labels"]
    keys = ["id", *learned, "size", "store", "index"]
    data = compact_json([[row.get(key) for key in keys] for row in rows]) + weights.tobytes()
    return {
        "parameters": {name: value for name, value in asdict(plan).items() if name != "out"},
        "architecture": shape,
        "data": hashlib.sha256(data).hexdigest(),
    }


def save_state(plan: Plan, identity: dict, state: State) -> None:
    """Write what it takes to go on, and the log."""
    moments = state.optimizer["state"]
    arrays = {f"weights/{name}": tensor.numpy() for name, tensor in state.weights.items()}
    arrays |= {f"best/{name}": tensor.numpy() for name, tensor in state.best.items()}
    arrays |= {f"memory/{name}": tensor.numpy() for name, tensor in state.state_dict.items()}
    arrays |= {f"optimizer/{i}/{name}": tensor.cpu().numpy() for i, moment in moments.items() for name, tensor in moment.items()}
    groups = state.optimizer["param_groups"]
    with replacing(plan.log_path) as temporary:  # first: a training that is killed in between writes it again
        temporary.write_bytes(joined_lines(state.log))
    write_arrays(plan.resume_path, RESUME_KIND, arrays, {"identity": identity, "epoch": state.epoch, "log": state.log, "groups": groups})


def load_state(plan: Plan, identity: dict) -> State | None:
    """The state of an interrupted training; None where there is none.

    Raises: CannotCreate where it belongs to another training; DataError where it is damaged.
    """
    if not plan.resume_path.exists():
        return None
    check_seal(plan.resume_path)  # once, before hours go into it
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
    return State(about["epoch"], tensors("weights/"), optimizer, tensors("best/"), about["log"], tensors("memory/"))
