"""Full supervision by lesion masks: every training sample has one."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from htltools.core.geometry.masks import iou_and_dice
from htltools.core.nets.mask_localizer import MaskLocalizer
from htltools.core.runtime import distributed
from htltools.core.runtime.batches import batches
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.adaptive_weighting import Attention
from htltools.core.training.augmentation import changed_with_masks
from htltools.core.training.objectives.box import BoxObjective
from htltools.core.training.schedule import Recipe
from htltools.errors import UsageError

AT_ONCE = 256


class MaskObjective(BoxObjective):
    """The objective of N samples whose images carry their lesion mask as a channel more, uint8 [B, H, W, C + 1].

    The mask loss of augmented images, each times its weight; a mask is changed as its image is. Where `has_mask` (bool [N]) says that
    there is none, the ellipse in its box stands for it. All else is as in `BoxObjective`, but that the margins of the record are of the
    IoU of masks, within the part of a batch that a process has.

    Raises: UsageError as `BoxObjective`, and for a batch that leaves a process fewer than two images.
    """

    def __init__(
        self,
        model: MaskLocalizer,
        images: ImageSource,
        boxes: np.ndarray,  # float32 [N, 4]
        has_mask: np.ndarray,
        weights: np.ndarray,  # float32 [N], mean 1
        recipe: Recipe,
        runtime: Runtime,
        *,
        attention: Attention | None = None,
        compiled: bool = False,
    ):
        super().__init__(model, images, boxes, weights, recipe, runtime, attention=attention, compiled=compiled)
        self.has_mask = torch.from_numpy(has_mask).to(runtime.device)
        self.channels -= 1  # the mask is not augmented in light or colour
        if self.smallest_batch < 2 * distributed.world_size():
            cause = f"masks are not learned in batches of {self.smallest_batch} on {distributed.world_size()} processes"
            raise UsageError(cause, "use larger batches, or take more rows")

    def seen(self, batch: Tensor, chosen: Tensor, change: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        x, masks = changed_with_masks(batch, change, self.model.gain, self.model.bias, size)
        ellipses = self.model.training_targets(self.targets[chosen], change[:, :2], change[:, 2:4], size)
        return x, torch.where(self.has_mask[chosen].view(-1, 1, 1), masks, ellipses)

    def note(self, chosen: Tensor, raw: Tensor, target: Tensor, change: Tensor) -> None:
        self.noted.append(torch.stack(mask_margins(chosen, raw >= 0, target > 0), 1))  # IoU and margin, [own part, 2]

    def end_epoch(self, samples: Sequence[Tensor]) -> None:
        noted = torch.cat(distributed.gathered(self.noted, samples))  # [N, 2]
        self.record.add(torch.cat(list(samples)).to(noted.device), *noted.unbind(1))


def mask_margins(samples: Tensor, predicted: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and margin (see `Record`) of each mask of a batch: int64 [B] and bool [B, H, W] twice give float32 [B] twice."""
    flat = [masks.flatten(1).float() for masks in (predicted, targets)]
    both = flat[0] @ flat[1].T  # [B, B]
    either = flat[0].sum(1)[:, None] + flat[1].sum(1) - both
    own, _ = iou_and_dice(predicted, targets)
    others = (both / either.clamp_min(1)).masked_fill(samples[:, None] == samples, 0).amax(1)
    return own, own - others


def constant_mask_iou(training: ImageSource, held_out: ImageSource) -> float:
    """Mean IoU of held-out masks and one constant mask, in [0, 1]: the pixels that are lesion in half of the training masks or more.

    What no model may fall short of. Images with their mask as the last channel, (N, H, W, C + 1).
    """
    often = sum((training.batch(chosen)[..., -1] > 0).sum(0) for chosen in batches(training.shape[0], AT_ONCE))  # [H, W]
    constant = torch.from_numpy(2 * np.asarray(often) >= training.shape[0])
    parts = [iou_and_dice(constant, torch.from_numpy(held_out.batch(i)[..., -1] > 0))[0] for i in batches(held_out.shape[0], AT_ONCE)]
    return float(torch.cat(parts).mean())
