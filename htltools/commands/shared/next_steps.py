"""What to do next, as commands to paste: printed at the end of `score` and `evaluate`, and only for a person at a terminal."""

import os
import re
import shlex
import stat
import sys
from collections.abc import Mapping, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any

from htltools import console
from htltools.core.nets.names import DEFAULT
from htltools.core.statistics.subgroups import Crossing, usual_fields
from htltools.errors import HtlError, UsageError
from htltools.formats.models.checkpoint import architecture_of
from htltools.formats.rows.fields import condition
from htltools.formats.rows.row import Row
from htltools.tasks.registry import TASKS

PREFERRED = "pruned_loss", "pruned_disagreement"  # the column to look at, the first that there is
ALPHA = 0.05  # p or q below which a subgroup is worth a look

Step = tuple[str, str]  # a command and its reason
Lines = Sequence[dict[str, Any]]  # metrics, as `evaluate` writes them


def after_score(scored: Sequence[Mapping[str, Any]], dense: Path) -> None:
    """Print what to do with scored rows, of which `scored` are the first, once they lie in a file. `dense`: a model, or predictions."""
    if not is_interactive():
        return
    row = Row(next((row for row in scored if row.get("split") == "train"), scored[0]))
    file, by = redirected_file(1), next((name for name in PREFERRED if name in row.hardness), None)
    if file is None and sys.stdout.isatty():
        print_steps([("htl score ... > scored.jsonl", "these rows are kept nowhere")])
    if file is None or by is None:
        return
    split = " --split train" if row.split == "train" else ""
    steps = [(f"htl view {file}{split} --sort {by} --thumbnails auto", "look at the hardest")]
    if row.meta and row.is_annotated:
        steps.append((f"htl evaluate {file}{split or f' --split {row.split}'} --hard {by}", "who are they?"))
    else:
        steps += steps_to_attend(file, row, dense)
    print_steps(steps)


def after_evaluate(
    rows: Path | None,
    samples: Sequence[Row],
    lines: Lines,
    models: Sequence[Path],
    baselines: Sequence[Path],
    crossings: Sequence[Crossing],
    dense: Path | None,
) -> None:
    """Print what to do after a measurement: two steps at most, by its samples and the metrics of them. `dense`: the model of the rows."""
    if not is_interactive():
        return
    file = shlex.quote(str(rows)) if rows and str(rows) != "-" else redirected_file(0) or "ROWS"
    odds = [line for line in lines if line["metric"] == "odds_ratio"]
    steps = steps_by_odds(file, samples, odds, dense) if odds else []
    if models:
        steps += steps_by_metrics(file, samples, lines, models, baselines, crossings)
    print_steps(steps[:2])


def steps_by_odds(file: str, samples: Sequence[Row], odds: Lines, dense: Path | None) -> list[Step]:
    """Look at the subgroup that is most surely hard more often than others, or at the hardest where there is none; then attend."""
    by, split = odds[0]["column"], odds[0]["split"]
    sure = [line for line in odds if line["column"] == by and is_below_alpha(line["q"]) and line["hard"] > line["top"] * line["n"]]
    for line in sorted(sure, key=lambda line: (line["q"], -line["hard"] / line["n"])):
        if flags := subgroup_flags(line["subgroup"], samples, line["n"]):
            look = f"htl view {file} --split {split} {flags} --sort {by} --thumbnails auto"
            first = look, f"{line['hard']} of these {line['n']} are hard"
            break
    else:
        first = f"htl view {file} --split {split} --sort {by} --thumbnails auto", "no subgroup stands out: look at the hardest"
    return [first, *steps_to_attend(file, samples[0], dense)]


def steps_to_attend(file: str, row: Row, dense: Path | None) -> list[Step]:
    """Train a model that looks again, where that of the rows looks once; else look at what may be annotated wrongly, if that is known."""
    if row.is_annotated and (arch := net_that_looks_once(dense)):
        return [(f"htl train {file}{'' if arch == DEFAULT else f' --arch {arch}'} -o attended.h5", "attend: a model that looks again")]
    if "suspect" in row.hardness:
        return [(f"htl view {file} --split {row.split} --sort suspect --thumbnails auto", "hard, or annotated wrongly?")]
    return []


def net_that_looks_once(model: Path | None) -> str | None:
    """The name of the net of a checkpoint that looks once and could learn to look again; None of any other file."""
    try:
        architecture = architecture_of(model) if model else {}
    except HtlError:
        return None
    task, looks = TASKS.get(architecture.get("task", "")), architecture.get("looks") or {}
    return shlex.quote(architecture["name"]) if task and "look" in task.supports and looks.get("count", 1) == 1 else None


