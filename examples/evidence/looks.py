"""The settings of runs.py that look again: with all boxes, few boxes, and labels alone, and their controls.

Arms of one setting, protocol and seed take the same number of gradient steps. `plain` trains with whole images alone and looks once.
"""

import os
import time
from pathlib import Path

import numpy as np
from lab import COUNT, DEVICE, ELSEWHERE, EPOCHS, Lab, read_rows, write_rows

NETS = {"regressor": ("--arch", "compact"), "boxes": ("--targets", "boxes"), "masks": ("--targets", "masks")}
PLAIN = "--attend", "none"
SPLITS = "val", "test"
LARGER, LARGER_ELSEWHERE = os.environ.get("LARGER"), os.environ.get("LARGER_ELSEWHERE", ELSEWHERE)
WHOLE_EPOCHS = int(os.environ.get("WHOLE_EPOCHS", "30"))
BATCH = 32  # the default of train
GATED = 0.3  # share of the images that are looked at again


def looks(lab: Lab) -> None:
    """All boxes or masks: plain training and training for looks, of three kinds of nets, and what else as many passes could do."""
    rows = lab.made("rows.jsonl", "resample", lab.source, "--mode", "select", "--by", "random", "--count", COUNT, "--seed", lab.seed)
    for net, flags in NETS.items():
        plain = lab.trained(f"{net}-plain.h5", rows, *flags, *PLAIN)
        model = lab.trained(f"{net}-look.h5", rows, *flags)
        measure_all(lab, rows, {f"{net}:plain": plain, f"{net}:look": model})
        controls = {f"look@{at}": (model, "--looks", 2, "--look-at", at) for at in ("random", "median")}
        for name, wish in {
            "plain+look": (plain, "--looks", 2),
            "look:once": (model, "--looks", 1),
            **(controls if net == "boxes" else {}),
        }.items():
            measure_all(lab, rows, {f"{net}:{name}": looking(lab, rows, f"{net}-{name}.h5", *wish)})
        for passes in 2, 4:
            if f"{net}:mirror{passes}" not in lab.done:
                lab.write(f"{net}:mirror{passes}", **{split: mirror_mean(lab, plain, rows, split, passes) for split in SPLITS})
        if net != "masks":
            glances(lab, rows, net, model)
            gates(lab, rows, net, model)
        measure_larger(lab, rows, net)
    for by in "pruned_loss", "random":
        if f"boxes:hard:{by}" not in lab.done:
            hard = lab.trained(f"boxes-hard-{by}.h5", rows, "--targets", "boxes", "--attend", "look", "--attend-by", by)
            measure_all(lab, rows, {f"boxes:hard:{by}": hard})


def whole(lab: Lab) -> None:
    """All training images: three nets by default, and a plain regressor.

    The protocol `reverse` trains on ELSEWHERE, and measures ROWS as the other data set; without it there is nothing to do.
    """
    there, other = lab.source, ELSEWHERE
    if lab.about["protocol"] == "reverse":
        if not ELSEWHERE:
            return
        there, other = Path(ELSEWHERE), str(lab.source)
    write_rows(lab.path("rows.jsonl"), read_rows(there))
    plain = {"regressor:plain": (*NETS["regressor"], *PLAIN)}
    for arm, flags in (plain | {f"{net}:look": flags for net, flags in NETS.items()}).items():
        if arm not in lab.done:
            start = time.process_time()
            model = lab.trained(f"{arm.replace(':', '-')}.h5", "rows.jsonl", *flags, epochs=WHOLE_EPOCHS)
            lab.measure(arm, model, "rows.jsonl", elsewhere=other, cpu_seconds=round(time.process_time() - start))


def measure_larger(lab: Lab, rows: str, net: str) -> None:
    """The control of the same samples with larger images, of LARGER: with twice the pixels, one look costs what two looks cost."""
    if not LARGER or f"{net}:larger" in lab.done:
        return
    chosen = {row["id"]: {name: row[name] for name in ("split", "meta") if name in row} for row in read_rows(lab.path(rows))}
    write_rows(lab.path("larger.jsonl"), [row | chosen[row["id"]] for row in read_rows(Path(str(LARGER))) if row["id"] in chosen])
    model = lab.trained(f"{net}-larger.h5", "larger.jsonl", *NETS[net], *PLAIN)
    lab.measure(f"{net}:larger", model, "larger.jsonl", elsewhere=LARGER_ELSEWHERE)


