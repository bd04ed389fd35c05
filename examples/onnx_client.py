#!/usr/bin/env python3
"""Find the lesion, or the objects, of images with an exported localizer, and say what to doubt. Needs numpy, Pillow and onnxruntime.

usage: onnx_client.py lesion.onnx image.jpg boxed.png
       onnx_client.py lesion.onnx FOLDER OUT        all images of a folder; boxed ones go to the folder OUT

One line a box: [file] x0 y0 x1 y1 [label] [doubt D] [refer], in pixels of the image. `doubt` is there in files of
`htl export --doubt mirror`, `refer` where it is above the threshold that `htl evaluate --keep-threshold` has stored.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw, ImageOps, UnidentifiedImageError


def pixels_of(image: Image.Image, frame: list) -> np.ndarray:
    """The image as the file takes it, uint8 [1, H, W, 3]: as it is, or squashed to the frame as htl prepare does."""
    if all(isinstance(side, int) for side in frame[1:3]):
        image = image.resize((frame[2], frame[1]), Image.Resampling.BILINEAR, reducing_gap=2)
    return np.asarray(image)[None]


def found(session: onnxruntime.InferenceSession, image: Image.Image) -> tuple[np.ndarray, list[str]]:
    """Boxes [N, 4] in pixels, x1 and y1 exclusive, and the words that follow each."""
    about = session.get_modelmeta().custom_metadata_map
    names = [each.name for each in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, {"images": pixels_of(image, session.get_inputs()[0].shape)}), strict=True))
    boxes, words = outputs["boxes"].reshape(-1, 4), [""] * len(outputs["boxes"].reshape(-1, 4))
    if "scores" in outputs:  # a net that finds several objects
        objects = json.loads(about["htl.objects"])
        is_object = outputs["scores"][0] >= objects["threshold"]
        boxes, words = boxes[is_object], [" " + objects["classes"][number] for number in outputs["labels"][0][is_object]]
    if "doubt" in outputs:
        doubt, referral = float(outputs["doubt"][0]), json.loads(about.get("htl.referral", "null"))
        refer = referral and referral["column"] == json.loads(about["htl.doubt"])["column"] and doubt > referral["threshold"]
        each = outputs["doubts"][0][is_object] if "doubts" in outputs else [doubt] * len(words)  # of several objects each has its own
        words = [f"{word} doubt {own:.3f}{' refer' if refer else ''}" for word, own in zip(words, each)]
    return boxes * np.tile(image.size, 2), words


def main(model: str, source: str, target: str) -> None:
    """Print the boxes of an image or of all images of a folder, and draw them."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    folder = Path(source).is_dir()
    for path in sorted(each for each in Path(source).iterdir() if each.is_file()) if folder else [Path(source)]:
        try:
            image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        except (UnidentifiedImageError, OSError) as error:
            if not folder:
                raise
            print(f"{path}: left out ({error})", file=sys.stderr)
            continue
        boxes, words = found(session, image)
        for (x0, y0, x1, y1), word in zip(boxes, words, strict=True):
            print(f"{f'{path.name} ' if folder else ''}{x0:.1f} {y0:.1f} {x1:.1f} {y1:.1f}{word}")
            outline = [x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)]
            ImageDraw.Draw(image).rectangle(outline, outline="lime", width=max(2, image.width // 200))
        if folder:
            Path(target).mkdir(parents=True, exist_ok=True)
        image.save(Path(target, f"{path.name}.png") if folder else target)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