def steps_by_metrics(
    file: str, samples: Sequence[Row], lines: Lines, models: Sequence[Path], baselines: Sequence[Path], crossings: Sequence[Crossing]
) -> list[Step]:
    """Look at the worst subgroup where there is a gap; measure with other seeds, by subgroup, or single samples."""
    named = "".join(f" {model_flag(path)}" for path in models)
    split = lines[0]["split"]
    part = "" if split == "test" else f" --split {split}"  # test is what evaluate measures by default
    worst = {line["by"]: line for line in lines if line["metric"] == "iou_mean.worst"}
    gaps = [line for line in lines if line["metric"] == "iou_mean.gap" and is_below_alpha(line["p"])]
    steps = []
    for gap in sorted(gaps, key=lambda line: line["p"]):
        level = worst[gap["by"]]
        if flags := subgroup_flags(level["subgroup"], samples, level["n"]):
            look = f"htl view {file} --split {split} {flags} --thumbnails auto"
            steps.append((look, f"the worst: a mean IoU lower by {gap['value']:.3f} than of the best"))
            break
    if baselines and len(models) == 1:
        second = f"{model_flag(models[0], 'OTHER')} --baseline {shlex.quote(str(baselines[0]))} --baseline OTHER"
        steps.append((f"htl evaluate {file}{named} {second}{part}", "with a second pair, trained with --seed 1: is it the seed?"))
    fields = ",".join(map(str, usual_fields(samples)))
    if not crossings and fields:
        steps.append((f"htl evaluate {file}{named}{part} --group-by {shlex.quote(fields)}", "for whom?"))
    if models[0].suffix == ".h5" and not any("pruned_disagreement" in row.hardness for row in samples):
        prune = f"htl prune {file} {model_flag(models[0])} -o pruned.h5 | htl score > scored.jsonl"
        steps.append((prune, "which samples are hard?"))
    return steps


def model_flag(path: Path, name: str | None = None) -> str:
    """The flag of `evaluate` for a model, or for predictions of another tool, with its path, or with another name of that kind."""
    return f"{'--predictions' if path.suffix == '.json' else '--model'} {shlex.quote(name or str(path))}"


def subgroup_flags(subgroup: dict[str, str], samples: Sequence[Row], count: int) -> str | None:
    """Flags of `view` that choose a subgroup, or None where they would choose others than its `count` samples."""
    for choice in product(*(conditions_of(field, level) for field, level in subgroup.items())):
        texts = list(chain(*choice))
        try:
            tests = [condition(text) for text in texts]
            if sum(all(test(row) for test in tests) for row in samples) == count:
                return " ".join(f"--where {shlex.quote(text)}" for text in texts)
        except UsageError:
            pass
    return None  # such as `unknown`


def conditions_of(field: str, level: str) -> list[list[str]]:
    """What conditions a level may stand for: the value itself, or a band of numbers, of whole ones with its last inside.

    >>> conditions_of("age", "40-59")
    [['age=40-59'], ['age>=40', 'age<60'], ['age>=40', 'age<59']]
    """
    band = re.fullmatch(r"(-?[\d.]+)-(-?[\d.]+)", level)
    if not band:
        return [[f"{field}={level}"]]
    ends = [*([str(int(band[2]) + 1)] if re.fullmatch(r"-?\d+", band[2]) else []), band[2]]
    return [[f"{field}={level}"], *([f"{field}>={band[1]}", f"{field}<{end}"] for end in ends)]


def is_below_alpha(p: float | None) -> bool:
    """Whether a p or q is known and small."""
    return p is not None and p < ALPHA


def is_interactive() -> bool:
    """Whether a person looks at stderr, and no command after this one, which would be the next step, takes stdout."""
    return not console.talk.quiet and console.is_terminal(sys.stderr) and not stat.S_ISFIFO(os.fstat(1).st_mode)


def redirected_file(descriptor: int) -> str | None:
    """The file that a shell opened as stdin (0) or stdout (1), quoted for that shell; None where it is none, or has no name here."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # not Linux
        return None
    return shlex.quote(os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path)


def print_steps(steps: Sequence[Step]) -> None:
    """Print commands, each with its reason as a comment of the shell, so that a whole line can be pasted."""
    if steps:
        console.say("next:")
    for command, reason in steps:
        print(f"  {console.printable(command)}   # {console.printable(reason)}", file=sys.stderr, flush=True)
