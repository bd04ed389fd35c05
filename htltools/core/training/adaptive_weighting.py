"""Attention while a localizer trains: the hardness of its samples, measured anew every few epochs."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from torch import nn

from htltools.core.geometry.boxes import box_losses
from htltools.core.hardness.baselines import chance
from htltools.core.hardness.scores import disagreement, edge_distance
from htltools.core.nets.localizer import Localizer
from htltools.core.pruning.unstructured import baked, prune_weights, recalibrate
from htltools.core.runtime.batches import number_of_batches
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.predict import predict_all
from htltools.core.runtime.prefetch import OnDevice, load_batches
from htltools.core.runtime.runtime import Runtime

CALIBRATING = 1024  # images that renew the batch-norm statistics of a pruned copy
SECOND_PHASE = 0.5  # of the epochs, after which `replay` begins
AT_ONCE = 256  # images, whatever the batches of the training
DAMAGE = 0.4  # sparsity of the branch of `damaged`: at 0.8 it predicted too badly to help (validation, three seeds)


@dataclass(frozen=True)
class Attention:
    """How a training attends to hard samples. `by` is a column of hardness, `loss` and `random` the controls that do not prune.

    `adaptive`: samples weigh 1 + boost while they are in the top share, which is measured every `renew` epochs, first after as many.
    `replay`: a first phase without attention; in the second one hard samples come 1 + boost times as often, all others are replayed.
    `damaged`: a pruned branch with batch-norm statistics of its own trains beside the dense one (see `PrunedBranch`).
    `look`: a share of the images is cut around the annotated box and enlarged (see `enlarging`), for localizers that look again; `none`
    as `by`: any of them, else hard ones 1 + boost times as often as the others.
    """

    way: str = "none"
    by: str = "pruned_loss"
    top: float = 0.3  # share that counts as hard
    boost: float = 1.0
    renew: int = 3  # epochs after which mask and scores are renewed
    sparsity: float = 0.8
    share: float = 0.5  # of the images that `look` enlarges

    def begins(self, epochs: int) -> int:
        """The first epoch (from 0) that attends."""
        return round(SECOND_PHASE * epochs) if self.way == "replay" else self.renew

    def is_due(self, epoch: int, epochs: int) -> bool:
        """Whether hardness must be measured before that epoch (from 0)."""
        since = epoch - self.begins(epochs)
        measures = self.way in ("adaptive", "replay") or (self.way == "look" and self.by != "none")
        return measures and since >= 0 and since % self.renew == 0


def hardness_now(
    model: Localizer,
    images: ImageSource | OnDevice,
    boxes: np.ndarray,  # float32 [N, 4]
    attention: Attention,
    seed: int,
    runtime: Runtime,
) -> np.ndarray:
    """A column of hardness of N training samples for a model in training: float [N], higher = harder. The model stays as it is.

    The pruned copy is cut by global magnitude and gets batch-norm statistics of its own, but no training: a recovery every
    few epochs would be gradient steps that no control has.
    """
    count = len(boxes)
    if attention.by == "random":
        return chance([str(i) for i in range(count)], seed)
    models = [model]
    if attention.by != "loss":
        models.append(pruned_copy(model, images, attention.sparsity, seed, runtime))
    predictions = predict_all([each.validator for each in models], images, runtime.at(AT_ONCE))[..., :4]
    match attention.by:
        case "loss":
            return box_losses(predictions[0], boxes)
        case "pruned_loss":
            return box_losses(predictions[1], boxes)
        case "pruned_disagreement":
            return disagreement(predictions[0], predictions[1])
        case "pruned_shift":
            return edge_distance(predictions[0], predictions[1])
    raise ValueError(f"no column {attention.by!r}")


def pruned_copy(model: Localizer, images: ImageSource | OnDevice, sparsity: float, seed: int, runtime: Runtime) -> Localizer:
    """A copy of the model cut by global magnitude, with batch-norm statistics renewed on some of the images."""
    cut = baked(prune_weights(model, "l1", sparsity))
    chosen = np.sort(np.random.default_rng(seed).permutation(images.shape[0])[:CALIBRATING])
    recalibrate(
        cast(nn.Module, cut.validator),
        load_batches(images, np.array_split(chosen, number_of_batches(len(chosen), AT_ONCE)), runtime.device),
    )
    return cut
