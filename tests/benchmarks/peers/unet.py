"""MONAI's U-Net by the recipe of its tutorials: residual units, Adam, Dice and cross entropy; the box of the largest component."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from budget import Budget, cpu_seconds
from choosing import Choice
from monai.data import CacheDataset, DataLoader
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    KeepLargestConnectedComponent,
    Lambdad,
    LoadImaged,
    RandFlipd,
    RandRotate90d,
    Resized,
    ScaleIntensityd,
)
from monai.transforms.utils import generate_spatial_bounding_box
from monai.utils import set_determinism
from PIL import Image
from rows import Data, Sample
from tool import main
from torch.nn.functional import interpolate

SIZE, BATCH, RATE = int(os.environ.get("PEER_SIZE", 96)), 16, 1e-3
LARGEST = KeepLargestConnectedComponent(applied_labels=1)
LOADED = (
    LoadImaged("image", reader="PILReader"),
    EnsureChannelFirstd("image"),
    Lambdad("image", lambda image: image[:3].expand(3, -1, -1)),  # grey images too
    ScaleIntensityd("image"),
)


def target_of(sample: Sample, classes: int) -> np.ndarray:
    """Lesion pixels [classes, W, H], x first as MONAI has images: the mask, or the filled box of each class where there is none."""
    if sample.mask:
        return (np.asarray(Image.open(sample.mask).convert("L")).T > 127)[None].astype(np.float32)
    target = np.zeros((classes, *sample.size), np.float32)
    for number, (x0, y0, x1, y1) in zip(sample.classes, sample.boxes.round().astype(int)):
        target[number, x0:x1, y0:y1] = 1
    return target


def train(data: Data, folder: Path, budget: Budget, seed: int, told: dict) -> UNet:
    """Train until the budget is spent; of three states near the end the best on val is kept."""
    set_determinism(seed)
    classes, both = len(data.names), ["image", "target"]
    sides_named = any("left" in name for name in data.names)
    masked = [Lambdad("target", lambda sample: target_of(sample, classes))]
    sized = [Resized(both, (SIZE, SIZE), mode=("bilinear", "nearest"))]
    turned = [] if sides_named else [RandFlipd(both, 0.5, 0), RandFlipd(both, 0.5, 1), RandRotate90d(both, 0.5)]
    items = [{"image": str(sample.file), "target": sample} for sample in data.train]
    dataset = CacheDataset(items, Compose([*LOADED, *masked, *sized, *turned]), progress=False)
    told["prepare_cpu_s"] = budget.spent
    budget.start = cpu_seconds()  # the cache is made once, as the store of htl is
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=0)
    model = UNet(2, 3, classes, channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2), num_res_units=2)
    loss_of, optimizer = DiceCELoss(sigmoid=True), torch.optim.Adam(model.parameters(), RATE)
    choice, steps = Choice(data, budget, predict), 0
    while budget.share < 1:
        for batch in loader:
            optimizer.param_groups[0]["lr"] = RATE * (1 + np.cos(np.pi * budget.share)) / 2
            model.train()
            loss = loss_of(model(batch["image"]), batch["target"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
            choice.look(model)
            if budget.share >= 1:
                break
    told["epochs"] = steps / len(loader)
    return choice.best(model, told)


@torch.inference_mode()
def predict(model: UNet, samples: list[Sample]) -> Iterator[np.ndarray]:
    """The box around the largest component above a half in each class, one image at a time; its score is the mean probability there."""
    model.eval()
    load = Compose([*LOADED, Resized("image", (SIZE, SIZE), mode="bilinear")])
    for sample in samples:
        image = load({"image": str(sample.file)})["image"][None]
        probability = interpolate(model(image.as_tensor()).sigmoid(), sample.size, mode="bilinear")[0]  # [classes, W, H]
        found = []
        for number, own in enumerate(probability):
            lesion = LARGEST(own[None] > 0.5)
            if lesion.any():
                start, end = generate_spatial_bounding_box(lesion)
                found.append([*start, *end, number, float(own[lesion[0] > 0].mean())])
        yield np.array(found, float).reshape(-1, 6)


if __name__ == "__main__":
    main(train, predict)
