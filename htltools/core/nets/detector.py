"""Localizers that find several objects of several classes on an image."""

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor, nn

from htltools.core.geometry.matching import set_overlap
from htltools.core.geometry.objects import above, is_known
from htltools.core.nets.localizer import Localizer
from htltools.core.runtime import distributed
from htltools.core.runtime.predict import batches, predict_all
from htltools.core.runtime.prefetch import ImageSource, OnDevice, fed

THRESHOLDS = np.linspace(0.05, 0.95, 19).round(2)  # of the score, that are tried
MOST = 100  # objects on an image, at most


class Detector(Localizer):
    """Images as stored, uint8 [B, H, W, C], to objects float32 [B, D, 6] as in `core.objects`, the highest score first.

    `classes`: their names. `threshold`: the score from which on an object counts where sets are compared; it lies with the weights.
    """

    def __init__(self, net: nn.Module, mean: list[float], std: list[float], classes: Collection[str]):
        super().__init__(net, mean, std)
        self.classes, self.prediction_shape = list(classes), (net.most, 6)
        self.register_buffer("threshold", torch.tensor(0.5))

    def boxes(self, x: Tensor) -> Tensor:
        """The objects [B, D, 6] of normalised images [B, C, H, W]."""
        return self.net(x)

    def onnx_outputs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes float32 [B, D, 4], scores float32 [B, D] and labels int64 [B, D]; in empty places zeros and the label -1."""
        found = self.boxes(x)
        return found[..., :4], found[..., 5], found[..., 4].long()

    def overlap(self, predictions: np.ndarray, annotated: np.ndarray) -> np.ndarray:
        """Of objects found [N, D, 6], those that count, and annotated ones [N, M, 5]: `matching.set_overlap`, [N] in [0, 1]."""
        return set_overlap(self.counted(predictions), annotated)

    def counted(self, predictions: np.ndarray) -> np.ndarray:
        """The objects [..., D, 6] that score enough to count."""
        return above(predictions, float(self.threshold))


def room_for(most_annotated: int) -> int:
    """How many objects a detector should be able to tell, where images have at most so many annotated."""
    return min(max(2 * most_annotated, 10), MOST)


def calibrate(
    model: Detector, images: ImageSource | OnDevice, objects: np.ndarray, batch_size: int, *, device: torch.device, dtype: torch.dtype
) -> None:
    """Set the threshold of a detector, in place, to the one of THRESHOLDS with the highest mean overlap with objects [N, M, 5]."""
    predictions = predict_all([model], images, batch_size, device=device, dtype=dtype)[0]
    reached = [set_overlap(above(predictions, threshold), objects).mean() for threshold in THRESHOLDS]
    model.threshold.fill_(float(THRESHOLDS[int(np.argmax(reached))]))


def object_losses(
    model: Detector, images: ImageSource, objects: np.ndarray, batch_size: int, seed: int, *, device: torch.device, dtype: torch.dtype
) -> np.ndarray:
    """The training loss of each of N images as it is, not augmented, and its objects [N, M, 5]: float [N]; NaN where nothing is known.

    Every process of a job computes its share. What a two-stage net draws follows from the seed.
    """
    model.eval()
    turns = distributed.share(batches(len(objects), batch_size))
    losses = torch.zeros(len(objects), device=device)
    known = torch.from_numpy(is_known(objects))
    targets = torch.from_numpy(np.nan_to_num(objects, nan=-1.0))
    with torch.no_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for chosen, batch in zip(turns, fed(images, turns, device)):
            torch.manual_seed(seed)  # anew, so that an image's loss does not depend on those before it
            with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                losses[chosen[0] : chosen[-1] + 1] = model.net(model.normalised(batch), targets[chosen].to(device)).float()
    return np.where(known.numpy(), distributed.summed(losses).cpu().numpy(), np.nan)
