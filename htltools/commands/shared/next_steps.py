"""What to do next, as commands to paste: told at the end of `score` and `evaluate`, and only to a person at a terminal."""

import os
import shlex
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from htltools import console
from htltools.core.statistics.subgroups import Crossing, usual_fields
from htltools.errors import UsageError
from htltools.formats.rows.fields import condition

FIRST = "pruned_loss", "pruned_disagreement"  # the column to look at, the first that there is
SURE = 0.05  # p or q below which a subgroup is worth a look


def after_score(scored: list[dict]) -> None:
    """What to do with scored rows, of which `scored` are the first, once they lie in a file."""
    if not someone_reads():
        return
    row = next((row for row in scored if row.get("split") == "train"), scored[0])
    rows, by = kept_in(1), next((name for name in FIRST if name in row.get("hardness", {})), None)
    if rows is None and sys.stdout.isatty():
        tell([("htl score ... > scored.jsonl", "these rows are kept nowhere")])
    if rows is None or by is None:
        return
    split = " --split train" if row.get("split") == "train" else ""
    steps = [(f"htl view {rows}{split} --sort {by} --images auto", "look at the hardest")]
    if row.get("meta") and row.get("boxes"):
        steps.append((f"htl evaluate {rows}{split or ' --split ' + str(row.get('split'))} --hard {by}", "who are they?"))
    else:
        steps.append((f"htl resample {rows} --by {by} > weighted.jsonl", "weigh them for htl train"))
    tell(steps)


def after_evaluate(
    rows: Path | None, samples: list[dict], lines: list[dict], models: Sequence[Path], against: Sequence[Path], crossings: list[Crossing]
) -> None:
    """What to do after a measurement, by what was found in its samples and written in its lines."""
    if not someone_reads():
        return
    name = shlex.quote(str(rows)) if rows and str(rows) != "-" else kept_in(0) or "ROWS"
    odds = [line for line in lines if line["metric"] == "odds_ratio"]
    steps = after_odds(name, samples, odds) if odds else []
    if models:
        steps += after_metrics(name, samples, lines, models, against, crossings)
    tell(steps[:2])


def after_odds(rows: str, samples: list[dict], odds: list[dict]) -> list[tuple[str, str]]:
    """Where to look once it is known who is hard: at the subgroup that is so most surely, else at the hardest themselves."""
    by, split = odds[0]["column"], odds[0]["split"]
    sure = [line for line in odds if line["column"] == by and below(line["q"]) and line["hard"] > line["top"] * line["n"]]
    for line in sorted(sure, key=lambda line: (line["q"], -line["hard"] / line["n"])):
        if chosen := narrowed(line["subgroup"], samples, line["n"]):
            look = f"htl view {rows} --split {split} {chosen} --sort {by} --images auto"
            first = look, f"{line['hard']} of these {line['n']} are hard"
            break
    else:
        first = f"htl view {rows} --split {split} --sort {by} --images auto", "no subgroup stands out: look at the hardest"
    return [first, (f"htl resample {rows} --by {by} | htl train -o attended.h5", "attend to them")]


def after_metrics(
    rows: str, samples: list[dict], lines: list[dict], models: Sequence[Path], against: Sequence[Path], crossings: list[Crossing]
) -> list[tuple[str, str]]:
    """What would tell more: of the worst subgroup where there is a gap, of other seeds, of subgroups, or of single samples."""
    named = "".join(f" {flagged(path)}" for path in models)
    split = samples[0]["split"]
    part = "" if split == "test" else f" --split {split}"  # test is what evaluate measures unasked
    worst = {line["by"]: line for line in lines if line["metric"] == "iou_mean.worst"}
    gaps = [line for line in lines if line["metric"] == "iou_mean.gap" and below(line["p"])]
    steps = []
    for gap in sorted(gaps, key=lambda line: line["p"]):
        level = worst[gap["by"]]
        if chosen := narrowed(level["subgroup"], samples, level["n"]):
            look = f"htl view {rows} --split {split} {chosen} --images auto"
            steps.append((look, f"the worst: a mean IoU lower by {gap['value']:.3f} than of the best"))
            break
    if against and len(models) == 1:
        again = f"htl evaluate {rows}{named} {flagged('OTHER', models[0])} --against {shlex.quote(str(against[0]))} --against OTHER{part}"
        steps.append((again, "with a second pair, trained with --seed 1: is it the seed?"))
    fields = ",".join(map(str, usual_fields(samples)))
    if not crossings and fields:
        steps.append((f"htl evaluate {rows}{named}{part} --group-by {shlex.quote(fields)}", "for whom?"))
    if models[0].suffix == ".h5" and not any("pruned_disagreement" in row.get("hardness", {}) for row in samples):
        prune = f"htl prune {rows} {flagged(models[0])} -o pruned.h5 | htl score > scored.jsonl"
        steps.append((prune, "which samples are hard?"))
    return steps


def flagged(path: Path | str, like: Path | None = None) -> str:
    """A model, or the answers of another tool, with the flag of `evaluate` that takes it, or one `like` it."""
    return f"{'--predictions' if (like or path).suffix == '.json' else '--model'} {shlex.quote(str(path))}"


def narrowed(subgroup: dict[str, str], samples: list[dict], count: int) -> str | None:
    """Flags for `view` that choose a subgroup, or None where they would choose others than its `count` samples."""
    texts = [f"{field}={level}" for field, level in subgroup.items()]
    try:
        tests = [condition(text) for text in texts]
    except UsageError:
        return None
    if sum(all(test(row) for test in tests) for row in samples) != count:  # a band of numbers, say, or `unknown`
        return None
    return " ".join(f"--where {shlex.quote(text)}" for text in texts)


def below(p: float | None) -> bool:
    """Whether a p or q is small."""
    return p is not None and p < SURE


def someone_reads() -> bool:
    """Whether a person looks at stderr, and no command after this one, which would be the next step, takes stdout."""
    return not console.talk.quiet and console.is_terminal(sys.stderr) and not stat.S_ISFIFO(os.fstat(1).st_mode)


def kept_in(descriptor: int) -> str | None:
    """The file that a shell opened as stdin (0) or stdout (1), quoted for that shell; None where it is none, or has no name here."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # not Linux
        return None
    return shlex.quote(os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path)


def tell(steps: Sequence[tuple[str, str]]) -> None:
    """Print commands, each with its reason as a comment of the shell, so that a whole line can be pasted."""
    if steps:
        console.say("next:")
    for command, reason in steps:
        print(f"  {console.printable(command)}   # {console.printable(reason)}", file=sys.stderr, flush=True)
