"""Every field, dtype, shape and unit that htl reads or writes, named once.

Letters: N samples, B boxes, H x W x C a stored image (rows, columns, channels).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

SCHEMA = 1
SPLITS = ("train", "val", "test")
ROLES = ("dense", "pruned")
OBJECT = "object"  # class of boxes that nobody gave one

SIDE = 2**31  # pixels of an image's side, and more than any number of a box
NonNegativeInt = Annotated[int, Field(ge=0, le=2**53)]
PositiveInt = Annotated[int, Field(ge=1, le=2**53)]
Side = Annotated[int, Field(ge=1, le=SIDE)]
Edge = Annotated[float, Field(ge=-SIDE, le=SIDE, allow_inf_nan=False)]
Box = Annotated[list[Edge], Field(min_length=4, max_length=4)]


class Detected(BaseModel):
    """The objects that a model finds on an image, those that score enough to count, the highest score first: three lists of one length."""

    model_config = ConfigDict(strict=True)

    boxes: list[Box] = Field(description="like `boxes` of the row")
    labels: list[str] = Field(description="class of each")
    scores: list[FiniteFloat] = Field(description="score of each, in (0, 1]")


class Sample(BaseModel):
    """A row: one sample, complete in itself. Keys that are not listed pass through untouched, listed ones that are null are absent."""

    model_config = ConfigDict(extra="allow", strict=True)

    id: str = Field(description="name of the sample, unique in the stream (together with `repeat`)")
    group: str | None = Field(None, description="what must never be split: a lesion or a patient; absent: the id")
    split: Literal["train", "val", "test"] | None = Field(None, description="train, val or test")
    store: str | None = Field(None, description="path of the HDF5 shard that holds the image")
    index: NonNegativeInt | None = Field(None, description="place of the image in its shard")
    frame: PositiveInt | None = Field(None, description="number of the frame in its DICOM file, from 1; absent: the only one")
    size: Annotated[list[Side], Field(min_length=2, max_length=2)] | None = Field(
        None, description="[width, height] of the original image, in pixels: the frame of every box"
    )
    boxes: list[Box] | None = Field(
        None,
        description="B x 4, [x0, y0, x1, y1] in pixels of the original image, x1 and y1 exclusive; "
        "[] = known to hold none, absent = not annotated",
    )
    labels: list[str] | None = Field(None, description="class of each of `boxes`, in their order; absent: all are of one class, object")
    pseudo: bool | None = Field(None, description="whether `boxes` is a model's answer instead of an annotation; absent: it is not")
    label: str | None = Field(None, description="class of the whole image")
    meta: dict[str, Any] | None = Field(None, description="whatever the user's table says, by column")
    hardness: dict[str, FiniteFloat | None] | None = Field(None, description="scores by column, see HARDNESS; higher = harder")
    predicted: dict[str, Box] | None = Field(None, description="the answer of each role (dense, pruned), a box like those of `boxes`")
    detected: dict[str, Detected] | None = Field(
        None, description="the objects that each role (dense, pruned) finds: boxes, labels and scores, the highest score first"
    )
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
    skipped: NonNegativeInt = Field(0, description="samples left out, each with a reason told elsewhere")
    sha256: str | None = Field(None, description="digest of the lines since the begin note and of this one without its sha256")


class ModelNote(BaseModel):
    """The note that hands a model on; the last one of a role counts."""

    htl: Literal["model"]
    role: Literal["dense", "pruned"] = Field(description="dense or pruned")
    path: str = Field(description="path of the checkpoint")
    sha256: str | None = Field(None, description="digest of the checkpoint")


NOTES = {"begin": Begin, "end": End, "model": ModelNote}

# Columns of `hardness`: higher = harder in every one of them. Of models that answer with masks, IoU, loss and smallness are those of masks.
HARDNESS = {
    "pruned_disagreement": "1 - IoU of the dense and the pruned box, in [0, 1]; needs no annotation; also measures smallness",
    "pruned_shift": "mean distance of the four edges of the dense and the pruned box, in units of the image's sides; needs no annotation",
    "pruned_loss": "box loss of the pruned model, 0 or more",
    "iou_drop": "IoU(dense, annotated) - IoU(pruned, annotated), in [-1, 1]",
    "loss_gap": "box loss of the pruned model minus that of the dense one",
    "pie": "share of the pruned models for which [IoU(pruned, annotated) >= 0.75] differs from the dense model, in [0, 1]; only where "
    "two or more pruned models answer for the row",
    "suspect": "how much the annotation looks wrong rather than the sample hard: 1 - IoU with the annotation, where dense and pruned "
    "model agree, in [0.03, 5.95]",
    "loss": "box loss of the dense model, 0 or more: the control that does not prune",
    "el2n": "L2 norm of the error of the dense box, in units of the image's sides, in [0, 2]: a control that does not prune",
    "seed_disagreement": "mean of 1 - IoU over the pairs of dense models, in [0, 1]; only where two or more of them answer for the row; needs "
    "no annotation; also measures smallness: a control that does not prune",
    "smallness": "1 - share of the image that the annotated box covers, in [0, 1]: the control for lesion size",
    "grand": "norm of the gradient of the sample's box loss with respect to all weights of the dense model, 0 or more; only on request",
    "dropout_disagreement": "mean of 1 - IoU of the dense box and those under dropout of the last features, in [0, 1]; needs no annotation; also "
    "measures smallness: a control that does not prune; only on request",
    "forgetting": "how often the sample went from right (IoU >= 0.75) to wrong between epochs of a training, or the epochs where it was "
    "never right: a control that does not prune, of `train`, for training rows",
    "cartography_error": "1 - mean IoU over the epochs of a training, in [0, 1]: a control, as `forgetting`",
    "cartography_spread": "standard deviation of the IoU over the epochs of a training, in [0, 0.5]: a control, as `forgetting`",
    "negative_aum": "the largest IoU with the box of another sample of the batch less the IoU with its own, mean over the epochs of a training, "
    "in [-1, 1]: a control, as `forgetting`",
    "random": "a number in [0, 1) that depends on seed and id alone: the control for chance",
}

# Datasets and attributes of a shard of the store.
STORE = {
    "images": "uint8 [N, H, W, C], contiguous, RGB: the images, squashed to the store's frame",
    "masks": "uint8 [N, H, W], contiguous, 0 or 255 = lesion: lesion masks in the same frame; absent where none were given",
    "rows": "uint8 [bytes], JSON Lines: the rows of the shard without `store`",
    "digests": "uint64 [N]: the first 8 bytes of the sha256 of each image",
    "skips": "uint8 [bytes], JSON Lines: {id, source, reason} of the samples left out",
    "@kind": "'htl-store'",
    "@schema": "version of this format",
    "history": "uint8 [bytes], JSON: provenance",
    "@plan": "digest of the sources and parameters that the shard was made from",
    "@shards": "number of shards of the whole store",
}

MOST = 100  # objects that a net can tell on an image
FRAME = 8192  # pixels of the longest side of a stored image


class Architecture(BaseModel):
    """What builds a net."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: Annotated[str, Field(max_length=200)]
    size: Annotated[list[Annotated[int, Field(ge=1, le=FRAME)]], Field(min_length=3, max_length=3)]
    classes: list[str] | None = None
    objects: Annotated[list[str], Field(min_length=1)] | None = None
    most: Annotated[int, Field(ge=1, le=MOST)] | None = None
    masks: bool | None = None


