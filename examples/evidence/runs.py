#!/usr/bin/env python3
"""The runs behind the results of EVIDENCE.md, with their controls, as one JSON Lines file.

usage: runs.py ROWS RUNS WORK [SETTING...]
    htl prepare ham10000 -o store --size 48 > rows.jsonl && examples/evidence/runs.py rows.jsonl runs.jsonl work

ROWS are those of HAM10000 (for other data: edit GROUPS). A setting is looks, whole, few, weaklooks, rarelooks (looking again),
doubt, promise (on the models of looks and whole), natural, rare, semi, weak, annotate or wrong (weights and scores, of a regressor that
looks once); without one all run. SETTING:PROTOCOL is a part of it, such as few:1%.
One line of RUNS is one trained model: setting, protocol, seed, arm, metrics on val and test, device. Lines that exist are not run again.
All arms of one setting, protocol and seed take the same number of gradient steps. Environment, with its defaults:
SEEDS="0 1 2 3 4" EPOCHS=10 WHOLE_EPOCHS=30 (of the setting whole) COUNT=1200 (training rows) VAL=400 JOBS=2 (processes) DEVICE=auto
ELSEWHERE= (rows of another data set, prepared alike, whose test split is measured as well) LARGER= LARGER_ELSEWHERE= (the same two
with images of twice the pixels)
"""

import multiprocessing
import os
import sys
import time
import traceback
from pathlib import Path

import numpy as np
from doubt import doubt
from lab import COUNT, Lab, read_rows, write_rows
from looks import few, looks, rare_looks, weak_looks, whole
from promise import promise
from wrong_boxes import auroc, planted

SEEDS = [int(word) for word in os.environ.get("SEEDS", "0 1 2 3 4").split()]
JOBS, VAL = int(os.environ.get("JOBS", "2")), int(os.environ.get("VAL", "400"))
TOP = 0.3

# by name of a protocol: the flags of `htl resample` that define its rare group, and the share of that group
GROUPS = {
    "small": (["--by", "smallness", "--top", 0.25], 0.03),
    "clinic": (["--where", "source=rosendahl"], 0.03),
    "old": (["--where", "age>=75"], 0.05),
    "head": (["--where", "head=yes"], 0.03),
    "cancer": (["--where", "cancer=yes"], 0.03),
    "large": (["--where", "large=yes"], 0.03),
}
# the protocols in which models are trained with attention; in the others only scores are compared
ATTENDED = "small", "clinic"
COLUMNS = "pruned_loss", "pruned_shift", "pruned_disagreement", "iou_drop", "suspect", "loss", "el2n", "smallness", "random"
COLUMNS += "forgetting", "cartography_error", "cartography_spread", "negative_aum", "dropout_disagreement"
ATTEND = {"adaptive": ["pruned_loss", "random"], "damaged": ["pruned_loss", "loss", "random"]}
SHARES = {"1%": 0.01, "5%": 0.05, "10%": 0.1}
USES = ("none", None), ("teacher", None), ("consistency", None), ("suppress", "pruned_disagreement")
USES += tuple(("attend", by) for by in ("pruned_disagreement", "loss", "random"))
WRONG = {"20%": 0.2}
WEAK_EPOCHS = 8  # of all training rows; with more epochs the net classifies better and localizes worse
ROUNDS = 50, 100, 200, 400


def natural(lab: Lab) -> None:
    """Full supervision on the natural mix: attention should do no harm."""
    rows = lab.made("rows.jsonl", "resample", lab.source, "--mode", "select", "--by", "random", "--count", COUNT, "--seed", lab.seed)
    attended(lab, rows, 1.0)


def rare(lab: Lab) -> None:
    """A group that is rare by construction, and unknown to the method."""
    attended(lab, rare_rows(lab), 2.0)


def rare_and_looks(lab: Lab) -> None:
    """The same, of nets that look again."""
    rare_looks(lab, rare_rows(lab))


def rare_rows(lab: Lab) -> str:
    """COUNT training rows, of which the group of the protocol has a small share, all marked."""
    words, share = GROUPS[lab.about["protocol"]]
    grouped = lab.path("grouped.jsonl")
    if not grouped.exists():
        write_rows(grouped, [with_groups(row) for row in read_rows(lab.source)])
    flags = "--mode", "select", *words, "--share", share, "--count", COUNT, "--mark", "rare", "--seed", lab.seed
    return lab.made("rows.jsonl", "resample", grouped, *flags)


