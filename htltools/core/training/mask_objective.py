"""Full supervision by lesion masks: every training sample has one."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from htltools.core.geometry.masks import iou_and_dice, mask_loss
from htltools.core.runtime import distributed
from htltools.core.runtime.predict import batches
from htltools.core.runtime.prefetch import ImageSource, fed
from htltools.core.training.augmentation import augmented_masks, changes
from htltools.core.training.box_objective import Supervised
from htltools.core.training.loop import epoch_seed
from htltools.errors import UsageError

AT_ONCE = 256


class MaskSupervised(Supervised):
    """The objective of N samples whose images carry their lesion mask as a channel more, uint8 [B, H, W, C + 1].

    The mask loss of augmented images, each times its weight; a mask goes where its image goes. All else is as in `Supervised`,
    but for attention, which there is none of; the margins of the record are IoU of masks, within the part of a batch that a process has.

    Raises: UsageError as `Supervised`, and for a batch that leaves a process fewer than two images.
    """

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        if self.batch_size < 2 * distributed.count():
            raise UsageError(
                f"masks are not learned in batches of {self.batch_size} on {distributed.count()}", "raise --batch-size, or take more rows"
            )

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """The loss of each step of an epoch."""
        random = torch.Generator().manual_seed(epoch_seed(self.recipe.seed, epoch))
        turns = self.turns(random)  # [B, steps]
        change = changes(turns.numel(), self.images.shape[3] - 1, self.recipe.augmentation, random).view(*turns.shape, -1)
        everyone, turns = turns.T, distributed.share(turns).T.contiguous()  # [steps, B], [steps, own part]
        change = distributed.share(change).transpose(0, 1).to(self.device)  # [steps, own part, 5 + C]
        importance = torch.from_numpy(self.weights).to(self.device)
        fared = torch.zeros(*everyone.shape, 2, device=self.device)  # IoU and margin, of the whole epoch
        for i, (batch, chosen) in enumerate(zip(fed(self.images, turns, self.device), turns.to(self.device))):
            x, annotated = augmented_masks(batch, change[i], self.model.gain, self.model.bias)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
                logits = self.net(x.contiguous(memory_format=torch.channels_last))  # [B, H, W]
            distributed.share(fared[i])[:] = torch.stack(mask_margins(chosen, logits.detach() >= 0, annotated > 0), 1)
            yield (mask_loss(logits, annotated) * importance[chosen]).sum() / self.batch_size
        self.record.take(everyone.to(self.device), *distributed.summed(fared).unbind(2))


def mask_margins(turn: Tensor, predicted: Tensor, annotated: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and margin of each mask of a batch: int64 [B] and bool [B, H, W] twice give float32 [B] twice; see `core.record`."""
    flat = [masks.flatten(1).float() for masks in (predicted, annotated)]
    both = flat[0] @ flat[1].T  # [B, B]
    either = flat[0].sum(1)[:, None] + flat[1].sum(1) - both
    own, _ = iou_and_dice(predicted, annotated)
    others = (both / either.clamp_min(1)).masked_fill(turn[:, None] == turn, 0).amax(1)
    return own, own - others


def constant_mask_iou(training: ImageSource, held_out: ImageSource) -> float:
    """Mean IoU of held-out masks and one constant mask, the pixels that are lesion in half of the training masks or more, in [0, 1].

    What no model may fall short of. Images with their mask as the last channel, (N, H, W, C + 1).
    """
    often = sum((training.batch(chosen)[..., -1] > 0).sum(0) for chosen in batches(training.shape[0], AT_ONCE))  # [H, W]
    constant = torch.from_numpy(2 * np.asarray(often) >= training.shape[0])
    found = [iou_and_dice(constant, torch.from_numpy(held_out.batch(i)[..., -1] > 0))[0] for i in batches(held_out.shape[0], AT_ONCE)]
    return float(torch.cat(found).mean())
