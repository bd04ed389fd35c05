"""Full supervision of detectors: every training sample has its objects, which may be none."""

import numpy as np
import torch
from torch import Tensor

from htltools.core.geometry.matching import set_overlap
from htltools.core.geometry.objects import EMPTY, above, is_known, packed, present
from htltools.core.nets.detection.detector import Detector
from htltools.core.runtime import distributed
from htltools.core.runtime.batches import batches
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.predict import predict_all
from htltools.core.runtime.prefetch import OnDevice, load_batches
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.augmentation import augmented
from htltools.core.training.objectives.threshold import ThresholdObjective
from htltools.core.training.schedule import Recipe

LEAST = 0.25  # share of an object that must be left where the image's new border cuts it
KINDS = 3  # of images, whose median sets are tried as the constant one
COMPARED = 1000  # training images, at most, that these are held against
THRESHOLDS = np.linspace(0.05, 0.95, 19).round(2)  # of the score, that are tried


class DetectionObjective(ThresholdObjective):
    """The objective of N samples with objects [N, M, 5] each: torchvision's loss of augmented images, each times its weight.

    After each epoch the score threshold is calibrated on the validation samples, in batches of the recipe's size.
    """

    model: Detector

    def __init__(
        self,
        model: Detector,
        images: ImageSource,
        objects: np.ndarray,  # float [N, M, 5]
        weights: np.ndarray,  # float32 [N], mean 1
        validation: tuple[ImageSource, np.ndarray] | None,
        recipe: Recipe,
        runtime: Runtime,
        *,
        compiled: bool = False,
    ):
        super().__init__(model, images, weights, validation, recipe, runtime, compiled=compiled)
        self.objects = torch.from_numpy(objects).float().to(runtime.device)

    def loss(self, batch: Tensor, chosen: Tensor, change: Tensor, seed: int) -> Tensor:
        """As `EpochObjective.loss`; a two-stage net draws which of its proposals count."""
        objects, device = self.objects[chosen], self.runtime.device  # [B, M, 5]
        x, boxes = augmented(batch, objects[..., :4].contiguous(), change, self.model.gain, self.model.bias)
        targets = torch.cat([boxes, visible_classes(objects, boxes, change[:, :2]).unsqueeze(2)], 2)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), self.runtime.autocast():
            torch.manual_seed(seed)
            return self.net(x.contiguous(memory_format=torch.channels_last), targets)

    def validated(self, images: ImageSource | OnDevice, targets: np.ndarray) -> tuple[np.ndarray | None, float]:
        return object_losses(self.model, images, targets, self.runtime.at(self.recipe.batch_size)), super().validated(images, targets)[1]

    def calibrate(self, images: ImageSource | OnDevice, targets: np.ndarray) -> None:
        calibrate_score_threshold(self.model, images, targets, self.runtime.at(self.recipe.batch_size))


def visible_classes(objects: Tensor, moved: Tensor, factor: Tensor) -> Tensor:
    """The class of each object [B, M, 5] after its box moved to [B, M, 4] by a factor [B, 2]; EMPTY where too little of it is left."""

    def area(boxes: Tensor) -> Tensor:
        return (boxes[..., 2:4] - boxes[..., :2]).prod(2)

    whole = area(objects) / factor.abs().prod(1, keepdim=True)
    return torch.where(area(moved) > LEAST * whole, objects[..., 4], float(EMPTY))


def calibrate_score_threshold(model: Detector, images: ImageSource | OnDevice, objects: np.ndarray, runtime: Runtime) -> None:
    """Set the threshold of a detector, in place, to the one of THRESHOLDS with the highest mean overlap with objects [N, M, 5]."""
    predictions = predict_all([model], images, runtime)[0]
    reached = [set_overlap(above(predictions, threshold), objects).mean() for threshold in THRESHOLDS]
    model.threshold.fill_(float(THRESHOLDS[int(np.argmax(reached))]))


def constant_objects(objects: np.ndarray) -> np.ndarray:
    """The constant set of objects that overlaps most with training objects [N, M, 5]: float [K, 5], K >= 1, perhaps none.

    Of the few kinds of images that there are most of, by the number of objects of each class, the set of median boxes: the objects of a
    class stand for each other from left to right. None at all is the set of images without objects.

    >>> pair = np.array([[0, 0, 0.4, 1, 0], [0.6, 0, 1, 1, 0]])
    >>> constant_objects(np.stack([pair, pair[::-1], pair + [0.1, 0, 0.1, 0, 0]])).round(3).tolist()
    [[0.0, 0.0, 0.4, 1.0, 0.0], [0.6, 0.0, 1.0, 1.0, 0.0]]
    """
    sets = [own[present(own)] for own in objects[is_known(objects)]]
    sets = [own[np.lexsort((own[:, 1], own[:, 0] + own[:, 2], own[:, 4]))] for own in sets]  # by class, and from left to right
    kinds: dict[tuple[float, ...], list[np.ndarray]] = {}
    for own in sets:
        kinds.setdefault(tuple(own[:, 4]), []).append(own)
    frequent = sorted(kinds, key=lambda kind: (-len(kinds[kind]), kind))[:KINDS]
    candidates = [packed([np.median(kinds[kind], 0).reshape(-1, 5)], 5)[0] for kind in frequent]
    known = packed(sets[:: -(-len(sets) // COMPARED)], 5)
    return candidates[int(np.argmax([set_overlap(each, known).mean() for each in candidates]))]


def constant_set_overlap(training: np.ndarray, held_out: np.ndarray) -> float:
    """Mean overlap of held-out objects [M, ., 5] and the constant set of training objects [N, ., 5], in [0, 1]: the baseline to beat."""
    return float(set_overlap(constant_objects(training), held_out).mean())


def object_losses(model: Detector, images: ImageSource | OnDevice, objects: np.ndarray, runtime: Runtime) -> np.ndarray:
    """The training loss of each of N images, not augmented, against its objects [N, M, 5]: float [N]; NaN where these are unknown.

    Every process of a job computes its share. What a two-stage net draws follows from the runtime's seed.
    """
    model.eval()
    device = runtime.device
    own = distributed.share(batches(len(objects), runtime.batch_size))
    losses = torch.zeros(len(objects), device=device)
    targets = torch.from_numpy(np.nan_to_num(objects, nan=-1.0)).float()
    with torch.no_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for chosen, batch in zip(own, load_batches(images, own, device)):
            torch.manual_seed(runtime.seed)  # anew, so that an image's loss does not depend on those before it
            with runtime.autocast():
                losses[chosen[0] : chosen[-1] + 1] = model.net(model.normalised(batch), targets[chosen].to(device)).float()
    return np.where(is_known(objects), distributed.summed(losses).cpu().numpy(), np.nan)