def with_groups(row: dict) -> dict:
    """A row whose `meta` says whether it belongs to the groups that one condition of --where cannot define."""
    meta, (x0, y0, x1, y1), (width, height) = row["meta"], row["boxes"][0], row["size"]
    head = meta.get("localization") in ("face", "scalp", "ear", "neck")
    is_large = (x1 - x0) * (y1 - y0) > 0.55 * width * height  # about 15 % of the training rows
    groups = {"head": head, "cancer": row.get("label") in ("akiec", "bcc"), "large": is_large}
    return row | {"meta": meta | {name: "yes" if belongs else "no" for name, belongs in groups.items()}}


def attended(lab: Lab, rows: str, boost: float) -> None:
    """Uniform training, its scores, and every kind of attention with its controls."""
    dense = lab.plain("uniform.h5", rows)
    scored = lab.path("scored.jsonl")
    if not scored.exists():
        pruned = lab.pruned("pruned.h5", rows, dense)
        models = "--model", dense, "--pruned", pruned, "--also", "dropout_disagreement", "--seed", lab.seed
        lab.made("scored.jsonl", "score", lab.path("uniform.h5.jsonl"), *models)
    if "uniform" not in lab.done:
        lab.measure("uniform", dense, rows, captured=captured(read_rows(scored)))
    if lab.about["setting"] == "rare" and lab.about["protocol"] not in ATTENDED:
        return
    for by in "pruned_loss", "loss", "random":
        if f"static:{by}" not in lab.done:
            weighed = lab.made(f"static-{by}.jsonl", "resample", scored, "--by", by, "--top", TOP, "--boost", boost, "--seed", lab.seed)
            lab.measure(f"static:{by}", lab.plain(f"static-{by}.h5", weighed), rows)
        for kind, columns in ATTEND.items():
            if by in columns and f"{kind}:{by}" not in lab.done:
                flags = "--attend", kind, "--attend-by", by, "--attend-top", TOP, "--attend-boost", boost
                lab.measure(f"{kind}:{by}", lab.plain(f"{kind}-{by}.h5", rows, *flags), rows)
    if lab.about["setting"] == "rare" and "oracle" not in lab.done:
        weighed = lab.made("oracle.jsonl", "resample", lab.path(rows), "--where", "rare=yes", "--boost", 8)
        lab.measure("oracle", lab.plain("oracle.h5", weighed), rows)


def captured(rows: list[dict]) -> dict[str, float]:
    """The share of the rare training rows that is in the top share by each column; empty where no row is marked as rare."""
    training = [row for row in rows if row["split"] == "train"]
    rare_ones = {row["id"] for row in training if row["meta"].get("rare") == "yes"}
    shares = {}
    for column in COLUMNS if rare_ones else ():
        if all(row["hardness"].get(column) is not None for row in training):
            hardest = sorted(training, key=lambda row: -row["hardness"][column])[: round(TOP * len(training))]
            shares[column] = len(rare_ones & {row["id"] for row in hardest}) / len(rare_ones)
    return shares


def semi(lab: Lab) -> None:
    """A share of the labels of all training rows, and COUNT images without."""
    if not lab.path("rows.jsonl").exists():
        hide_boxes(lab.source, lab.path("rows.jsonl"), SHARES[lab.about["protocol"]], lab.seed)
    for use, by in USES:
        arm = f"{use}:{by}" if by else use
        if arm not in lab.done:
            flags = "--supervision", "semi", "--pseudo-labels", use, *(("--attend-by", by) if by else ())
            lab.measure(arm, lab.plain(f"{arm.replace(':', '-')}.h5", "rows.jsonl", *flags), "rows.jsonl")


def hide_boxes(source: Path, out: Path, share: float, seed: int) -> None:
    """As `prepare --labelled SHARE --label-seed SEED`, for prepared rows; of those without boxes a random choice of COUNT stays."""
    from htltools.core.sampling.splits import is_labelled

    rows = read_rows(source)
    known = [row for row in rows if row["split"] != "train" or is_labelled(row.get("group") or row["id"], share, seed)]
    others = [row for row in rows if row["split"] == "train" and not is_labelled(row.get("group") or row["id"], share, seed)]
    chosen = np.random.default_rng(seed).permutation(len(others))[:COUNT]
    write_rows(out, known + [unboxed(others[place]) for place in sorted(chosen)])


