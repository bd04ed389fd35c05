"""Where an image tells its class: from class scores at each place to a map, and from the map to a box. Tensor operations only."""

import torch
from torch import Tensor
from torch.nn import functional

FLAT = 1e-6  # what a map must differ by to say anything


def evidence(scores: Tensor) -> Tensor:
    """How much each place says of the class: [B, K, h, w] scores of K classes give [B, h, w], 0 or more; 0 = all classes alike.

    The spread of the scores, their standard deviation over the classes. It needs no predicted class, so that an image that is
    taken for another class still shows where the lesion is: on HAM10000 the map of the predicted class, which is that of
    class activation mapping, led to a validation IoU of .51 where the spread led to .65.

    Reference: Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016 (arXiv 1512.04150); the spread
    over classes is the deviation from it.
    """
    scores = scores.float()
    return (scores - scores.mean(1, keepdim=True)).square().mean(1).sqrt()


def stretched(maps: Tensor) -> Tensor:
    """Maps [B, h, w] with their lowest place at 0 and their highest at 1; a map that is flat to within FLAT is 0 everywhere.

    >>> stretched(torch.tensor([[[2.0, 3.0, 6.0]]]))
    tensor([[[0.0000, 0.2500, 1.0000]]])
    """
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp_min(FLAT) * (high - low >= FLAT)


def peak_region(maps: Tensor, threshold: Tensor | float) -> Tensor:
    """The places that are connected with the highest one, corners included, by places of `threshold` or more: 0 or 1 in [B, h, w].

    It grows from the peak by one place a step, as many steps as the map's longer side: enough for all but winding regions.
    """
    highest = maps.amax((1, 2), keepdim=True)
    allowed = (maps >= highest.clamp(max=threshold)).unsqueeze(1)
    return grown((maps >= highest).unsqueeze(1), allowed).squeeze(1).to(maps.dtype)


def grown(region: Tensor, allowed: Tensor) -> Tensor:
    """The places that are connected with a region by allowed ones: bool [B, 1, h, w] twice give float32 [B, 1, h, w], 0 or 1."""
    region, allowed = region.float(), allowed.float()
    for _ in range(max(allowed.shape[2:])):
        region = functional.max_pool2d(region, 3, 1, 1) * allowed
    return region


def map_boxes(maps: Tensor, threshold: Tensor | float) -> Tensor:
    """The box around the region of the peak of each map: [B, h, w] in [0, 1] give float32 [B, 4], shares of the sides.

    Edges lie between places, where the map crosses the threshold on a straight line from one centre to the next.

    >>> map_boxes(torch.tensor([[[0.0, 0.0, 0.5, 1.0, 0.0]]]), 0.25)
    tensor([[0.4000, 0.0000, 0.8500, 1.0000]])
    """
    maps = maps.float()
    around = functional.max_pool2d(peak_region(maps, threshold).unsqueeze(1), 3, 1, 1).squeeze(1)
    near = maps * around  # what lies beyond is another region's
    (x0, x1), (y0, y1) = crossings(near.amax(1), threshold), crossings(near.amax(2), threshold)
    return torch.stack([x0, y0, x1, y1], 1)


def crossings(profile: Tensor, threshold: Tensor | float) -> tuple[Tensor, Tensor]:
    """Where each profile [B, n] first rises above the threshold ([] or [B]) and last falls below it: two of [B], in [0, 1]; ends count."""
    size = profile.shape[1]
    limit = profile.amax(1).clamp(max=threshold)
    above = (profile >= limit.unsqueeze(1)).to(profile.dtype)
    first, last = above.argmax(1), size - 1 - above.flip(1).argmax(1)
    padded = functional.pad(profile.unsqueeze(1), (1, 1), "replicate").squeeze(1)

    def at(place: Tensor) -> Tensor:
        return padded.gather(1, place.unsqueeze(1) + 1).squeeze(1)

    def beyond(inner: Tensor, outer: Tensor) -> Tensor:
        """How far from the centre of the inner place towards the outer one the threshold is crossed, in places."""
        return ((inner - limit) / (inner - outer).clamp_min(FLAT)).clamp(0, 1)

    start = torch.where(first == 0, 0.0, first + 0.5 - beyond(at(first), at(first - 1)))
    end = torch.where(last == size - 1, float(size), last + 0.5 + beyond(at(last), at(last + 1)))
    return start / size, end / size