class Preprocessing(BaseModel):
    """What a net takes."""

    model_config = ConfigDict(extra="allow", strict=True)

    size: Annotated[list[Annotated[int, Field(ge=1, le=FRAME)]], Field(min_length=3, max_length=3)]


class LeftOut(BaseModel):
    """A fold of the training split."""

    model_config = ConfigDict(extra="forbid", strict=True)

    k: PositiveInt
    K: PositiveInt
    seed: NonNegativeInt


class Epoch(BaseModel):
    """A record of the log of a training."""

    model_config = ConfigDict(extra="allow", strict=True)

    epoch: int | None = None
    loss: FiniteFloat | None = None
    val_iou: FiniteFloat | None = None


class Swept(BaseModel):
    """A sparsity that the health gate tried."""

    model_config = ConfigDict(extra="allow", strict=True)

    asked: FiniteFloat
    val_iou_before_recovery: FiniteFloat
    val_iou: FiniteFloat | None


class Pruning(BaseModel):
    """How a pruned model came to be."""

    model_config = ConfigDict(extra="allow", strict=True)

    method: str
    recover: str
    sparsity: FiniteFloat
    asked: FiniteFloat
    val_iou: FiniteFloat
    dense_val_iou: FiniteFloat
    gate: FiniteFloat = 0
    sweep: list[Swept] | None = None


