"""The Python API, for notebooks and scripts: rows, stored images and masks as arrays, and models that predict.

    from htltools import api

    rows = api.read_rows("scored.jsonl")            # dicts, see htl-stream(5); pandas.json_normalize(rows) makes a table
    images = api.read_images(rows)                  # uint8 [N, H, W, C]
    model = api.load_model("dense.h5")              # a checkpoint or an ONNX file
    found = model.values(images, api.sizes(rows))   # a box in pixels for each image

All else in this package is internal and may change. Errors are `htltools.errors.HtlError`, one line with the cause and the remedy.
torch is imported where a model is opened, and not before.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from htltools.errors import DataError, MissingInput

__all__ = ["Model", "load_model", "read_image", "read_images", "read_masks", "read_rows", "sizes", "write_phantoms", "write_rows"]


def read_rows(source: str | Path, *, partial: bool = False) -> list[dict[str, Any]]:
    """The rows of a file, or of the folder of a finished store, each a dict; notes are left out.

    `partial` accepts rows that were cut short.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "rows.jsonl")
    >>> write_rows(path, [{"id": "a", "split": "train", "meta": {"age": 45}}, {"id": "b"}])
    >>> [row["id"] for row in read_rows(path)]
    ['a', 'b']

    Raises: MissingInput where there is no such file; DataError where it holds no rows, or is cut or damaged.
    """
    from htltools.formats.sources.open_rows import read_rows as rows_of

    return list(rows_of(Path(source), partial=partial)[0])


def write_rows(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON Lines without notes, for any command of htl. An existing file is replaced.

    Raises: DataError where a row does not have the form of htl-stream(5), or holds NaN or Infinity, naming it.
    """
    from htltools.formats.files.atomic import replacing
    from htltools.formats.rows.stream import RowReader

    try:
        lines = [json.dumps(dict(row), ensure_ascii=False, allow_nan=False, default=plain_value).encode() + b"\n" for row in rows]
    except (ValueError, TypeError) as error:
        raise DataError(f"rows cannot be written: {str(error).lower()}", "a missing value is null, or its key absent") from None
    for _ in RowReader(lines, name="the rows"):
        pass
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(b"".join(lines))


def plain_value(value: Any) -> Any:
    """A number or an array of numpy, as Python has it.

    Raises: TypeError for anything else.
    """
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON")


