#!/usr/bin/env python3
"""Find the lesion, or the objects, of an image with an exported localizer: onnx_client.py lesion.onnx image.jpg boxed.png."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw, ImageOps

model, source, target = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
_, height, width, _ = session.get_inputs()[0].shape  # [N, H, W, 3]

image = ImageOps.exif_transpose(Image.open(source)).convert("RGB")
resized = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2)  # as htl prepare does
names = [each.name for each in session.get_outputs()]
outputs = dict(zip(names, session.run(names, {"images": np.asarray(resized)[None]}), strict=True))
boxes = outputs["boxes"].reshape(-1, 4)  # shares of width and height, in [0, 1]
labels = [""] * len(boxes)
if "scores" in outputs:  # a net that finds several objects
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["htl.objects"])
    is_object = outputs["scores"][0] >= metadata["threshold"]
    boxes, labels = boxes[is_object], [" " + metadata["classes"][number] for number in outputs["labels"][0][is_object]]

for (x0, y0, x1, y1), label in zip(boxes * np.tile(image.size, 2), labels, strict=True):  # x1 and y1 exclusive
    print(f"{x0:.1f} {y0:.1f} {x1:.1f} {y1:.1f}{label}")
    outline = [x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)]
    ImageDraw.Draw(image).rectangle(outline, outline="lime", width=max(2, image.width // 200))
image.save(target)
