#!/usr/bin/env python3
"""The tables of runs.py: means over seeds, and differences to a control with a 95 % t interval over seeds.

usage: tables.py RUNS [SPLIT]      SPLIT: test (default), val or elsewhere
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from lab import read_runs
from scipy import stats

BY_NET = "looks", "few", "weaklooks", "rarelooks"  # settings whose arms are NET:ARM, each net with a `plain` one of its own
BASELINES = {"natural": "uniform", "rare": "uniform", "semi": "none", "weak": "constant", "wrong": "noisy"}
FIGURES = "iou_mean", "iou_p10", "acc@0.75", "failure_rate", "rare.iou_mean", "others.iou_mean", "balanced"


def interval(values: list[float], form: str) -> str:
    """Mean and 95 % t interval over seeds."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:{form}}"
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{mean:{form}} [{mean - half:{form}}, {mean + half:{form}}]"


def figure(line: dict, split: str, name: str) -> float | None:
    """A figure of a run; `balanced` is the mean of the rare and the others, as if the split held as many of both."""
    figures = line.get(split, {})
    if name == "balanced":
        parts = figures.get("rare.iou_mean"), figures.get("others.iou_mean")
        return None if None in parts else sum(parts) / 2
    return figures.get(name)


def by_arm(lines: list[dict]) -> dict[str, dict[int, dict]]:
    """The lines of one setting and protocol by arm and seed, in their order."""
    arms: dict[str, dict[int, dict]] = defaultdict(dict)
    for line in lines:
        arms[line["arm"]][line["seed"]] = line
    return arms


def print_differences(title: str, arms: dict[str, dict[int, dict]], baseline: str, split: str) -> None:
    """Print the differences of each arm to the baseline, on the seeds that both have."""
    base = arms[baseline]
    names = [name for name in FIGURES if all(figure(line, split, name) is not None for line in base.values())]

    def cell(runs: dict[int, dict], seeds: list[int], name: str) -> str:
        values = [figure(runs[seed], split, name) for seed in seeds]
        if None in values:
            return "-"
        return interval([value - figure(base[seed], split, name) for value, seed in zip(values, seeds)], "+.4f")

    print(f"\n{title}, {split}: arm minus {baseline}\narm\tseeds\t" + "\t".join(names))
    print(
        f"{baseline}\t{len(base)}\t" + "\t".join(f"{np.mean([figure(line, split, name) for line in base.values()]):.4f}" for name in names)
    )
    for arm, runs in arms.items():
        seeds = sorted(runs.keys() & base.keys())
        if arm == baseline or not seeds:
            continue
        print(f"{arm}\t{len(seeds)}\t" + "\t".join(cell(runs, seeds, name) for name in names))


def print_nets(title: str, arms: dict[str, dict[int, dict]], split: str) -> None:
    """Print the differences of the arms of each net to its plain training, and what looking again at a share of the images gains."""
    for net in dict.fromkeys(arm.partition(":")[0] for arm in arms):
        own = {arm.partition(":")[2]: runs for arm, runs in arms.items() if arm.startswith(f"{net}:")}
        gates = own.pop("gates", {})
        if "plain" in own:
            print_differences(f"{title} {net}", own, "plain", split)
        if gates and split == "test":
            names = list(next(iter(gates.values()))["gates"])
            print(f"\n{title} {net}: mean IoU where 30 % are looked at again, by; area: of the gain by share, less chance\ncolumn\tvalue")
            for name in names:
                values = [line["gates"][name] for line in gates.values()]
                print(f"{name}\t{interval(values, '+.4f' if name.startswith('area') else '.4f')}")


