"""Ultralytics' smallest YOLO, by its own recipe: its optimizer, augmentation, batch size, choice of the epoch by its own fitness."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from budget import Budget, fake_clock
from rows import Data, Sample
from tool import main

SIZE = int(os.environ.get("PEER_SIZE", 96))


def train(data: Data, folder: Path, budget: Budget, seed: int, told: dict) -> Any:
    """Write the labels as YOLO wants them, train with `time=`."""
    from ultralytics import YOLO
    from ultralytics.engine import trainer

    trainer.time = fake_clock()  # its `time=` counts seconds of the processor
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for sample in getattr(data, split):
            (folder / "images" / split / sample.file.name).symlink_to(sample.file)
            centre, sides = (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2, sample.boxes[:, 2:] - sample.boxes[:, :2]
            shares = np.hstack([centre, sides]) / np.tile(sample.size, 2)
            lines = [f"{number} {' '.join(f'{edge:.6f}' for edge in box)}\n" for number, box in zip(sample.classes, shares)]
            (folder / "labels" / split / f"{sample.file.stem}.txt").write_text("".join(lines))
    sides_named = any("left" in name for name in data.names)
    table = {"path": str(folder), "train": "images/train", "val": "images/val", "names": dict(enumerate(data.names))}
    (folder / "data.yaml").write_text(yaml.safe_dump(table))
    model = YOLO("yolo26n.yaml")
    model.add_callback("on_train_batch_end", lambda trainer: told.update(epochs=told.get("epochs", 0) + 1 / len(trainer.train_loader)))
    model.train(
        data=str(folder / "data.yaml"),
        imgsz=SIZE,
        time=budget.seconds / 3600,
        seed=seed,
        pretrained=False,
        device="cpu",
        workers=0,
        warmup_epochs=0.5,  # its 3 are meant for 100 epochs, and would take most of so short a training
        plots=False,
        fliplr=0.0 if sides_named else 0.5,
        project=str(folder),
        name="run",
        verbose=False,
    )
    return YOLO(folder / "run" / "weights" / "best.pt")


def predict(model: Any, samples: list[Sample]) -> Iterator[np.ndarray]:
    """Boxes from a score of .001 on, as its own validation takes them; one image at a time, its default."""
    for result in model.predict([str(sample.file) for sample in samples], imgsz=SIZE, conf=0.001, device="cpu", verbose=False, stream=True):
        yield np.hstack([result.boxes.xyxy.numpy(), result.boxes.cls.numpy()[:, None], result.boxes.conf.numpy()[:, None]])


if __name__ == "__main__":
    main(train, predict)