def looking(lab: Lab, rows: str, name: str, model, *flags: object):
    """A model with other looks, unless it exists."""
    path = lab.path(name.replace(":", "-"))
    if not path.exists():
        lab.htl("look", lab.path(rows), "--model", model, "-o", path, "--device", DEVICE, *flags)
    return path


def measure_all(lab: Lab, rows: str, models: dict) -> None:
    """Measure the models that are not measured yet."""
    for arm, model in models.items():
        if arm not in lab.done:
            lab.measure(arm, model, rows)


def glances(lab: Lab, rows: str, net: str, model) -> None:
    """The first look by a copy that is pruned, and by one that is fine-tuned alike and not pruned."""
    for name, flags in {
        "pruned": (),
        "channel": ("--method", "channel", "--sparsity", 0.5),
        "channel70": ("--method", "channel", "--sparsity", 0.7),
        "unpruned": ("--sparsity", 0),
    }.items():
        if f"{net}:glance:{name}" not in lab.done:
            copy = lab.pruned(f"{net}-{name}.h5", rows, model, *flags)
            measure_all(
                lab, rows, {f"{net}:glance:{name}": looking(lab, rows, f"{net}-g-{name}.h5", model, "--glance", copy, "--looks", 2)}
            )


def predictor(lab: Lab, model, rows: str, split: str):
    """A model, its images of a split, and their boxes [N, 4]."""
    from htltools.core.runtime.runtime import Runtime
    from htltools.formats.rows.row import Row
    from htltools.tasks.predictor import CheckpointPredictor
    from htltools.tasks.rows import matching_images, target_boxes

    opened = CheckpointPredictor(model, Runtime(DEVICE))
    chosen = [Row(row) for row in read_rows(lab.path(rows)) if row["split"] == split and row.get("boxes")]
    return opened, matching_images(chosen, opened.frame, model), target_boxes(chosen)


def boxes_of(opened, images, flips: tuple[int, ...] = ()) -> np.ndarray:
    """The boxes [N, 4] that a model predicts for images, or for mirror images along these axes, turned back."""
    from htltools.core.runtime.predict import predict_all

    class Flipped:
        shape = images.shape

        def batch(self, chosen):
            return np.ascontiguousarray(np.flip(images.batch(chosen), flips)) if flips else images.batch(chosen)

    boxes = predict_all([opened.localizer], Flipped(), opened.runtime)[0]
    for axis, (first, last) in ((2, (0, 2)), (1, (1, 3))):
        if axis in flips:
            boxes[:, [first, last]] = 1 - boxes[:, [last, first]]
    return boxes


def mirror_mean(lab: Lab, model, rows: str, split: str, passes: int) -> dict[str, float]:
    """Metrics of the mean box of an image and its mirror images, as many as there are passes."""
    from htltools.core.geometry.boxes import iou

    opened, images, targets = predictor(lab, model, rows, split)
    views = [boxes_of(opened, images, flips) for flips in ((), (2,), (1,), (1, 2))[:passes]]
    reached = iou(np.mean(views, 0), targets)
    return {"iou_mean": float(reached.mean()), "iou_p10": float(np.quantile(reached, 0.1))}


def gates(lab: Lab, rows: str, net: str, model) -> None:
    """Mean IoU on each test split where only a share of the images is looked at again, see `gated`."""
    if f"{net}:gates" not in lab.done:
        data = {"test": rows, "elsewhere": ELSEWHERE}
        lab.write(f"{net}:gates", gates={name: gated(lab, str(place), net, model) for name, place in data.items() if place})


def gated(lab: Lab, rows: str, net: str, model) -> dict[str, float]:
    """Mean IoU on split test where GATED of the images is looked at again, chosen by columns that need no annotation, and by chance.

    `area` is the mean over all shares, less that of chance: how much of the gain comes early.
    """
    from dataclasses import replace

    from htltools.core.geometry.boxes import iou
    from htltools.core.hardness.scores import disagreement, edge_distance

    opened, images, targets = predictor(lab, model, rows, "test")
    asked = opened.localizer.looks
    opened.localizer.looks = replace(asked, count=1)
    one, mirrored = boxes_of(opened, images), boxes_of(opened, images, (2,))
    opened.localizer.looks = replace(asked, count=2)
    two = boxes_of(opened, images)
    columns = {
        "mirror": disagreement(one, mirrored),
        "look": disagreement(one, two),
        "random": np.random.default_rng(lab.seed).random(len(one)),
    }
    for name in "pruned", "unpruned":
        copy, _, _ = predictor(lab, lab.path(f"{net}-{name}.h5"), rows, "test")
        copy.localizer.looks = replace(asked, count=1)
        boxes = boxes_of(copy, images)
        columns |= {f"{name}_disagreement": disagreement(one, boxes), f"{name}_shift": edge_distance(one, boxes)}
    before, gain = iou(one, targets), iou(two, targets) - iou(one, targets)
    figures = {"none": float(before.mean()), "all": float((before + gain).mean())}
    for name, column in columns.items():
        reached = before.mean() + np.cumsum(gain[np.argsort(-column, kind="stable")]) / len(gain)
        figures[name] = float(reached[round(GATED * len(gain)) - 1])
        figures[f"area:{name}"] = float(reached.mean() - before.mean() - gain.mean() / 2)
    return figures


