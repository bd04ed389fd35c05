"""What several commands read: models by role, and rows as arrays."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from htltools import console, options
from htltools.core.hardness.cross_fitting import Fold, left_out
from htltools.errors import DataError, MissingInput
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.provenance import file_digest
from htltools.formats.rows.stream import RowReader
from htltools.formats.store.shard import Images


def chosen_machine(device: str, precision: str) -> tuple:
    """The device and the type of arithmetic that --device and --precision come to. Processes of one job meet here.

    Raises: DeviceMissing, UsageError.
    """
    from htltools.core.runtime import distributed
    from htltools.core.runtime.device import chosen_device, chosen_dtype, multiplies_bf16_fast

    place = chosen_device(device)
    if options.several_processes() and not distributed.is_active():
        place = distributed.join(place)
    dtype = chosen_dtype(precision)
    faster = "; --precision bf16 is faster here, and may cost a little IoU" if precision == "auto" and multiplies_bf16_fast(place) else ""
    console.explain(f"computing on {place} in {str(dtype).removeprefix('torch.')}{faster}")
    return place, dtype


def model_path(flag: Path | None, reader: RowReader, role: str, name: str = "--model") -> Path:
    """The model that a flag names, or else the last one of that role in the stream.

    Raises: MissingInput where neither does; DataError where the file is no longer the one that the stream means.
    """
    if flag is not None:
        return flag
    if role not in reader.models:
        raise MissingInput(f"no {role} model in {reader.name} or {name}", "did a filter drop the notes? See htl-stream(5)")
    path, digest = Path(reader.models[role]), reader.digests[role]
    if digest and path.is_file() and file_digest(path) != digest:
        raise DataError(
            f"{path} is no longer the {role} model that {reader.name} means", f"name it with {name} if it is right all the same"
        )
    return path


def load_localizer(path: Path, device, trusted: Collection[str] = ()):
    """The localizer of a checkpoint, on a device and in evaluation mode, and the checkpoint itself.

    Raises: DataError where its net is code of somebody's own whose name is not `trusted`.
    """
    from htltools.core.nets.state_arrays import from_weights

    checkpoint = Checkpoint.load(path)
    console.explain(f"{path}: {checkpoint.architecture['name']}, {' '.join(f'{k} {v}' for k, v in checkpoint.metrics.items())}")
    try:
        return from_weights(checkpoint.architecture, checkpoint.weights, trusted).to(device), checkpoint
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def matching_images(rows: list[dict], frame: list[int], path: Path) -> Images:
    """The images of the rows.

    Raises: DataError where their frame [H, W, C] is not the one that the model at `path` takes.
    """
    images = Images(rows)
    check_frame(images, frame, path)
    return images


def check_frame(images: Images, frame: list[int], path: Path) -> None:
    """Refuse images of another frame than the model at `path` takes.

    Raises: DataError naming both.
    """
    if list(images.shape[1:]) != list(frame):
        stored, wanted = ("x".join(map(str, shape)) for shape in (images.shape[1:], frame))
        raise DataError(f"the store holds images of {stored}, {path} takes {wanted}", "prepare them with the same --size")


def is_annotated(row: dict, or_empty: bool = False) -> bool:
    """Whether a row says where the object is: it has a box; `or_empty`: or says that there is none."""
    return row.get("boxes") is not None if or_empty else bool(row.get("boxes"))


def target_boxes(rows: list[dict]) -> np.ndarray:
    """The annotated box of each row as shares of its image's sides, clipped to it: float32 [N, 4]; NaN where there is none.

    Raises: DataError where a row has several: these localizers answer with one box.
    """
    targets = np.full((len(rows), 4), np.nan, np.float32)
    for target, row in zip(targets, rows):
        boxes = row.get("boxes") or []
        if len(boxes) > 1:
            raise DataError(
                f"{row['id']!r} has {len(boxes)} boxes, this localizer answers with one",
                "prepare with --one-box union or largest, or train a net that finds several, such as --model compact_fcos",
            )
        if boxes:
            target[:] = np.clip(np.divide(boxes[0], row["size"] * 2), 0, 1)
    return targets


def annotation(architecture: dict, rows: list[dict]) -> np.ndarray:
    """What a model of that architecture should answer for each row: boxes [N, 4], or objects [N, M, 5] of one that finds several.

    Raises: DataError where a row has several boxes, or classes, that the model does not know.
    """
    from htltools.tasks.objects import target_objects

    return target_objects(rows, architecture["objects"]) if "objects" in architecture else target_boxes(rows)


def row_boxes(rows: list[dict]) -> np.ndarray:
    """All annotated boxes of each row as shares of its image's sides: float32 [N, M, 4]; zeros where there are fewer, NaN where nobody
    annotated anything, or there is nothing."""
    from htltools.core.geometry.objects import packed

    objects = [np.divide(row["boxes"], row["size"] * 2).clip(0, 1) if row.get("boxes") else None for row in rows]
    return packed([None if own is None else np.pad(own, ((0, 0), (0, 1))) for own in objects], 5)[..., :4]


def image_sizes(rows: list[dict]) -> np.ndarray:
    """Width and height of the original image of each row, in pixels: float [N, 2].

    Raises: DataError where a row does not say.
    """
    missing = next((row["id"] for row in rows if not row.get("size")), None)
    if missing is not None:
        raise DataError(f"the row {missing!r} has no size", "rows need size [width, height] of the original image")
    return np.array([row["size"] for row in rows], float)


def split_rows(rows: list[dict], split: str) -> list[dict]:
    """The rows of a split."""
    return [row for row in rows if row.get("split") == split]


def groups_of(rows: list[dict]) -> list[str]:
    """The group of each row: its id where it names none."""
    return [row.get("group") or row["id"] for row in rows]


def model_fold(checkpoint: Checkpoint) -> Fold | None:
    """The fold of split train that a model was not fitted to."""
    return Fold(**checkpoint.fold) if checkpoint.fold else None


def exclude_fold(training: list[dict], fold: Fold | None) -> list[dict]:
    """The training rows without those of a fold, which are counted aloud.

    Raises: DataError where that leaves none.
    """
    if fold is None or not training:
        return training
    kept = [row for row, out in zip(training, left_out(groups_of(training), fold)) if not out]
    console.say(f"fold {fold}: {len(training) - len(kept)} of {len(training)} training rows are left out")
    if not kept:
        raise DataError(f"fold {fold} leaves out every training row", "folds are dealt by group: there are too few groups for them")
    return kept


class CountedImages:
    """Images that tell a progress bar what was read of them."""

    def __init__(self, images: Images, steps):
        self.images, self.steps, self.shape = images, steps, images.shape

    def batch(self, chosen: np.ndarray) -> np.ndarray:
        """As `Images.batch`."""
        self.steps.advance(len(chosen))
        return self.images.batch(chosen)


def with_scores(rows: list[dict], columns: dict[str, np.ndarray], predicted: dict[str, np.ndarray]) -> Iterator[dict]:
    """The rows with their hardness by column ([N] each) and their predicted boxes ([N, 4] each, pixels); NaN is left out."""
    for i, row in enumerate(rows):
        new = rounded_scores(columns, i)
        there = {role: boxes[i] for role, boxes in predicted.items() if np.isfinite(boxes[i]).all()}
        predictions = {role: [round(float(edge), 2) for edge in box] for role, box in there.items()}
        yield row | {"hardness": row.get("hardness", {}) | new, "predicted": row.get("predicted", {}) | predictions}


def rounded_scores(columns: dict[str, np.ndarray], i: int) -> dict[str, float]:
    """The hardness of the i-th of N rows by column ([N] each), without NaN."""
    return {name: round(float(values[i]), 6) for name, values in columns.items() if np.isfinite(values[i])}


def known_hardness(rows: list[dict], by: str, seed: int) -> np.ndarray:
    """A column of hardness: float [N], NaN where a row lacks it. `random` and `smallness` follow from the rows themselves."""
    from htltools.core.hardness.baselines import chance, smallness

    if by == "random":
        return chance([row["id"] for row in rows], seed)
    if by == "smallness":
        return smallness(row_boxes(rows))
    return np.array([np.nan if (value := row.get("hardness", {}).get(by)) is None else value for row in rows], float)


def hardness_column(rows: list[dict], by: str, seed: int) -> np.ndarray:
    """As `known_hardness`, of all rows: float [N].

    Raises: DataError where a row lacks it.
    """
    values = known_hardness(rows, by, seed)
    missing = np.flatnonzero(np.isnan(values))
    if len(missing):
        known = sorted({name for row in rows for name in row.get("hardness", {})})
        advice = f"these rows have {', '.join(known)}" if known else "run htl score first"
        raise DataError(f"{len(missing)} rows have no hardness {by!r} (the first: {rows[missing[0]]['id']!r})", advice)
    return values
