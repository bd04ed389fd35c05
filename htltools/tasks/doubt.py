"""Doubt of the predictions of models: which columns a model has, and their values for images."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from htltools.core.geometry.mirroring import allowed_mirrors
from htltools.core.geometry.objects import stacked
from htltools.core.hardness.doubt import object_disagreement, soft_dice_doubt, view_disagreement
from htltools.core.hardness.scores import present_mean
from htltools.core.runtime.batches import batches
from htltools.core.runtime.image_sources import ImageSource, MirroredImages
from htltools.tasks.onnx_predictor import OnnxPredictor
from htltools.tasks.predictor import CheckpointPredictor, ModelPredictor


def mirror_views(model: ModelPredictor, images: ImageSource) -> list[np.ndarray]:
    """What a model predicts for the mirror images that it may see, put back: [N, ...] each."""
    mirrors = allowed_mirrors(model.flip or (0, 0))
    return [model.task.mirrored(model.predict_images(MirroredImages(images, mirror)), mirror) for mirror in mirrors]


def first_look(model: ModelPredictor, images: ImageSource) -> list[np.ndarray]:
    """What the first look alone predicts, of a model that looks again: [N, ...]."""
    from htltools.core.nets.looks import Looks

    assert isinstance(model, CheckpointPredictor)  # see `missing_reason`
    once = copy.copy(model.localizer)
    once.looks = Looks()
    return [model.task.predictions([once], images, model.runtime)[0]]


def doubt_inside(model: OnnxPredictor, images: ImageSource) -> np.ndarray:
    """The output `doubt` of an ONNX file for images: [N]."""
    turns = batches(images.shape[0], model.runtime.batch_size)
    pieces = (np.ascontiguousarray(images.batch(chosen)[..., : model.frame[2]]) for chosen in turns)
    return np.concatenate([model.model.predict(piece, {"doubt": ()})["doubt"] for piece in pieces]).astype(float)


# other views of images, [N, ...] each, by the column that compares predictions with them
VIEWS: dict[str, Callable[[ModelPredictor, ImageSource], list[np.ndarray]]] = {
    "mirror_disagreement": mirror_views,
    "look_disagreement": first_look,
}
OF_ONE_MODEL = *VIEWS, "soft_dice_doubt"  # columns that a single model has


def missing_reason(model: ModelPredictor, column: str) -> str | None:
    """Why a model does not have a column of `OF_ONE_MODEL`, in a sentence; None: it has."""
    if column not in model.task.supports:
        reasons = {"mirror_disagreement": "predicts the same for mirror images, whose mean its map is", "look_disagreement": "looks once"}
        reason = reasons.get(column, "predicts no masks")
    elif column == "mirror_disagreement" and model.flip is None:
        reason = "does not say which mirror images its training saw: export it again"
    elif column == "mirror_disagreement" and not allowed_mirrors(model.flip or (0, 0)):
        reason = "saw no mirror images in training (train --flip none)"
    elif column == "look_disagreement" and isinstance(model, OnnxPredictor) and model.model.doubt_column != column:
        reason = "is an ONNX file without --doubt look of export, which gives its last look alone"
    elif column == "look_disagreement" and isinstance(model, CheckpointPredictor) and model.localizer.looks.count < 2:
        reason = "looks once"
    else:
        return None
    return f"{model.path} has no {column}: it {reason}"


def predictions_of(models: Sequence[ModelPredictor], images: ImageSource) -> np.ndarray:
    """What models of one task predict for images, [K, N, ...], as `Task.predictions` gives it."""
    own = [model.predict_images(images) for model in models]
    return stacked(own) if models[0].task.kind == "objects" else np.stack(own)


def doubt_of(model: ModelPredictor, column: str, images: ImageSource, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """A column of `OF_ONE_MODEL` of the predictions [N, ...] of a model: [N]; of several objects an image also that of each, [N, D]."""
    if column == "look_disagreement" and isinstance(model, OnnxPredictor):
        return doubt_inside(model, images), None
    if column == "soft_dice_doubt":
        return soft_dice_doubt(predictions), None
    views = VIEWS[column](model, images)
    if model.task.kind == "objects":
        return object_disagreement(predictions, views)
    return view_disagreement(predictions, views, model.task.comparison), None


def mean_doubt(
    models: Sequence[ModelPredictor], column: str, images: ImageSource, predictions: np.ndarray, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """A column of `OF_ONE_MODEL`, the mean over K models and those of the N samples that they may predict: [N].

    Of several objects an image also the doubt of each, [N, D], of the first model that may predict it: those that rows name.
    predictions: [K, N, ...]; allowed: bool [K, N], all where it is absent.
    """
    each = [doubt_of(model, column, images, own) for model, own in zip(models, predictions)]
    allowed = np.ones((len(models), len(predictions[0])), bool) if allowed is None else allowed
    first = allowed.argmax(0)
    objects = [own for _, own in each if own is not None]
    by_object = np.array(objects)[first, np.arange(len(first))] if objects else None
    return present_mean(np.where(allowed, [values for values, _ in each], np.nan)), by_object


def with_object_doubts(values: list[Any], doubts: np.ndarray | None) -> list[Any]:
    """Predicted objects of N images, the field `detected` of a role, with the doubt of each, [N, D] or None: NaN in empty places."""
    if doubts is None:
        return values
    return [value and value | {"doubts": [round(float(each), 6) for each in own[~np.isnan(own)]]} for value, own in zip(values, doubts)]