class Training(BaseModel):
    """What the recovery of a pruned copy keeps of the training."""

    model_config = ConfigDict(extra="allow", strict=True)

    flip: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=2, max_length=2)] | None = None


class About(BaseModel):
    """What a checkpoint says beside its weights, see CHECKPOINT."""

    model_config = ConfigDict(strict=True)

    architecture: Architecture
    preprocessing: Preprocessing
    metrics: dict[str, Any]
    pruning: Pruning | None
    log: list[Epoch]
    history: list[dict[str, Any]]
    fold: LeftOut | None
    training: Training


# Datasets and attributes of a checkpoint. The entries under about/ are JSON as uint8 [bytes].
CHECKPOINT = {
    "weights/<name>": "the shape and type of the tensor: one dataset for each entry of the model's state, "
    "compressed (gzip) where a third or more of it is zero",
    "about/architecture": "name of the net and what it takes to build it; `classes`, the labels, of one that answers by a map; "
    "`objects`, the classes, and `most`, how many it can tell, of one that finds several objects; `masks`, true, of one that answers with "
    "masks",
    "about/preprocessing": "size [H, W, C] of its input, mean and std of its normalisation in [0, 1] units",
    "about/metrics": "validation metrics of these weights",
    "about/pruning": "method, sparsity asked and achieved, recovery, sweep of the health gate; request, a digest of the rows, the "
    "dense model and the parameters that it follows from; null in a dense model",
    "about/log": "one record per epoch",
    "about/fold": "k, K and seed of the fold of split train that the model was not fitted to; null where it left none out",
    "about/training": "flip: chances of a mirror image, left for right and upside down, which the recovery of a pruned copy keeps",
    "about/history": "provenance",
    "@kind": "'htl-checkpoint'",
    "@schema": "version of this format",
}

# What an ONNX file says of itself, in its metadata.
ONNX = {
    "htl.input": "images: uint8 [N, H, W, 3], RGB, the whole image squashed to H x W",
    "htl.output": "boxes: float32 [N, 4], [x0, y0, x1, y1] as shares of the image's width and height, in [0, 1]; of a net that finds "
    "several objects boxes [N, D, 4], scores float32 [N, D] in falling order, 0 in empty places, and labels int64 [N, D], -1 there",
    "htl.objects": "JSON, of a net that finds several objects: classes, their names, and threshold, the score from which on one counts",
    "htl.masks": "masks: float32 [N, H, W], probability of lesion at each pixel, in [0, 1], lesion from 0.5 on; only of a model that "
    "answers with masks",
    "htl.history": "JSON: provenance",
    "htl.model": "sha256 of the checkpoint it was made from",
    "htl.sha256": "sha256 of the file with 64 zeros in the place of this value",
    "htl.quantize": "JSON: kind (none, float16 or int8), the calibration of int8, and where it was measured iou_mean and "
    "iou_mean_float32, the mean IoU of this file and of the net in float32 on n rows of the split val",
}

METRICS = {
    "iou_mean": "mean IoU of predicted and annotated box",
    "iou_median": "median IoU",
    "iou_p10": "10th percentile of IoU: how the hard ones fare",
    "acc@0.3": "share of samples with IoU >= 0.3",
    "acc@0.5": "share of samples with IoU >= 0.5",
    "acc@0.7": "share of samples with IoU >= 0.7",
    "acc@0.75": "share of samples with IoU >= 0.75",
    "acc@0.9": "share of samples with IoU >= 0.9",
    "failure_rate": "share of samples with IoU < 0.1; lower is better",
    "dice": "mean Dice of predicted and annotated lesion mask; only of models that answer with masks, over samples whose store holds one",
    "mask_iou": "mean IoU of predicted and annotated lesion mask; as `dice`",
    "maxboxacc_v2": "mean of the shares of samples with IoU >= 0.3, 0.5 and 0.7; only of models that answer by a map, at their threshold",
    "maxboxacc_v2_oracle": "the same at the thresholds that are best on these samples: what it could be, and no held-out figure",
    "ap": "average precision of the objects found, mean over IoU .5 to .95 and classes (COCO); only of models that find several",
    "ap50": "the same at IoU .5",
    "ap75": "the same at IoU .75",
    "pxap": "average precision of the pixels of the map; only of models that answer by a map, where the store holds lesion masks",
}

# Metrics of hardness, and not of a model.
ODDS = {
    "odds_ratio": "odds of the samples of a subgroup to be among the hard, over those of all others; more than 1: more often hard",
}