def print_doubt(title: str, arms: dict[str, dict[int, dict]]) -> None:
    """Print how well each column tells failures, by model and data set."""
    for arm, runs in arms.items():
        for split in next(iter(runs.values()))["doubt"]:
            found = [line["doubt"][split] for line in runs.values()]
            failures = interval([each["all"]["failures"] for each in found], ".3f")
            reached = interval([each["all"]["iou"] for each in found], ".4f")
            print(f"\n{title} {arm}, {split}: failures (IoU < .5) {failures}, mean IoU {reached}, {len(found)} seeds")
            names = [name for name in found[0] if name != "all"]
            print("column\t" + "\t".join(found[0][names[0]]))
            for name in names:
                print(f"{name}\t" + "\t".join(interval([each[name][figure] for each in found], ".3f") for figure in found[0][name]))


def print_captured(lines: list[dict]) -> None:
    """Print the share of the rare group that is in the top 30 % of each score, by protocol, and the difference to `loss`."""
    shares: dict[str, dict[tuple[str, int], float]] = defaultdict(dict)
    for line in lines:
        for column, share in (line.get("captured") or {}).items():
            shares[column][line["protocol"], line["seed"]] = share
    if not shares:
        return
    protocols = list(dict.fromkeys(protocol for protocol, _ in shares["loss"]))
    seeds = sorted({seed for _, seed in shares["loss"]})
    print(
        f"\nshare of the rare group in the top 30 % (chance .30), {len(seeds)} seeds\ncolumn\t"
        + "\t".join(protocols)
        + "\tmean\tminus loss"
    )

    def mean_of(column: str, seed: int) -> float:
        return float(np.mean([shares[column][protocol, seed] for protocol in protocols]))

    complete = [seed for seed in seeds if all((protocol, seed) in shares["loss"] for protocol in protocols)]
    for column in sorted(shares, key=lambda name: -np.mean(list(shares[name].values()))):
        cells = [f"{np.mean([v for (p, _), v in shares[column].items() if p == protocol]):.2f}" for protocol in protocols]
        gain = interval([mean_of(column, s) - mean_of("loss", s) for s in complete], "+.3f")
        print(f"{column}\t" + "\t".join(cells) + f"\t{np.mean([mean_of(column, s) for s in complete]):.3f}\t{gain}")


def print_rounds(arms: dict[str, dict[int, dict]], split: str) -> None:
    """Print the mean IoU after each number of labels, by the column that chose them, and the difference to a random choice."""
    print(f"\nannotate, {split}: mean IoU by labels\nchosen by\tlabels\tmean\tminus random")
    for arm, runs in arms.items():
        by, count = arm.split(":")
        base = arms.get(f"random:{count}", {})
        seeds = sorted(runs.keys() & base.keys())
        values = [figure(runs[s], split, "iou_mean") for s in seeds]
        gains = [figure(runs[s], split, "iou_mean") - figure(base[s], split, "iou_mean") for s in seeds]
        if seeds:
            print(f"{by}\t{count}\t{np.mean(values):.4f}\t{interval(gains, '+.4f')}")


def main(path: Path, split: str) -> None:
    """Print every table that the runs allow."""
    parts: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for line in read_runs(path):
        parts[line["setting"], line["protocol"]].append(line)
    print_captured([line for (setting, _), lines in parts.items() if setting == "rare" for line in lines])
    for (setting, protocol), lines in parts.items():
        arms = by_arm(lines)
        if setting == "doubt":
            print_doubt(f"{setting} {protocol}", arms)
        elif setting == "annotate":
            print_rounds(arms, split)
        elif setting in BY_NET:
            print_nets(f"{setting} {protocol}", arms, split)
        elif BASELINES[setting] in arms and len(arms) > 1:
            print_differences(f"{setting} {protocol}", arms, BASELINES[setting], split)
        for column in lines[0].get("auroc") or arms.get("noisy", {0: {}}).get(lines[0]["seed"], {}).get("auroc") or {}:
            values = [line["auroc"][column] for line in lines if "auroc" in line]
            print(f"AUROC of wrong boxes by {column}\t{interval(values, '.4f')}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "test")
