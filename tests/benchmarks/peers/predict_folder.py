"""`htl predict` of a folder by turns with `yolo predict` and with a loop of MONAI, each a process of its own, on the same JPEG files.

predict_folder.py [--quick]; the peers' environment is made as run.py makes it. Weights are fresh: speed does not depend on them.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).parents[1]))
from measuring import alternating, show
from predict_bench import SIDE, made_folder, made_model
from run import ROOT, peers_python

FILES = 2000
YOLO = """
from ultralytics import YOLO
for result in YOLO({model!r}).predict({images!r}, imgsz={side}, device="cpu", batch={batch}, stream=True, verbose=False):
    result.boxes.xyxy
"""
YOLO_MODEL = """
from ultralytics import YOLO
YOLO("yolo26n.yaml").save({model!r})
"""
MONAI = """
import sys, torch
from pathlib import Path
sys.path.insert(0, {here!r})
from monai.data import DataLoader, Dataset
from monai.inferers import SimpleInferer
from monai.networks.nets import UNet
from monai.transforms import Compose, KeepLargestConnectedComponent, Resized
from monai.transforms.utils import generate_spatial_bounding_box
from unet import LARGEST, LOADED, SIZE
items = [{{"image": str(path)}} for path in sorted(Path({images!r}).iterdir())]
load = Compose([*LOADED, Resized("image", (SIZE, SIZE), mode="bilinear")])
model = UNet(2, 3, 1, channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2), num_res_units=2).eval()
with torch.inference_mode():
    for batch in DataLoader(Dataset(items, load), batch_size={batch}, num_workers=0):
        for probability in SimpleInferer()(batch["image"], model).sigmoid():
            lesion = LARGEST(probability > 0.5)
            if lesion.any():
                generate_spatial_bounding_box(lesion)
"""


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Images a second: htl without doubt, and with its default of two more passes, beside each peer one by one and in batches."""
    count, repeats = (20, 1) if quick else (FILES, 3)
    doubts, sizes, python = ("none",) if quick else ("none", "mirror"), (1,) if quick else (1, 32), peers_python()
    table = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, here = made_folder(folder, count), str(Path(__file__).parent)
        model, weights = made_model(folder, "compact_unet"), str(folder / "yolo.pt")
        subprocess.run([python, "-c", YOLO_MODEL.format(model=weights)], check=True, stdout=subprocess.DEVNULL)

        def ours(doubt: str) -> Callable[[], Any]:
            words = "predict", images, "--model", model, "--doubt", doubt, "--csv", folder / "boxes.csv", "--force", "-q"
            whole = [python, "-m", "htltools", *map(str, words)]
            return lambda: subprocess.run(whole, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)

        def peer(code: str, batch: int) -> Callable[[], Any]:
            text = code.format(model=weights, images=str(images), side=SIDE, batch=batch, here=here)
            return lambda: subprocess.run([python, "-c", text], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        peers = {
            f"{tool}, batches of {batch}": peer(code, batch)
            for tool, code in {"Ultralytics YOLO26n": YOLO, "MONAI U-Net": MONAI}.items()
            for batch in sizes
        }
        for doubt in doubts:
            for what, theirs in peers.items():
                mine, others, *ratio = alternating(ours(doubt), theirs, repeats)
                line = {
                    "what": f"predict {count:,} JPEG of 600x450, compact_unet, {SIDE} px, doubt {doubt}",
                    "peer": what,
                    "unit": "images/s",
                }
                table.append(
                    line | {"ours": count / mine, "theirs": count / others} | dict(zip(("ratio", "low", "high"), ratio, strict=True))
                )
    return table


if __name__ == "__main__":
    show(rows("--quick" in sys.argv))
