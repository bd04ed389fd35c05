#!/usr/bin/env python3
"""Write the tables of EVIDENCE.md and README.md from the committed runs, between the marks `<!-- runs: NAME -->` and `<!-- end -->`.

usage: document.py [RUNS [FILE...]]    by default examples/evidence/looks.jsonl, EVIDENCE.md and README.md of this checkout

A run is a line of runs.py. A cell is the mean over the seeds that there are, a difference has a 95 % t interval over them, and
`seeds` counts them; a cell of fewer seeds than its line says so, and one of less than three has no interval. Runs of more seeds or
further arms need no change here.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from lab import read_runs
from tables import by_arm, interval

ROOT = Path(__file__).resolve().parents[2]
MARK = re.compile(r"(<!-- runs: (\S+) -->\n).*?(<!-- end -->)", re.S)
Arms = dict[str, dict[int, dict]]  # the runs by arm and seed

NETS = {"regressor": "four numbers (`--arch compact`)", "boxes": "pixels, from boxes alone", "masks": "pixels, from masks"}
ARMS = {  # what an arm is, in words; others stand under their own names
    "plain": "trained on whole images, one look",
    "plain+look": "the same net, two looks",
    "look": "`train --attend look`, the default",
    "look:once": "that net, one look",
    "look:twice": "that net, two looks",
    "look@random": "that net, the second look at a random place",
    "look@median": "that net, the second look at the median box",
    "mirror2": "one look, mean box of 2 mirror images",
    "mirror4": "one look, mean box of 4 mirror images",
    "larger": "one look at an image of twice the pixels",
    "glance:pruned": "first look by a copy with 90 % of its weights cut",
    "glance:channel": "first look by a copy that lost half of its weights, by whole channels",
    "glance:channel70": "first look by a copy that lost 70 % of its weights, by whole channels",
    "glance:unpruned": "first look by a copy fine-tuned alike, not pruned",
    "hard:pruned_loss": "crops more often of what is hard by `pruned_loss`",
    "hard:random": "crops more often of a random choice",
    "teacher": "mean teacher, one look",
    "teacher:look": "mean teacher, looks again",
}
FEW = ARMS | {"plain": "labels alone, one look", "look": "labels alone, looks again"}
WEAK = ARMS | {"plain": "a localizer trained on boxes of the map, one look", "look": "the same, looks again"}
RARE = {"small": "the smallest quarter of the lesions", "clinic": "one of the clinics"}  # by protocol
WITHOUT = {"masks": ("look:once", "look:twice")}  # arms that say nothing: masks are learned without crops, so one look is `plain`
MEASURES = {"mean IoU": ("test", "iou_mean"), "10th percentile": ("test", "iou_p10"), "Acc@.75": ("test", "acc@0.75")}
MEASURES |= {"IoU < .1": ("test", "failure_rate"), "ISIC 2017: mean IoU": ("elsewhere", "iou_mean")}
REVERSED = {name.replace("ISIC 2017", "HAM10000"): where for name, where in MEASURES.items()}
RARE_MEASURES = {"rare: mean IoU": ("test", "rare.iou_mean"), "rare: 10th percentile": ("test", "rare.iou_p10")}
RARE_MEASURES |= {"others: mean IoU": ("test", "others.iou_mean"), "all": ("test", "iou_mean")}
DATA = {"test": "HAM10000", "elsewhere": "ISIC 2017"}
MODELS = {f"{net}-{way}": f"{words}, {look}" for net, words in NETS.items() for way, look in (("plain", "one look"), ("look", "looks"))}
COLUMNS = {
    "two mirrors": "`mirror_disagreement`, 2 mirror images",
    "three mirrors": "the same of 3 mirror images",
    "one mirror": "the same of 1 mirror image",
    "look": "`look_disagreement`",
    "two mirrors and look": "mean of 2 mirror images and `look_disagreement`",
    "another seed": "`seed_disagreement` with the net of another seed",
    "pruned_disagreement": "`pruned_disagreement`",
    "unpruned_disagreement": "disagreement with the copy that is not pruned",
    "random_cut_disagreement": "disagreement with a copy that lost half of its weights at random",
    "pruned_shift": "`pruned_shift`",
    "unpruned_shift": "shift against the copy that is not pruned",
    "random_cut_shift": "shift against the copy that lost half at random",
    "one mirror and pruned": "mean of 1 mirror image and `pruned_disagreement`",
    "one mirror and unpruned": "mean of 1 mirror image and the copy that is not pruned",
    "one mirror and random_cut": "mean of 1 mirror image and the copy that lost half at random",
    "smallness": "smallness of the predicted box",
    "random": "`random`",
}
FEWEST = 3  # seeds that an interval needs; that of two is wider than all that is known
MIRRORS = "two mirrors"  # what the other columns of doubt are compared with
GATES = {"none": "none", "random": "30 %, by chance", "all": "all"}
BY = COLUMNS | {"mirror": "`mirror_disagreement`, 1 mirror image"}
GATES |= {name: f"30 %, by {BY[name]}; minus chance" for name in ("mirror", *COLUMNS) if name not in GATES}


def short(text: str) -> str:
    """Figures without the zero before the point.

    >>> short("0.81 [-0.02, +0.01], 10.5")
    '.81 [-.02, +.01], 10.5'
    """
    return re.sub(r"(?<![\d.])0\.", ".", text)


def counted(seeds: int) -> str:
    """A number of seeds, in words."""
    return f"{seeds} seed" + "s" * (seeds != 1)


def mean_and_interval(values: list[float], form: str, count: int) -> str:
    """The cell of these values on a line of `count` seeds."""
    if not values:
        return "–"
    text = interval(values, form) if len(values) >= FEWEST else f"{np.mean(values):{form}}"
    return short(text) + (f" ({len(values)})" if len(values) != count else "")


def value(run: dict, split: str, name: str) -> float | None:
    """A metric of a run, if it was measured."""
    return run.get(split, {}).get(name)


def differences(arm: dict[int, dict], base: dict[int, dict], split: str, name: str) -> list[float]:
    """Arm minus baseline, by seeds that have both."""
    pairs = [(value(arm[seed], split, name), value(base[seed], split, name)) for seed in sorted(arm.keys() & base.keys())]
    return [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]


def means(runs: dict[int, dict], split: str, name: str) -> str:
    """The mean over seeds, without an interval: seeds differ by far more than arms of one seed."""
    values = [found for run in runs.values() if (found := value(run, split, name)) is not None]
    return short(f"{np.mean(values):.3f}") if values else "–"


def table(heading: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    heading = list(heading)
    rows = [heading, ["---"] * len(heading), *map(list, lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def against(arms: Arms, baseline: str, words: dict[str, str], heading: str, measures: dict[str, tuple[str, str]] | None = None) -> str:
    """A table of every arm minus a baseline, whose own line has its means; empty where the baseline was not run."""
    if baseline not in arms:
        return ""
    base, measures = arms[baseline], measures or MEASURES
    lines = [[words.get(baseline, baseline), str(len(base)), *(means(base, *measure) for measure in measures.values())]]
    for arm in sorted(arms, key=lambda arm: (list(words) + [arm]).index(arm)):
        seeds = arms[arm].keys() & base.keys()
        if arm != baseline and seeds:
            cells = (mean_and_interval(differences(arms[arm], base, *measure), "+.3f", len(seeds)) for measure in measures.values())
            lines.append([words.get(arm, arm), str(len(seeds)), *cells])
    return table([heading, "seeds", *measures], lines)


def of_net(arms: Arms, net: str) -> Arms:
    """The arms of one net, by what follows its name."""
    own = {arm.partition(":")[2]: runs for arm, runs in arms.items() if arm.startswith(f"{net}:")}
    return {arm: runs for arm, runs in own.items() if arm not in WITHOUT.get(net, ()) and arm != "gates"}


def nets(arms: Arms) -> str:
    """The kinds of nets, and what training for looks gains."""
    lines = []
    for net, words in NETS.items():
        own = of_net(arms, net)
        if "plain" not in own:
            continue
        cells = []
        for split in DATA:
            gain = mean_and_interval(differences(own.get("look", {}), own["plain"], split, "iou_mean"), "+.3f", len(own["plain"]))
            beside = differences(own["plain"], of_net(arms, "regressor").get("plain", {}), split, "iou_mean")
            other = "" if net == "regressor" else f" ({mean_and_interval(beside, '+.3f', len(own['plain']))})" if beside else ""
            cells += [means(own["plain"], split, "iou_mean") + other, gain]
        lines.append([words, str(len(own["plain"])), *cells])
    heading = [f"{name}: {what}" for name in DATA.values() for what in ("one look", "looks again")]
    return table(["net predicts", "seeds", *heading], lines)


def gates(arms: Arms) -> str:
    """Mean IoU where 30 % are looked at again, by the column that chose them."""
    found = {
        (net, split): [run["gates"][split] for run in arms.get(f"{net}:gates", {}).values() if split in run["gates"]]
        for net in NETS
        for split in DATA
    }
    found = {place: runs for place, runs in found.items() if runs}
    names = [name for name in GATES if any(name in run for runs in found.values() for run in runs)]
    lines = []
    for name in names:
        alone = name in ("none", "random", "all")
        cells = (
            mean_and_interval(
                [run[name] - (0 if alone else run["random"]) for run in runs if name in run], ".3f" if alone else "+.3f", len(runs)
            )
            for runs in found.values()
        )
        lines.append([GATES[name], *cells])
    heading = (f"{NETS[net]}, {DATA[split]}, {counted(len(runs))}" for (net, split), runs in found.items())
    return table(["looked at again", *heading], lines)


def doubt(arms: Arms) -> str:
    """How well each column tells failures (IoU < .5), by model and data set."""
    parts = []
    for model in sorted(arms, key=lambda name: ([*MODELS] + [name]).index(name)):
        for split in DATA:
            found = [run["doubt"][split] for run in arms[model].values() if split in run["doubt"]]
            if not found:
                continue
            failures = short(f"{np.mean([each['all']['failures'] for each in found]):.3f}")
            reached = short(f"{np.mean([each['all']['iou'] for each in found]):.3f}")
            title = f"**{MODELS.get(model, model)}, {DATA[split]}**: mean IoU {reached}, failures {failures}, {counted(len(found))}"
            names = [name for name in dict.fromkeys([*COLUMNS, *found[0]]) if name != "all" and any(name in each for each in found)]
            lines = []
            for name in names:
                own = [each[name] for each in found if name in each]
                figures = ("failure_auroc", ".3f"), ("selective_failure_rate@0.8", ".3f"), ("selective_iou@0.8", ".3f")
                cells = [mean_and_interval([each[key] for each in own], form, len(found)) for key, form in figures]
                gains = [each[name]["failure_auroc"] - each[MIRRORS]["failure_auroc"] for each in found if {name, MIRRORS} <= each.keys()]
                beside = "–" if name == MIRRORS else mean_and_interval(gains, "+.3f", len(found))
                lines.append([COLUMNS.get(name, name), cells[0], beside, *cells[1:]])
            heading = "doubt", "AUROC of failures", "minus 2 mirror images", "failures of the 80 % of least doubt", "their mean IoU"
            parts.append(f"{title}\n\n{table(heading, lines)}")
    return "\n\n".join(parts)


def promise(arms: Arms) -> str:
    """Whether a threshold of doubt kept its promise on other patients, by model and limit."""
    lines = []
    for model in sorted(arms, key=lambda name: ([*MODELS] + [name]).index(name)):
        for limit in dict.fromkeys(limit for run in arms[model].values() for limit in run["promise"]):
            found = [run["promise"][limit] for run in arms[model].values()]
            given, kept = (sum(each[name] for each in found) for name in ("given", "kept"))
            rates = [
                short(f"{sum(each[name] * each['given'] for each in found if each['given']) / given:.3f}") if given else "–"
                for name in ("unreferred_failure_rate", "refer_rate")
            ]
            lines.append([MODELS.get(model, model), short(limit), str(len(found)), f"{kept} of {given}", *rates])
    return table(
        ["model", "`--max-failure`", "seeds", "promises kept, of those that could be given", "failures not referred", "referred"], lines
    )


def whole(arms: Arms, measures: dict[str, tuple[str, str]] | None = None) -> str:
    """All training images: each net minus plain training of the net of four numbers."""
    own = {name.replace(":", ", "): runs for name, runs in arms.items()}
    ways = {"plain": "one look", "look": "the default"}
    words = {f"{net}, {way}": f"{NETS[net]}, {look}" for net in NETS for way, look in ways.items()}
    return against(own, "regressor, plain", words, "minus four numbers, one look", measures)


def each_net(protocols: dict[str, Arms], title: Callable[[str], str], *how: Any) -> str:
    """A table for each protocol and net, of its arms minus plain training. title: of a protocol; how: the rest that `against` takes."""
    parts = []
    for protocol, arms in protocols.items():
        for net, words in NETS.items():
            own = of_net(arms, net)
            if "plain" in own:
                parts.append(f"**{title(protocol)}, {words}**\n\n{against(own, 'plain', *how)}")
    return "\n\n".join(parts)


def few(protocols: dict[str, Arms]) -> str:
    """Few boxes, by share and net."""
    return each_net(protocols, lambda share: f"{share} of the boxes", FEW, "minus labels alone")


def weak(arms: Arms) -> str:
    """Image labels alone: the map, and localizers trained on its boxes, minus the map and minus one look."""
    own = {name.replace(":", ", "): runs for name, runs in arms.items()}
    words = {"maps": "class activation map"} | {f"{net}, {arm}": f"{NETS[net]}: {WEAK[arm]}" for net in NETS for arm in ("plain", "look")}
    again = each_net({"all": arms}, lambda _: "Looking again", WEAK, "minus one look")
    return f"{against(own, 'maps', words, 'minus the map')}\n\n{again}"


def rare(protocols: dict[str, Arms]) -> str:
    """A rare group in the training split, by protocol and net: its test samples, the others, and all."""
    return each_net(protocols, lambda group: RARE.get(group, group), ARMS, "minus one look", RARE_MEASURES)


def results(parts: dict[str, dict[str, Arms]]) -> str:
    """The few results that stand in README.md: a gain of FEWEST seeds or more, or an AUROC, on the data set trained on and on the other."""
    arms, lines = parts.get("looks", {}).get("all", {}), []

    def line(what: str, ours: dict[int, dict], base: dict[int, dict]) -> None:
        seeds = len(ours.keys() & base.keys())
        if seeds >= FEWEST:
            cells = (mean_and_interval(differences(ours, base, split, "iou_mean"), "+.3f", seeds) for split in DATA)
            lines.append([what, *cells, str(seeds)])

    if start := arms.get("regressor:plain"):
        lines.append(
            [
                f"IoU of a net that predicts {NETS['regressor']}, one look",
                *(means(start, split, "iou_mean") for split in DATA),
                str(len(start)),
            ]
        )
    for net in "boxes", "masks":
        what = f"gain of predicting {NETS[net]}"
        line(what, arms.get(f"{net}:plain", {}), arms.get("regressor:plain", {}))
    for net, words in NETS.items():
        line(f"gain of looking again: {words}", arms.get(f"{net}:look", {}), arms.get(f"{net}:plain", {}))
    for net, words in NETS.items():
        rare_arms = of_net(parts.get("rarelooks", {}).get("small", {}), net)
        gains = differences(rare_arms.get("look", {}), rare_arms.get("plain", {}), "test", "rare.iou_mean")
        if len(gains) >= FEWEST:
            what = f"gain of looking again on small lesions, where these are rare in training: {words}"
            lines.append([what, mean_and_interval(gains, "+.3f", len(gains)), "–", str(len(gains))])
    whole_arms = parts.get("whole", {}).get("all", {})
    what = "gain of the default over four numbers and one look, with all 6,048 training images"
    line(what, whole_arms.get("boxes:look", {}), whole_arms.get("regressor:plain", {}))
    for share, few_arms in parts.get("few", {}).items():
        what = f"gain of looking again and a mean teacher, of {share} of the boxes: {NETS['boxes']}"
        line(what, few_arms.get("boxes:teacher:look", {}), few_arms.get("boxes:plain", {}))
    labels = parts.get("weaklooks", {}).get("all", {})
    what = f"gain over a class activation map, of image labels alone: {NETS['boxes']}, looks again"
    line(what, labels.get("boxes:look", {}), labels.get("maps", {}))
    by_model = parts.get("doubt", {}).get("all", {})
    model = next((name for name in ("boxes-look", "masks-look", "regressor-look", "regressor-plain") if name in by_model), None)
    for column in (MIRRORS, "look", "pruned_disagreement", "smallness") if model else ():
        found = [run["doubt"] for run in by_model[model].values() if all(column in run["doubt"].get(split, {}) for split in DATA)]
        if found:
            cells = (mean_and_interval([run[split][column]["failure_auroc"] for run in found], ".3f", len(found)) for split in DATA)
            lines.append([f"AUROC of failures (IoU < .5) by {COLUMNS[column]}", *cells, str(len(found))])
    return table(["result", "HAM10000", "ISIC 2017, other clinics", "seeds"], lines)


def blocks(runs: Path) -> dict[str, str]:
    """Every block by name; a setting without runs says so."""
    lines: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for run in read_runs(runs):
        lines[run["setting"]][run["protocol"]].append(run)
    parts = {setting: {name: by_arm(own) for name, own in protocols.items()} for setting, protocols in lines.items()}

    def made(maker: Callable[[Arms], str], setting: str, protocol: str = "all") -> str:
        arms = parts.get(setting, {}).get(protocol, {})
        return (maker(arms) if arms else "") or f"No run of the setting `{setting}` is in the repository."

    found = {
        f"looks.{net}": made(lambda arms, net=net: against(of_net(arms, net), "plain", ARMS, "minus one look"), "looks") for net in NETS
    }
    return found | {
        "results": made(lambda _: results(parts), "looks"),
        "nets": made(nets, "looks"),
        "gates": made(gates, "looks"),
        "whole": made(whole, "whole"),
        "whole.reverse": made(lambda arms: whole(arms, REVERSED), "whole", "reverse"),
        "doubt": made(doubt, "doubt"),
        "doubt.whole": made(doubt, "doubt", "whole"),
        "promise": made(promise, "promise"),
        "few": few(parts.get("few", {})) or "No run of the setting `few` is in the repository.",
        "weaklooks": made(weak, "weaklooks"),
        "rarelooks": rare(parts.get("rarelooks", {})) or "No run of the setting `rarelooks` is in the repository.",
    }


def filled(text: str, made: dict[str, str]) -> str:
    """A document with every marked block as it is made; a mark of another name is an error."""
    return MARK.sub(lambda found: f"{found[1]}{made[found[2]]}\n{found[3]}", text)


def main(runs: Path, documents: list[Path]) -> None:
    """Fill the documents."""
    made = blocks(runs)
    for path in documents:
        path.write_text(filled(path.read_text(), made))


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(__doc__)
    runs = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("looks.jsonl")
    main(runs, [Path(name) for name in sys.argv[2:]] or [ROOT / "EVIDENCE.md", ROOT / "README.md"])
