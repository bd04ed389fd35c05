"""Columns of hardness that need the net of a model, its gradients or its features: `grand` and `dropout_disagreement`."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from htltools.core.hardness.grand import gradient_norms
from htltools.core.hardness.mc_dropout import dropout_disagreement
from htltools.core.hardness.scores import present_mean
from htltools.core.runtime import distributed
from htltools.core.runtime.runtime import Runtime
from htltools.formats.store.shard import Images
from htltools.tasks.predictor import CheckpointPredictor


def column_of_nets(
    name: str, models: Sequence[CheckpointPredictor], images: Images, boxes: np.ndarray, allowed: np.ndarray, runtime: Runtime
) -> np.ndarray:
    """A column of N images with boxes [N, 4], the mean over those of K models that may predict an image, bool [K, N]: [N].

    Every process of a job computes its share.
    """

    def of_dropout(model, batch, boxes: np.ndarray) -> np.ndarray:
        return dropout_disagreement(model, batch, runtime.seed)

    score: Callable = gradient_norms if name == "grand" else of_dropout  # [B] for a model, images uint8 [B, H, W, C] and boxes [B, 4]
    own = distributed.share(np.arange(len(boxes)))
    values = torch.zeros(len(models), len(boxes), device=runtime.device)
    batch = torch.from_numpy(images.batch(own)).to(runtime.device)
    for model, value, eligible in zip(models, values, allowed):
        scored = score(model.localizer, batch, np.where(eligible[own, None], boxes[own], np.nan))
        value[own] = torch.as_tensor(np.where(eligible[own], scored, np.nan), dtype=torch.float32, device=runtime.device)
    return present_mean(distributed.summed(values).cpu().numpy())