def few(lab: Lab, share: float, hide) -> None:
    """A share of the labels, and COUNT images without: labels alone, and pseudo-boxes of a teacher that looks once, or again.

    Masks have no pseudo-labels: their nets learn from labels alone, in so many epochs that they take the same number of steps.
    """
    if not lab.path("rows.jsonl").exists():
        hide(lab.source, lab.path("rows.jsonl"), share, lab.seed)
    known = [row for row in read_rows(lab.path("rows.jsonl")) if row.get("boxes")]
    write_rows(lab.path("known.jsonl"), known)
    labels = sum(row["split"] == "train" for row in known)
    as_many = max(1, round(EPOCHS * -(-COUNT // BATCH) / -(-labels // BATCH)))

    def add(arm: str, rows: str, *flags: object, epochs: int = EPOCHS) -> None:
        if arm not in lab.done:
            measure_all(lab, "rows.jsonl", {arm: lab.trained(f"{arm}.h5".replace(":", "-"), rows, *flags, epochs=epochs)})

    semi = "--supervision", "semi", "--pseudo-labels"
    for net, flags in NETS.items():
        for name, teacher, looks in ("plain", "teacher", PLAIN), ("look", "teacher:look", ()):
            if net == "masks":
                add(f"{net}:{name}", "known.jsonl", *flags, *looks, epochs=as_many)
            else:
                add(f"{net}:{name}", "rows.jsonl", *flags, *semi, "none", *looks)
                add(f"{net}:{teacher}", "rows.jsonl", *flags, *semi, "teacher", *looks)


def rare_looks(lab: Lab, rows: str) -> None:
    """Rows of which a few are marked as rare: two nets, plain and trained for looks, measured on the rare samples and on the others."""
    for net in "regressor", "boxes":
        plain = lab.trained(f"{net}-plain.h5", rows, *NETS[net], *PLAIN)
        model = lab.trained(f"{net}-look.h5", rows, *NETS[net])
        measure_all(lab, rows, {f"{net}:plain": plain, f"{net}:look": model})
        for name, (found, count) in {"plain+look": (plain, 2), "look:once": (model, 1)}.items():
            measure_all(lab, rows, {f"{net}:{name}": looking(lab, rows, f"{net}-{name}.h5", found, "--looks", count)})
        measure_larger(lab, rows, net)


def weak_looks(lab: Lab) -> None:
    """Labels alone: a map, and localizers trained on its boxes that look once, or again."""
    rows = read_rows(lab.source)
    write_rows(lab.path("rows.jsonl"), [{k: v for k, v in row.items() if k != "boxes" or row["split"] != "train"} for row in rows])
    maps = lab.trained("maps.h5", "rows.jsonl", "--supervision", "weak", epochs=EPOCHS)
    measure_all(lab, "rows.jsonl", {"maps": maps})
    pruned = lab.pruned("pruned.h5", "rows.jsonl", maps, "--sparsity", 0.7)
    scored = lab.made("scored.jsonl", "score", lab.path("rows.jsonl"), "--model", maps, "--pruned", pruned, "--seed", lab.seed)
    pseudo = lab.made("pseudo.jsonl", "resample", lab.path(scored), "--pseudo", "--by", "pruned_disagreement", "--boost", 0)
    for net, flags in {"regressor": NETS["regressor"], "boxes": NETS["boxes"]}.items():
        for name, more in {"plain": PLAIN, "look": ()}.items():
            if f"{net}:{name}" not in lab.done:
                measure_all(lab, "rows.jsonl", {f"{net}:{name}": lab.trained(f"{net}-{name}.h5", pseudo, *flags, *more)})
