"""Doubt of the predictions of models: which columns a model has, and their values for images."""

import copy
from collections.abc import Callable, Sequence

import numpy as np

from htltools.core.geometry.mirroring import allowed_mirrors
from htltools.core.geometry.objects import stacked
from htltools.core.hardness.doubt import object_disagreement, soft_dice_doubt, view_disagreement
from htltools.core.hardness.scores import present_mean
from htltools.core.runtime.image_sources import ImageSource, MirroredImages
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
    elif column == "look_disagreement" and not isinstance(model, CheckpointPredictor):
        reason = "is an ONNX file, which gives its last look alone"
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
    if column == "soft_dice_doubt":
        return soft_dice_doubt(predictions), None
    views = VIEWS[column](model, images)
    by_object = object_disagreement(predictions, views) if model.task.kind == "objects" else None
    return view_disagreement(predictions, views, model.task.comparison), by_object


def mean_doubt(
    models: Sequence[ModelPredictor], column: str, images: ImageSource, predictions: np.ndarray, allowed: np.ndarray | None = None
) -> np.ndarray:
    """A column of `OF_ONE_MODEL`, the mean over K models and those of the N samples that they may predict: [N].

    predictions: [K, N, ...]; allowed: bool [K, N], all where it is absent.
    """
    values = np.array([doubt_of(model, column, images, own)[0] for model, own in zip(models, predictions)])
    return present_mean(values if allowed is None else np.where(allowed, values, np.nan))
