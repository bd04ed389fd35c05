"""`score`: several nets in one pass against a pass for each, pruned copies against dense ones, gradient norms, rows against plain json."""

import io
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import alternating, show

sys.path.insert(0, str(Path(__file__).parents[2]))  # this checkout, installed or not
from htltools.core.geometry.box_loss import box_loss
from htltools.core.hardness.grand import gradient_norms
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.localizer import Localizer, boxes_of
from htltools.core.pruning.structured import prune_channels
from htltools.core.runtime.predict import predict_all
from htltools.core.runtime.runtime import Runtime
from htltools.formats.rows.jsonlines import joined_lines
from htltools.formats.rows.provenance import Run
from htltools.formats.rows.row import Row
from htltools.formats.rows.stream import RowReader, RowWriter
from htltools.formats.store.shard import Images, write_shard

SIDE, NETS, BATCH, CUT = 64, 4, 256, 0.7
CPU = Runtime("cpu", "fp32", BATCH)


def compared(what: str, peer: str, count: int, ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """One line of the table, in samples a second."""
    mine, others, ratio, low, high = alternating(ours, theirs, repeats)
    speeds = {"ours": count / mine, "theirs": count / others}
    return {"what": what, "peer": peer, **speeds, "unit": "samples/s", "ratio": ratio, "low": low, "high": high}


def made_rows(folder: Path, count: int) -> list[Row]:
    """Rows of a store of random images, with all that rows usually carry."""
    noise = np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    write_shard(folder / "00000.h5", noise, None, [], [], plan="", history=[])
    usual = {"split": "train", "store": str(folder / "00000.h5"), "size": [600, 450], "boxes": [[180.0, 7.0, 508.0, 419.0]], "label": "nv"}
    meta = {"age": 45, "sex": "male", "site": "trunk"}
    return [Row(id=f"ISIC_{i:07d}", group=f"HAM_{i:07d}", index=i, meta=meta, **usual) for i in range(count)]


def one_pass(nets: list[Localizer], rows: list[Row]) -> None:
    """What score does: each batch is read once for all nets."""
    predict_all(nets, Images(rows), CPU)


def norms_by_loop(net: Localizer, images: torch.Tensor, boxes: torch.Tensor) -> list[float]:
    """Gradient norms by a backward pass for each sample."""
    norms = []
    for image, box in zip(images, boxes):
        loss = box_loss(boxes_of(net.net(net.normalised(image[None]))), box[None]).sum()
        norms.append(torch.stack([slope.square().sum() for slope in torch.autograd.grad(loss, list(net.parameters()))]).sum().sqrt().item())
    return norms


def through(lines: list[bytes]) -> None:
    """Rows through our reader and writer."""
    with RowWriter(Run("view", {}), [], out=io.BytesIO()) as writer:
        writer.write(RowReader(lines))


def by_json(lines: list[bytes]) -> None:
    """The same by Python's json alone, without a check of anything."""
    out = io.BytesIO()
    for line in lines:
        out.write(json.dumps(json.loads(line), separators=(",", ":")).encode() + b"\n")


def operations(nets: list[Localizer]) -> float:
    """Multiplications and additions of the convolutions and linear layers of all nets, for one image."""
    from torch_pruning.utils import count_ops_and_params

    return sum(count_ops_and_params(net.net, torch.zeros(1, 3, SIDE, SIDE))[0] for net in nets)


def pruned_copies(samples: list[Row], name: str, repeats: int) -> dict[str, Any]:
    """The dense net and its copies with CUT of their weights gone by whole channels, beside as many dense ones, in one pass each.

    The peer's name has how many times as many operations the dense ones take: the ratio to hope for.
    """
    dense = build(architecture(name, (SIDE, SIDE, 3))).eval()
    pruned = [dense, *(prune_channels(dense, CUT, [SIDE, SIDE, 3]).eval() for _ in range(NETS))]
    whole = [dense, *(build(architecture(name, (SIDE, SIDE, 3))).eval() for _ in range(NETS))]
    more = operations(whole) / operations(pruned)
    return compared(
        f"{name} and {NETS} copies without {CUT:.0%} of their weights, by channels",
        f"{NETS + 1} dense nets, {more:.2f} times the operations",
        len(samples),
        lambda: one_pass(pruned, samples),
        lambda: one_pass(whole, samples),
        repeats,
    )


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Lines of the table."""
    repeats, count, few = (2, 256, 16) if quick else (7, 1024, 64)
    table = []
    with tempfile.TemporaryDirectory() as folder:
        samples = made_rows(Path(folder), count)
        nets = [build(architecture("compact", (SIDE, SIDE, 3))).eval() for _ in range(NETS)]
        each = [[net] for net in nets]
        table.append(
            compared(
                f"{NETS} compact nets, {SIDE} px, one pass",
                f"{NETS} passes",
                count,
                lambda: one_pass(nets, samples),
                lambda: [one_pass(net, samples) for net in each],
                repeats,
            )
        )
        table += [pruned_copies(samples, name, repeats) for name in ("compact", "compact_unet")]
        images = torch.from_numpy(Images(samples).batch(np.arange(few)))
    boxes = np.tile(np.float32([0.3, 0.1, 0.8, 0.9]), (few, 1))
    for name in ("compact", "resnet18"):
        net = build(architecture(name, (SIDE, SIDE, 3))).eval()
        ours, theirs = (
            lambda net=net: gradient_norms(net, images, boxes),
            lambda net=net: norms_by_loop(net, images, torch.from_numpy(boxes)),
        )
        table.append(compared(f"gradient norms, {name}", "backward for each sample", few, ours, theirs, repeats))
    lines = joined_lines(samples).splitlines(keepends=True)
    table.append(
        compared(
            "rows read, checked, written", "json.loads, json.dumps", count, lambda: through(lines), lambda: by_json(lines), 3 * repeats
        )
    )
    return table


if __name__ == "__main__":
    show(rows("--quick" in sys.argv))
