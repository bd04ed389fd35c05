"""The data path and the loop of `train`, against a plain copy, other loaders, a step on one batch in place, and a per-sample pipeline."""

import io
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from measuring import alternating, show
from PIL import Image
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).parents[2]))  # this checkout, installed or not
from htltools.core.geometry.box_loss import box_loss
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.localizer import NORMALISATION, boxes_of
from htltools.core.runtime.batches import batches
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.augmentation import augmented, draw_changes
from htltools.core.training.loop import optimizer_for, trained
from htltools.core.training.objectives.box import BoxObjective
from htltools.core.training.schedule import Recipe
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import Images, write_shard

SIDE, COUNT, SHARDS, BATCH = 128, 2048, 4, 32
CPU = Runtime("cpu", "fp32", BATCH)


def made_store(folder: Path) -> tuple[list[Row], np.ndarray]:
    """Rows of a store of random images, and the images uint8 [N, H, W, 3]."""
    images = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)
    each, rows = COUNT // SHARDS, []
    for k in range(SHARDS):
        path = folder / f"{k:05d}.h5"
        write_shard(path, images[k * each : (k + 1) * each], None, [], [], plan="", history=[])
        rows += [Row(id=f"{k}-{i}", store=str(path), index=i) for i in range(each)]
    return rows, images


class RowByRow(Dataset):
    """One h5py read a sample, from data sets that stay open, as good scripts do it."""

    def __init__(self, rows: list[Row]):
        self.rows = rows
        self.opened: dict[str, h5py.Dataset] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> np.ndarray:
        row = self.rows[i]
        if row["store"] not in self.opened:
            self.opened[row["store"]] = h5py.File(row["store"], "r")["images"]
        return self.opened[row["store"]][row["index"]]


def drained(batches_of: Callable[[], Iterator[Any]]) -> Callable[[], None]:
    """Read every batch."""

    def work() -> None:
        for _ in batches_of():
            pass

    return work


def copied(images: np.ndarray) -> Iterator[np.ndarray]:
    """The images in their order, by plain copies."""
    return (images[start : start + BATCH].copy() for start in range(0, len(images), BATCH))


def webdataset_of(folder: Path, images: np.ndarray) -> Callable[[], Iterator[Any]] | None:
    """WebDataset over raw arrays in a tar file, shuffled in its buffer; None where it is not installed."""
    try:
        import webdataset
    except ImportError:
        return None
    with tarfile.open(folder / "images.tar", "w") as tar:
        for i, image in enumerate(images):
            data = io.BytesIO()
            np.save(data, image)
            entry = tarfile.TarInfo(f"{i:06d}.npy")
            entry.size = data.tell()
            data.seek(0)
            tar.addfile(entry, data)
    url = str(folder / "images.tar")
    return lambda: iter(webdataset.WebDataset(url, shardshuffle=False).shuffle(500).decode().to_tuple("npy").batched(BATCH))


def monai_of(images: np.ndarray) -> Callable[[], Iterator[Any]] | None:
    """MONAI's CacheDataset, everything in memory, in torch's loader; None where it is not installed."""
    try:
        from monai.data import CacheDataset
    except ImportError:
        return None
    cached = CacheDataset(list(images), transform=torch.from_numpy, progress=False)
    return lambda: iter(DataLoader(cached, BATCH, shuffle=True))


def loader_rows(folder: Path, repeats: int) -> list[dict]:
    """Shuffled batches from the store against other ways to them, in samples per second."""
    rows, images = made_store(folder)
    stored, random = Images(rows), np.random.default_rng(1)

    def ours() -> None:
        order = random.permutation(COUNT)
        for turn in batches(COUNT, BATCH):
            stored.batch(order[turn])

    peers = {
        "plain copy, in order, in memory": lambda: copied(images),
        "h5py row by row, DataLoader": lambda: iter(DataLoader(RowByRow(rows), BATCH, shuffle=True)),
        "the same, 2 workers": lambda: iter(DataLoader(RowByRow(rows), BATCH, shuffle=True, num_workers=2)),
        "MONAI CacheDataset, DataLoader": monai_of(images),
        "WebDataset, raw arrays": webdataset_of(folder, images),
    }
    lines = []
    for peer, batches_of in peers.items():
        if batches_of is None:
            print(f"{peer}: not installed", file=sys.stderr)
            continue
        mine, others, *ratio = alternating(ours, drained(batches_of), repeats)
        lines.append(row(f"shuffled batches of {BATCH}, {SIDE} px", peer, COUNT / mine, COUNT / others, "samples/s", ratio))
    return lines