def weak(lab: Lab) -> None:
    """Classes of the training images without boxes: a map model, then localizers trained on its predicted boxes."""
    from htltools.core.geometry.boxes import constant_iou

    rows = read_rows(lab.source)
    write_rows(lab.path("rows.jsonl"), [unboxed(row) if row["split"] == "train" else row for row in rows])
    if "constant" not in lab.done:
        boxes = {
            split: np.array([row["boxes"][0] / np.tile(row["size"], 2) for row in rows if row["split"] == split and row.get("boxes")])
            for split in ("val", "test")
        }
        lab.write("constant", **{split: {"iou_mean": constant_iou(boxes["val"], targets)} for split, targets in boxes.items()})
    maps = lab.trained("maps.h5", "rows.jsonl", "--supervision", "weak", epochs=WEAK_EPOCHS)
    if "maps" not in lab.done:
        lab.measure("maps", maps, "rows.jsonl")
    pruned = lab.pruned("pruned.h5", "rows.jsonl", maps, "--sparsity", 0.7)
    scored = lab.made("scored.jsonl", "score", lab.path("rows.jsonl"), "--model", maps, "--pruned", pruned, "--seed", lab.seed)
    for by, boost in ("pruned_disagreement", 0), ("pruned_disagreement", -1), ("pruned_shift", -1), ("random", -1):
        arm = f"boxes:{by}" if boost else "boxes"
        if arm not in lab.done:
            flags = "--pseudo", "--by", by, "--top", TOP, "--boost", boost, "--seed", lab.seed
            pseudo = lab.made(f"pseudo-{by}{boost}.jsonl", "resample", lab.path(scored), *flags)
            lab.measure(arm, lab.plain(f"{arm.replace(':', '-')}.h5", pseudo, epochs=WEAK_EPOCHS), "rows.jsonl")


