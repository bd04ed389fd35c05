"""torchvision's Faster R-CNN on MobileNet, from scratch: SGD with warm-up and two steps down, as its reference training has it."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from budget import Budget
from choosing import Choice
from PIL import Image
from rows import Data, Sample
from tool import main
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn
from torchvision.transforms import v2

SIZE, BATCH, RATE = int(os.environ.get("PEER_SIZE", 128)), 4, 0.005  # .02 for 16 images, as the reference has it
FEW = {"rpn_post_nms_top_n_train": 200, "rpn_post_nms_top_n_test": 50, "box_batch_size_per_image": 32}  # COCO's has 2000, 150, 512
STEPS, WARM_UP = (16 / 26, 22 / 26), 0.04  # shares of the training, as in the reference


class Images(Dataset):
    """Images and their targets as torchvision's detectors take them."""

    def __init__(self, samples: list[Sample], transforms: v2.Transform):
        self.samples, self.transforms = samples, transforms

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        sample = self.samples[place]
        image = tv_tensors.Image(v2.functional.pil_to_tensor(Image.open(sample.file).convert("RGB")))
        boxes = tv_tensors.BoundingBoxes(torch.tensor(sample.boxes, dtype=torch.float32), format="XYXY", canvas_size=image.shape[-2:])
        return self.transforms(image, {"boxes": boxes, "labels": torch.tensor(sample.classes) + 1})


def train(data: Data, folder: Path, budget: Budget, seed: int, told: dict) -> torch.nn.Module:
    """Train until the budget is spent; of three states near the end the best on val is kept."""
    model = fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=len(data.names) + 1, min_size=SIZE, max_size=2 * SIZE, **FEW
    )
    flips = [] if any("left" in name for name in data.names) else [v2.RandomHorizontalFlip()]
    transforms = v2.Compose([*flips, v2.ToDtype(torch.float32, scale=True)])
    loader = DataLoader(Images(data.train, transforms), BATCH, shuffle=True, drop_last=True, collate_fn=lambda batch: tuple(zip(*batch)))
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, weight_decay=1e-4)
    choice, steps = Choice(data, budget, predict), 0
    while budget.share < 1:
        for images, targets in loader:
            share = budget.share
            optimizer.param_groups[0]["lr"] = RATE * min(share / WARM_UP, 1) * 0.1 ** sum(share > step for step in STEPS)
            model.train()
            loss = sum(model(images, targets).values())
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
def predict(model: torch.nn.Module, samples: list[Sample]) -> Iterator[np.ndarray]:
    """What it finds, one image at a time."""
    model.eval()
    for sample in samples:
        image = v2.functional.to_dtype(v2.functional.pil_to_tensor(Image.open(sample.file).convert("RGB")), scale=True)
        found = model([image])[0]
        yield np.hstack([found["boxes"].numpy(), found["labels"].numpy()[:, None] - 1, found["scores"].numpy()[:, None]])


if __name__ == "__main__":
    main(train, predict)
