#!/usr/bin/env python3
"""Find the lesion of a picture with an exported localizer: onnx_client.py lesion.onnx picture.jpg boxed.png."""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw, ImageOps

model, source, target = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
_, height, width, _ = session.get_inputs()[0].shape  # [N, H, W, 3]

picture = ImageOps.exif_transpose(Image.open(source)).convert("RGB")
squashed = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2)  # as htl prepare does
(box,) = session.run(["boxes"], {"images": np.asarray(squashed)[None]})[0]  # shares of width and height, in [0, 1]

x0, y0, x1, y1 = box * np.tile(picture.size, 2)  # x1 and y1 exclusive
print(f"{x0:.1f} {y0:.1f} {x1:.1f} {y1:.1f}")
ImageDraw.Draw(picture).rectangle([x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)], outline="lime", width=max(2, picture.width // 200))
picture.save(target)