def annotate(lab: Lab) -> None:
    """Active learning: 50 labels, doubled each round, chosen at random or by a column that needs no annotation."""
    rows = read_rows(lab.source)
    for by in "random", "pruned_disagreement", "pruned_shift":
        if f"{by}:{ROUNDS[-1]}" in lab.done:
            continue
        first = lab.made(
            "first.jsonl", "resample", lab.source, "--mode", "select", "--by", "random", "--count", ROUNDS[0], "--seed", lab.seed
        )
        known = {row["id"] for row in read_rows(lab.path(first)) if row["split"] == "train"}
        for count, after in zip(ROUNDS, [*ROUNDS[1:], None]):
            name = f"{by}-{count}"
            write_rows(lab.path(f"{name}.jsonl"), [row if row["split"] != "train" or row["id"] in known else unboxed(row) for row in rows])
            same_steps = (
                "--supervision",
                "semi",
                "--pseudo-labels",
                "none",
            )  # in every round: an epoch has a step for each batch without boxes
            dense = lab.plain(f"{name}.h5", f"{name}.jsonl", *same_steps, epochs=3)
            if f"{by}:{count}" not in lab.done:
                lab.measure(f"{by}:{count}", dense, f"{name}.jsonl")
            if after:
                pruned = lab.pruned(f"{name}-pruned.h5", f"{name}.jsonl", dense, "--epochs", 1200 // count)
                scored = lab.made(f"{name}-scored.jsonl", "score", lab.path(f"{name}.jsonl"), "--model", dense, "--pruned", pruned)
                flags = "--mode", "select", "--unlabelled", "--by", by, "--count", after - count, "--seed", lab.seed
                known |= {row["id"] for row in read_rows(lab.path(lab.made(f"{name}-next.jsonl", "resample", lab.path(scored), *flags)))}


def unboxed(row: dict) -> dict:
    """A row without annotation."""
    return {name: value for name, value in row.items() if name != "boxes"}


def wrong(lab: Lab) -> None:
    """Wrong boxes planted among the training rows: the AUROC of each score, and models without the rows of the highest scores."""
    share = WRONG[lab.about["protocol"]]
    clean = lab.made("clean.jsonl", "resample", lab.source, "--mode", "select", "--by", "random", "--count", COUNT, "--seed", lab.seed)
    rows, ids = planted(read_rows(lab.path(clean)), share, lab.seed)
    write_rows(lab.path("noisy.jsonl"), rows)
    if "clean" not in lab.done:
        lab.measure("clean", lab.plain("clean.h5", clean), clean)
    noisy = lab.plain("noisy.h5", "noisy.jsonl")
    pruned = lab.pruned("pruned.h5", "noisy.jsonl", noisy, "--sparsity", 0.8)
    scored = lab.made("scored.jsonl", "score", lab.path("noisy.jsonl"), "--model", noisy, "--pruned", pruned, "--seed", lab.seed)
    training = [row for row in read_rows(lab.path(scored)) if row["split"] == "train"]
    columns = [column for column in COLUMNS if column in training[0]["hardness"]]
    if "noisy" not in lab.done:
        areas = {column: auroc([row["hardness"][column] for row in training], [row["id"] in ids for row in training]) for column in columns}
        lab.measure("noisy", noisy, clean, auroc=areas)
    for by in "suspect", "loss", "random":
        if f"drop:{by}" not in lab.done:
            worst = {row["id"] for row in sorted(training, key=lambda row: -row["hardness"][by])[: round(share * len(training))]}
            write_rows(lab.path(f"drop-{by}.jsonl"), [row | {"weight": 0.0} if row["id"] in worst else row for row in rows])
            lab.measure(f"drop:{by}", lab.plain(f"drop-{by}.h5", f"drop-{by}.jsonl"), clean)


def few_labels(lab: Lab) -> None:
    """A share of the labels of all training rows, and COUNT images without."""
    few(lab, SHARES[lab.about["protocol"]], hide_boxes)


SETTINGS = {
    "looks": (looks, ["all"]),
    "whole": (whole, ["all", "reverse"]),
    "few": (few_labels, SHARES),
    "weaklooks": (weak_looks, ["all"]),
    "rarelooks": (rare_and_looks, ATTENDED),
    "doubt": (doubt, ["all", "whole"]),  # after looks, and whole
    "promise": (promise, ["all"]),  # after looks
    "rare": (rare, GROUPS),
    "natural": (natural, ["all"]),
    "semi": (semi, SHARES),
    "weak": (weak, ["all"]),
    "annotate": (annotate, ["all"]),
    "wrong": (wrong, WRONG),
}


def with_few_val(rows: list[dict]) -> list[dict]:
    """The rows with a random choice of VAL rows of split val, which choose the epoch of every training; more would cost time."""
    val = [row for row in rows if row["split"] == "val"]
    kept = {val[place]["id"] for place in np.random.default_rng(0).permutation(len(val))[:VAL]}
    return [row for row in rows if row["split"] != "val" or row["id"] in kept]


def chosen(word: str) -> list[tuple[str, str]]:
    """The settings and protocols that SETTING or SETTING:PROTOCOL names; none where there is no such thing."""
    name, _, protocol = word.partition(":")
    known = SETTINGS[name][1] if name in SETTINGS else ()
    return [(name, each) for each in known if protocol in ("", each)]


def run(job: tuple) -> None:
    """Run one setting, protocol and seed; a failure is reported, and does not end the others."""
    rows, runs, work, setting, protocol, seed = job
    start = time.time()
    try:
        SETTINGS[setting][0](Lab(rows, runs, work, setting, protocol, seed))
    except Exception:
        traceback.print_exc()
    print(f"{setting} {protocol} {seed}: {time.time() - start:.0f} s", file=sys.stderr, flush=True)


def main(rows: Path, runs: Path, work: Path, settings: list[str]) -> None:
    """Run the settings seed by seed, so that the results are balanced if it is stopped."""
    work.mkdir(parents=True, exist_ok=True)
    fewer = work / "rows.jsonl"
    if not fewer.exists():
        write_rows(fewer, with_few_val(read_rows(rows)))
    jobs = [(fewer, runs, work, name, protocol, seed) for seed in SEEDS for word in settings for name, protocol in chosen(word)]
    with multiprocessing.get_context("spawn").Pool(JOBS) as pool:
        pool.map(run, jobs, chunksize=1)
        pool.close()  # leaving the block would terminate the workers by SIGTERM, which htl reports as an interruption
        pool.join()


if __name__ == "__main__":
    if len(sys.argv) < 4 or not all(map(chosen, sys.argv[4:])):
        sys.exit(__doc__.partition("\n\n")[2].partition("\n")[0] + f"\nsettings: {', '.join(SETTINGS)}")
    main(*map(Path, sys.argv[1:4]), sys.argv[4:] or list(SETTINGS))
