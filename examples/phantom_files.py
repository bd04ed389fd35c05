#!/usr/bin/env python3
"""Write synthetic images as files, and a table of their boxes and lesions: phantom_files.py FOLDER [N]."""

import csv
import sys
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, installed or not
from htltools.core.synthetic.phantom import lesion_of, phantom

folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 300
(folder / "images").mkdir(parents=True)
with (folder / "metadata.csv").open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["image_id", "lesion_id", "dx", "x0", "y0", "x1", "y1", "age", "sex", "site"])
    for index in range(count):
        sample = phantom(0, index)
        Image.fromarray(sample.image).save(folder / "images" / f"{index:05d}.png")
        facts = [sample.meta[name] for name in ("age", "sex", "site")]
        table.writerow([f"{index:05d}", f"P{lesion_of(0, index):05d}", sample.label, *sample.true_box, *facts])