def step_rows(folder: Path, repeats: int, device: str = "cpu") -> list[dict]:
    """An epoch of `train` against as many steps of the same model, optimizer and loss on one batch that lies in place."""
    rows, images = made_store(folder)
    stored, boxes = Images(rows), np.tile(np.float32([0.2, 0.2, 0.7, 0.7]), (COUNT, 1))
    shape, recipe = architecture("compact", (SIDE, SIDE, 3)), Recipe(1, BATCH)
    runtime = Runtime(device, "fp32", BATCH)
    model = build(shape).to(device).to(memory_format=torch.channels_last).train()
    optimizer = optimizer_for(model, recipe)
    batch, y = torch.from_numpy(images[:BATCH]).to(device), torch.from_numpy(boxes[:BATCH]).to(device)
    change = draw_changes(BATCH, 3, recipe.augmentation, torch.Generator().manual_seed(0)).to(device)
    ready = model.normalised(batch).contiguous(memory_format=torch.channels_last)

    def stepping(augment: bool) -> Callable[[], None]:
        def work() -> None:
            for _ in range(COUNT // BATCH):
                x, targets = augmented(batch, y, change, model.gain, model.bias) if augment else (ready, y)
                optimizer.zero_grad()
                box_loss(boxes_of(model.net(x.contiguous(memory_format=torch.channels_last))), targets).mean().backward()
                optimizer.step()
            if device != "cpu":
                torch.cuda.synchronize()

        return work

    def epoch() -> None:
        objective = BoxObjective(build(shape), stored, boxes, np.ones(COUNT, np.float32), recipe, runtime)
        next(trained(objective, None, recipe, runtime))

    lines = []
    for augment, peer in (False, "the same steps on one batch in place"), (True, "the same, augmented as well"):
        mine, others, *ratio = alternating(epoch, stepping(augment), repeats)
        lines.append(row(f"train compact, {SIDE} px, an epoch", peer, COUNT / mine, COUNT / others, "samples/s", ratio))
    return lines


class PerSample(Dataset):
    """Images from JPEG files, changed one by one with torchvision's transforms, as its reference scripts do it."""

    def __init__(self, paths: list[Path]):
        from torchvision import tv_tensors
        from torchvision.transforms import v2

        self.paths, self.boxes_type = paths, tv_tensors.BoundingBoxes
        self.change = v2.Compose(
            [
                v2.PILToTensor(),
                v2.Resize((SIDE, SIDE)),
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
                v2.RandomAffine(0, (0.1, 0.1), (0.8, 1.2)),
                v2.ColorJitter(0.2, 0.2),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(**NORMALISATION),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        with Image.open(self.paths[i]) as image:
            box = self.boxes_type([[120, 90, 420, 315]], format="XYXY", canvas_size=image.size[::-1])
            pixels, box = self.change(image.convert("RGB"), box)
        return pixels, box[0].float() / SIDE


def pipeline_rows(folder: Path, repeats: int, count: int = 256) -> list[dict]:
    """An epoch from the store against an epoch of torchvision's way, from 600x450 JPEG files, with the same net and optimizer."""
    from prepare_bench import saved

    paths = [path for path in saved(folder, (600, 450), 32) for _ in range(count // 32)]
    rows, _ = made_store(folder)
    stored = Images(rows[:count])
    boxes = np.tile(np.float32([0.2, 0.2, 0.7, 0.7]), (count, 1))
    shape = architecture("compact", (SIDE, SIDE, 3))

    def ours() -> None:
        recipe = Recipe(1, BATCH)
        next(trained(BoxObjective(build(shape), stored, boxes, np.ones(count, np.float32), recipe, CPU), None, recipe, CPU))

    def theirs(workers: int) -> Callable[[], None]:
        def work() -> None:
            model = build(shape).train()
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
            for images, targets in DataLoader(PerSample(paths), BATCH, shuffle=True, num_workers=workers):
                optimizer.zero_grad()
                box_loss(boxes_of(model.net(images)), targets).mean().backward()
                optimizer.step()

        return work

    lines = []
    for workers in 0, 2:
        mine, others, *ratio = alternating(ours, theirs(workers), repeats)
        peer = f"torchvision transforms v2, DataLoader, {workers} workers, from JPEG files"
        lines.append(row(f"train compact, {SIDE} px, an epoch", peer, count / mine, count / others, "samples/s", ratio))
    return lines


def row(what: str, peer: str, ours: float, theirs: float, unit: str, ratio: list[float]) -> dict:
    """One line of the table."""
    middle, low, high = ratio
    return {"what": what, "peer": peer, "ours": ours, "theirs": theirs, "unit": unit, "ratio": middle, "low": low, "high": high}


def rows(quick: bool = False) -> list[dict]:
    """Every comparison."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            *loader_rows(Path(folder), 3 if quick else 9),
            *step_rows(Path(folder), 3 if quick else 9),
            *pipeline_rows(Path(folder), 3 if quick else 5),
        ]


if __name__ == "__main__":
    start = time.perf_counter()
    show(rows("--quick" in sys.argv))
    print(f"{time.perf_counter() - start:.0f} s, {torch.get_num_threads()} threads, torch {torch.__version__}")