def read_images(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """The stored images of N rows: uint8 [N, H, W, C], squashed to the frame of their store.

    Raises: DataError where a row names no stored image, or the stores have different frames; MissingInput where a store is not there.
    """
    from htltools.formats.rows.row import Row
    from htltools.formats.store.shard import Images

    return Images([Row(row) for row in rows]).batch(np.arange(len(rows)))


def read_masks(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """The lesion masks of N rows, in the frame of their store: bool [N, H, W]; empty for a row without a mask.

    Raises: DataError where a store holds no masks, and as `read_images`.
    """
    from htltools.formats.rows.row import Row
    from htltools.formats.store.masked_images import lesion_masks

    masks = lesion_masks([Row(row) for row in rows])
    if masks is None:
        raise DataError("a store of these rows holds no lesion masks", "prepare it from masks")
    return masks


def sizes(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Width and height of the original image of each of N rows, in pixels: float [N, 2].

    >>> sizes([{"id": "a", "size": [600, 450]}])
    array([[600., 450.]])

    Raises: DataError where a row does not say.
    """
    from htltools.formats.rows.row import Row
    from htltools.tasks.rows import image_sizes

    return image_sizes([Row(row) for row in rows])


def read_image(path: str | Path, frame: Sequence[int]) -> tuple[np.ndarray, tuple[int, int]]:
    """An image file as `htl prepare` decodes it, squashed to a frame (H, W, ...), such as `Model.frame`: uint8 [H, W, 3], RGB; and the
    (width, height) of the original, in pixels. DICOM is for `htl predict`.

    Raises: DataError where it cannot be decoded.
    """
    from htltools.formats.images import image

    try:
        return image.read_image(path, (frame[0], frame[1]))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


class Model:
    """A model, to predict with. Made by `load_model`.

    task: what it predicts, `box`, `mask`, `detect` or `class_map`. classes: their names, empty for one box. frame: [H, W, C] of the
    images that it takes.
    """

    def __init__(self, opened: Any):
        self._opened = opened
        self.path: Path = opened.path
        self.task: str = opened.task.name
        self.classes: list[str] = opened.classes
        self.frame: list[int] = list(opened.frame)

    def __repr__(self) -> str:
        return f"Model({str(self.path)!r}, task={self.task!r}, frame={self.frame})"

    def predict(self, images: np.ndarray) -> np.ndarray:
        """What the model predicts for images uint8 [N, H, W, C], as arrays.

        Tasks box and class_map: boxes [N, 4], as shares of the sides, x0, y0, x1, y1. Task mask: probabilities [N, H, W]. Task detect:
        objects [N, D, 6]: the four edges, the number of the class, the score; in empty places the class is -1.

        Raises: DataError where the images have another frame or type.
        """
        from htltools.core.runtime.image_sources import ImagesInMemory
        from htltools.tasks.rows import check_frame

        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 4:
            raise DataError(f"images are {images.dtype} {list(images.shape)}", "a model takes uint8 [N, H, W, C]")
        check_frame(images.shape, self.frame, self.path)
        return self._opened.predict_images(ImagesInMemory(images))

    def values(self, images: np.ndarray, sizes: np.ndarray | None = None) -> list[Any]:
        """What the model predicts for images uint8 [N, H, W, C], as `htl predict` writes it into rows.

        One box an image: [x0, y0, x1, y1] in pixels of the original, None where nothing is predicted. Task detect: a dict of boxes, labels
        and scores. `sizes`: (width, height) of the originals, [N, 2]; without it the images themselves.

        Raises: as `predict`.
        """
        height, width, _ = self.frame
        originals = np.tile([width, height], (len(images), 1)) if sizes is None else np.asarray(sizes)
        return self._opened.task.field_values(self.predict(images)[None], originals.astype(float), self.classes)


def load_model(path: str | Path, *, device: str = "auto", batch_size: int = 256, trust: Sequence[str] = ()) -> Model:
    """A checkpoint or an ONNX file, ready to predict.

    device: auto, cpu, cuda or cuda:N. trust: names of nets of your own, `package.module:function`, that may run.

    Raises: MissingInput where there is no such file; DataError where it is no model, or its net is code that is not trusted;
    DeviceMissing.
    """
    from htltools.core.runtime.runtime import Runtime
    from htltools.tasks.predictor import model_predictor

    if not Path(path).is_file():
        raise MissingInput(f"{path} is not there", "name a checkpoint or an ONNX file")
    return Model(model_predictor(Path(path), Runtime(device, batch_size=batch_size, trusted=tuple(trust))))


def write_phantoms(folder: str | Path, count: int = 600, *, seed: int = 0) -> None:
    """Write synthetic images with planted difficulties as a folder for `htl prepare`, to learn and to test with.

    FOLDER/images/*.png and FOLDER/metadata.csv (lesion, split, class, box, age, sex, site); 70 % are of split train, where some boxes are
    wrong, 10 % val, 20 % test. Beside the folder stands what no real one has, FOLDER.truth.csv: id and planted difficulty, or `nothing`,
    of each image, without a heading.

    Raises: FileExistsError where the folder is there.
    """
    from PIL import Image

    from htltools.core.synthetic.phantom import lesion_of, phantom

    folder = Path(folder)
    (folder / "images").mkdir(parents=True)
    truth_path = folder.with_name(f"{folder.name}.truth.csv")
    with open(folder / "metadata.csv", "w", newline="") as table, open(truth_path, "w", newline="") as truth:
        write, write_truth = csv.writer(table, lineterminator="\n").writerow, csv.writer(truth, lineterminator="\n").writerow
        write(["image_id", "lesion_id", "split", "dx", "x0", "y0", "x1", "y1", "age", "sex", "site"])
        for i in range(count):
            split = (["train"] * 7 + ["val"] + ["test"] * 2)[i // 2 % 10]  # by pairs, which may show one lesion
            made = phantom(seed, i, split)
            Image.fromarray(made.image).save(folder / "images" / f"{i:04}.png")
            write([f"{i:04}", lesion_of(seed, i), split, made.label, *made.box, *(made.meta[name] for name in ("age", "sex", "site"))])
            write_truth([f"{i:04}", made.meta["planted"] or "nothing"])
