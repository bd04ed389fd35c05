"""What `report` knows of its samples: scores, boxes and IoU by role, and the models that gave them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from htltools import console
from htltools.commands.shared import inputs
from htltools.commands.shared.machine import Machine
from htltools.commands.shared.streaming import FLAGS
from htltools.core.geometry.matching import set_overlap
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.schema import ROLES, SPLITS
from htltools.formats.rows.stream import RowReader
from htltools.tasks.objects import objects_by_role


@dataclass(frozen=True)
class ReportSamples:
    """Samples with all that is known of them.

    objects: by role (annotated, dense, pruned, attended), as `core.objects` has them [N, M, 5]; iou: [N] with the annotated ones, by
    role, of several objects as `core.matching` has it; checkpoints: by role, those that could be read; stability: rank correlation
    between models by column and split.
    """

    rows: list[dict]
    objects: dict[str, np.ndarray]
    paths: dict[Path, str]
    checkpoints: dict[str, list[Checkpoint]]
    stability: dict[str, dict[str, float]]
    seed: int

    @cached_property
    def iou(self) -> dict[str, np.ndarray]:
        return {role: set_overlap(own, self.objects["annotated"]) for role, own in self.objects.items() if role != "annotated"}

    @cached_property
    def splits(self) -> np.ndarray:
        return np.array([row.get("split") or "none" for row in self.rows])

    @cached_property
    def groups(self) -> np.ndarray:
        return np.array(inputs.groups_of(self.rows))

    @cached_property
    def parts(self) -> list[str]:
        """The splits that there are."""
        return [part for part in (*SPLITS, "none") if part in self.splits]

    def known(self, name: str) -> np.ndarray:
        """A column of hardness: float [N], NaN where a row lacks it."""
        return inputs.known_hardness(self.rows, name, self.seed)

    def column(self, name: str) -> np.ndarray:
        """As `known`.

        Raises: DataError where no row has it.
        """
        values = self.known(name)
        return values if np.isfinite(values).any() else inputs.hardness_column(self.rows, name, self.seed)


def judged(
    rows: list[dict], reader: RowReader, dense: list[Path], pruned: list[Path], against: Path | None, machine: Machine
) -> ReportSamples:
    """The samples of some rows. They are scored first where they are not, or where models were named."""
    rows = [row for row in rows if not row.get("repeat")]
    paths = {"dense": dense, "pruned": pruned}
    stability: dict = {}
    if dense or pruned or not any(row.get("predicted") or row.get("detected") for row in rows):
        paths = {role: own or [inputs.model_path(None, reader, role, FLAGS[role])] for role, own in paths.items()}
        rows, stability = scored(rows, paths, machine)
    else:
        paths = {role: in_stream(reader, role) for role in ROLES}
    if against:
        from htltools.commands.evaluate import measure

        rows = [row | answer for row, answer in zip(rows, measure.row_predictions(against, rows, "attended", machine))]
        paths["attended"] = [against]
    objects = objects_by_role(rows, [*ROLES, "attended"])
    by_path = {path: role for role, own in paths.items() for path in own}
    return ReportSamples(rows, objects, by_path, {role: checkpoints(own) for role, own in paths.items()}, stability, machine.seed)


def scored(rows: list[dict], paths: dict[str, list[Path]], machine: Machine) -> tuple[list[dict], dict]:
    """The rows as `score` writes them, and how alike the models rank them: rank correlation by column and split."""
    from htltools.commands.score.scorer import Scorer
    from htltools.core.hardness.rank_stability import Stability

    place, dtype = inputs.chosen_machine(machine.device, machine.precision)
    several = max(map(len, paths.values())) > 1
    stability = Stability() if several else None
    scorer = Scorer(paths["dense"], paths["pruned"], machine.batch_size, machine.seed, [], place, dtype, stability)
    found: list[dict] = []
    with console.progress("scoring", len(rows)) as steps:
        for start in range(0, len(rows), machine.batch_size):
            found += scorer.scored(rows[start : start + machine.batch_size])
            steps.advance(len(found) - start)
    return found, stability.correlations() if stability else {}


def in_stream(reader: RowReader, role: str) -> list[Path]:
    """The model of that role that the stream names, if it is still there."""
    if role not in reader.models:
        return []
    path = inputs.model_path(None, reader, role, FLAGS[role])
    if not path.is_file():
        console.say(f"the {role} model {path} is not there: the page goes without its curves")
        return []
    return [path]


def checkpoints(paths: list[Path]) -> list[Checkpoint]:
    """The checkpoints among some models; an ONNX file is none."""
    from htltools.formats.models.onnx import is_onnx

    return [Checkpoint.load(path) for path in paths if not is_onnx(path)]
