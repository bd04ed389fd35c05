"""The types of rows, notes and checkpoints: every field that htl reads or writes, with its unit.

Letters: N samples, B boxes, H x W x C a stored image (rows, columns, channels).
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from htltools.formats.rows.objects import BoxField, Detected, Digest, NonNegativeInt, PositiveInt, Replaced, Side

SCHEMA = 1
Split = Literal["train", "val", "test"]
Role = Literal["dense", "pruned"]
SPLITS: tuple[Split, ...] = get_args(Split)
ROLES: tuple[Role, ...] = get_args(Role)
OBJECT = "object"  # class of boxes without a class of their own


class Sample(BaseModel):
    """A row: one sample, complete in itself. Keys that are not listed pass through untouched, listed ones that are null are absent."""

    model_config = ConfigDict(extra="allow", strict=True)

    id: str = Field(description="name of the sample, unique in the stream (together with `repeat`)")
    group: str | None = Field(None, description="what must never be split: a lesion or a patient; absent: the id")
    split: Split | None = Field(None, description="train, val or test")
    store: str | None = Field(None, description="path of the HDF5 shard that holds the image")
    index: NonNegativeInt | None = Field(None, description="place of the image in its shard")
    file: str | None = Field(
        None, description="path of the image file: relative to `source_folder`, or as it was named; absent: DICOM, or synthetic"
    )
    source_folder: str | None = Field(
        None, description="folder that the paths of the row are relative to, absolute; absent: they are as they were named"
    )
    mask_files: list[str] | None = Field(None, description="paths of the image's mask files, like `file`")
    frame: PositiveInt | None = Field(None, description="number of the frame in its DICOM file, from 1; absent: the only one")
    size: Annotated[list[Side], Field(min_length=2, max_length=2)] | None = Field(
        None, description="[width, height] of the original image, in pixels: the frame of every box"
    )
    boxes: list[BoxField] | None = Field(
        None,
        description="B x 4, [x0, y0, x1, y1] in pixels of the original image, x1 and y1 exclusive; "
        "[] = known to hold none, absent = not annotated",
    )
    labels: list[str] | None = Field(None, description="class of each of `boxes`, in their order; absent: all are of one class, object")
    corrected: list[Replaced] | None = Field(None, description="what `boxes` and `labels` were before corrections, the oldest first")
    mask_outdated: bool | None = Field(
        None, description="whether the lesion mask in the store is of an annotation before the last correction, and not used"
    )
    pseudo: bool | None = Field(None, description="whether `boxes` are a model's prediction instead of an annotation; absent: they are not")
    label: str | None = Field(None, description="class of the whole image")
    meta: dict[str, Any] | None = Field(None, description="metadata of the user's table by column")
    hardness: dict[str, FiniteFloat | None] | None = Field(None, description="scores by column, see HARDNESS; higher = harder")
    predicted: dict[str, BoxField] | None = Field(
        None, description="the prediction of each role (dense, pruned), a box like those of `boxes`"
    )
    detected: dict[str, Detected] | None = Field(
        None, description="the objects that each role (dense, pruned) predicts: boxes, labels and scores, the highest score first"
    )
    refer: bool | None = Field(None, description="whether a person should look, for the doubt is above the threshold; absent: no threshold")
    weight: Annotated[FiniteFloat, Field(ge=0)] | None = Field(None, description="weight of the sample in the training loss; absent: 1")
    repeat: NonNegativeInt | None = Field(None, description="which copy of the sample this is, where a row is repeated; absent: 0")


class Begin(BaseModel):
    """The note that opens what one command wrote."""

    htl: Literal["begin"]
    schema_: int = Field(SCHEMA, alias="schema", description="version of this format")
    by: str = Field(description="run id of the command")
    history: list[dict[str, Any]] = Field([], description="provenance: one record per command so far, oldest first")


class End(BaseModel):
    """The note that closes what one command wrote."""

    htl: Literal["end"]
    by: str = Field(description="run id, as in the begin note")
    rows: NonNegativeInt = Field(description="rows written")
    skipped: NonNegativeInt = Field(0, description="samples left out; skips.jsonl of the store gives reasons")
    sha256: str | None = Field(None, description="digest of the lines since the begin note and of this one without its sha256")


class ModelNote(BaseModel):
    """The note that hands a model on; the last one of a role counts."""

    htl: Literal["model"]
    role: Role = Field(description="dense or pruned")
    path: str = Field(description="path of the checkpoint")
    sha256: str | None = Field(None, description="digest of the checkpoint")


class PartNote(BaseModel):
    """The note of a part, before the end note: what it is part of, so that `htl join` can prove that all parts are there, once each."""

    htl: Literal["part"]
    k: PositiveInt = Field(description="which part it is, from 1")
    of: PositiveInt = Field(description="number of parts")
    samples: NonNegativeInt = Field(description="samples of the part, those that were left out too")
    left_out: NonNegativeInt = Field(description="of these that have no row")
    digest: Digest = Field(description="sum of the sha256 of the samples of the part, modulo 2**256")
    whole: NonNegativeInt = Field(description="samples of all parts together")
    whole_digest: Digest = Field(description="the sum over these")
    job: str = Field(description="digest of the command, its parameters and the models that it used: the same in all parts")


NOTES: dict[str, type[BaseModel]] = {"begin": Begin, "end": End, "model": ModelNote, "part": PartNote}

FRAME = 8192  # pixels of the longest side of a stored image
ImageSize = Annotated[list[Annotated[int, Field(ge=1, le=FRAME)]], Field(min_length=3, max_length=3)]  # [H, W, C]


class LooksEntry(BaseModel):
    """How a localizer looks at an image, see core.nets.looks.Looks."""

    model_config = ConfigDict(extra="forbid", strict=True)

    count: Annotated[int, Field(ge=1, le=8)]
    window: Annotated[float, Field(ge=1, le=4)]
    average: bool
    agree: Annotated[float, Field(ge=0, le=2)] = 2.0
    at: Literal["prediction", "random", "median"] = "prediction"
    box: Annotated[list[float], Field(min_length=4, max_length=4)] | None = None


class Architecture(BaseModel):
    """The description that a net is built from, see vocabulary.CHECKPOINT."""

    model_config = ConfigDict(extra="allow", strict=True)

    task: Annotated[str, Field(min_length=1, max_length=200)]
    name: Annotated[str, Field(max_length=200)]
    size: ImageSize
    classes: Annotated[list[str], Field(min_length=1)] | None = None
    most: Annotated[int, Field(ge=1, le=100)] | None = None  # core.nets.detection.detector.MOST
    input: Annotated[list[PositiveInt], Field(min_length=2, max_length=2)] | None = None
    looks: LooksEntry | None = None
    glance: bool = False


class Preprocessing(BaseModel):
    """The images that a net takes."""

    model_config = ConfigDict(extra="allow", strict=True)

    size: ImageSize


class FoldEntry(BaseModel):
    """The fold of the training split that a model was not fitted to."""

    model_config = ConfigDict(extra="forbid", strict=True)

    k: PositiveInt
    K: PositiveInt
    seed: NonNegativeInt


class EpochRecord(BaseModel):
    """A record of the log of a training, one per epoch."""

    model_config = ConfigDict(extra="allow", strict=True)

    epoch: int | None = None
    loss: FiniteFloat | None = None
    val_iou: FiniteFloat | None = None


class SweepStep(BaseModel):
    """A sparsity that the health gate has tried."""

    model_config = ConfigDict(extra="allow", strict=True)

    asked: FiniteFloat
    val_iou_before_recovery: FiniteFloat
    val_iou: FiniteFloat | None


class Pruning(BaseModel):
    """How a pruned model was made."""

    model_config = ConfigDict(extra="allow", strict=True)

    method: str
    recover: str
    sparsity: FiniteFloat
    asked: FiniteFloat
    val_iou: FiniteFloat | None
    dense_val_iou: FiniteFloat | None
    dense_sha256: str
    constant_val_iou: FiniteFloat | None = None
    constant: bool = False
    dead_layers: list[str] = []
    gate: FiniteFloat = 0
    sweep: list[SweepStep] | None = None


class Training(BaseModel):
    """The parameters of the training that the recovery of a pruned copy keeps."""

    model_config = ConfigDict(extra="allow", strict=True)

    flip: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=2, max_length=2)] | None = None
    looks: bool = False


class OnnxDoubt(BaseModel, extra="allow", strict=True):
    """What an ONNX file predicts beside its predictions, see vocabulary.ONNX."""

    column: Annotated[str, Field(min_length=1, max_length=200)]


class Referral(BaseModel):
    """A threshold of doubt that `evaluate --keep-threshold` has set, and what it promises, see vocabulary.CHECKPOINT."""

    model_config = ConfigDict(extra="allow", strict=True)

    column: Annotated[str, Field(min_length=1, max_length=200)]
    threshold: FiniteFloat
    max_failure: Annotated[float, Field(gt=0, lt=1)]
    failure_iou: Annotated[float, Field(gt=0, le=1)]
    confidence: Annotated[float, Field(gt=0, lt=1)] | None
    models: list[str]


class Description(BaseModel):
    """The entries of a checkpoint beside its weights, see vocabulary.CHECKPOINT."""

    model_config = ConfigDict(strict=True)

    architecture: Architecture
    preprocessing: Preprocessing
    metrics: dict[str, Any]
    pruning: Pruning | None
    log: list[EpochRecord]
    history: list[dict[str, Any]]
    fold: FoldEntry | None
    training: Training
    referral: Referral | None
