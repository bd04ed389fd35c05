"""Nets that find several objects: torchvision's detectors, and a compact one, answering with arrays of one shape.

torchvision's own forward answers each picture with a list of its own length, in a loop that no exporter can follow for batches of
any size. Here their parts are joined so that every picture has as many places: pictures of one frame [B, C, H, W], normalised,
to objects [B, D, 6] as in `core.objects`, the highest score first. Losses are torchvision's, picture by picture.
"""

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import FeaturePyramidNetwork, roi_align
from torchvision.ops.poolers import LevelMapper

from htltools.core.compact import WIDTHS, trunk
from htltools.core.detectors import DETECTORS
from htltools.core.objects import EMPTY

CANDIDATES = 200  # boxes of a picture that are looked at closely
PROPOSALS = 100  # of the first stage that go on to the second
ALIKE = 0.5  # IoU from which on two boxes of a class are the same object
LIKELY = 0.01  # score below which nothing is told
ROUNDS = 20  # of suppression
LEVELS = 3  # maps of the compact net that are looked at
FULL = 512  # pixels of the shorter side that torchvision's anchors are meant for


class OneStage(nn.Module):
    """FCOS or RetinaNet of torchvision."""

    def __init__(self, model: nn.Module, size: tuple[int, int, int], most: int):
        super().__init__()
        self.model, self.frame, self.most = bare(model), size[:2], most
        anchors, self.levels = anchors_of(model.backbone, model.anchor_generator, size)
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, x: Tensor, objects: Tensor | None = None) -> Tensor:
        """Objects [B, D, 6] of pictures [B, C, H, W]; with annotated objects [B, M, 5] the loss of each picture, [B]."""
        answers = self.model.head(list(self.model.backbone(x).values()))
        answers = {name: tensor.float() for name, tensor in answers.items()}
        if objects is not None:
            parts = [{name: tensor[i : i + 1] for name, tensor in answers.items()} for i in range(len(objects))]
            return torch.stack([self.loss(part, own) for part, own in zip(parts, objects)])
        scores = answers["cls_logits"].sigmoid()  # [B, A, K]
        if "bbox_ctrness" in answers:
            scores = (scores * answers["bbox_ctrness"].sigmoid()).sqrt()
        classes = scores.shape[2]
        scores, place = scores.flatten(1).topk(min(CANDIDATES, scores.shape[1] * classes))  # [B, C]
        anchor = place // classes
        moves = answers["bbox_regression"].gather(1, anchor.unsqueeze(2).expand(-1, -1, 4))
        boxes = decoded(self.model.box_coder, moves, self.anchors.float()[anchor])
        return foremost(shares(boxes, self.frame), scores, place % classes, self.most)

    def loss(self, answers: dict[str, Tensor], objects: Tensor) -> Tensor:
        """The loss of one picture, whose annotated objects are [M, 5]."""
        target, anchors = [target_of(objects, self.frame)], [self.anchors.float()]
        more = [self.levels] if "bbox_ctrness" in answers else []
        return sum(self.model.compute_loss(target, answers, anchors, *more).values())


class TwoStage(nn.Module):
    """Faster R-CNN of torchvision."""

    def __init__(self, model: nn.Module, size: tuple[int, int, int], most: int):
        super().__init__()
        self.model, self.frame, self.most = bare(model), size[:2], most
        anchors, cells = anchors_of(model.backbone, model.rpn.anchor_generator, size)
        each = torch.tensor(cells) * torch.tensor(model.rpn.anchor_generator.num_anchors_per_location())
        self.register_buffer("anchors", anchors, persistent=False)
        self.register_buffer("level", torch.arange(len(cells)).repeat_interleave(each), persistent=False)

    def forward(self, x: Tensor, objects: Tensor | None = None) -> Tensor:
        """As `OneStage.forward`."""
        features = self.model.backbone(x)
        if objects is not None:
            return torch.stack([self.loss(x[i : i + 1], features, i, own) for i, own in enumerate(objects)])
        proposals, likely = self.proposals(features)  # [B, P, 4] in pixels, [B, P]
        pooled = self.pooled(features, proposals)
        logits, moves = self.model.roi_heads.box_predictor(self.model.roi_heads.box_head(pooled))
        batch, count = proposals.shape[:2]
        scores = logits.float().softmax(1).view(batch, count, -1)[:, :, 1:]  # [B, P, K], without the background
        classes = scores.shape[2]
        scores = (scores * (likely > 0).unsqueeze(2)).flatten(1)
        scores, place = scores.topk(min(CANDIDATES, scores.shape[1]))  # [B, C]
        moves = moves.float().view(batch, count, -1, 4)[:, :, 1:].reshape(batch, -1, 4)
        moves = moves.gather(1, place.unsqueeze(2).expand(-1, -1, 4))
        start = proposals.gather(1, (place // classes).unsqueeze(2).expand(-1, -1, 4))
        boxes = decoded(self.model.roi_heads.box_coder, moves, start)
        return foremost(shares(boxes, self.frame), scores, place % classes, self.most)

    def proposals(self, features: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The boxes that the first stage proposes, in pixels [B, P, 4], and how likely each holds something, [B, P]; 0: none."""
        answers, moves = self.model.rpn.head(list(features.values()))
        answers, moves = concat_box_prediction_layers(answers, moves)
        batch = next(iter(features.values())).shape[0]
        scores, moves = answers.float().sigmoid().view(batch, -1), moves.float().view(batch, -1, 4)
        scores, place = scores.topk(min(CANDIDATES, scores.shape[1]))
        boxes = decoded(self.model.rpn.box_coder, moves.gather(1, place.unsqueeze(2).expand(-1, -1, 4)), self.anchors.float()[place])
        boxes = shares(boxes, self.frame)
        kept = distinct(boxes, scores, self.level[place], self.model.rpn.nms_thresh)
        scores, best = (scores * kept).topk(min(PROPOSALS, scores.shape[1]))
        return boxes.gather(1, best.unsqueeze(2).expand(-1, -1, 4)) * pixels(boxes, self.frame), scores

    def pooled(self, features: dict[str, Tensor], proposals: Tensor) -> Tensor:
        """What the features hold of each proposal [B, P, 4]: [B * P, C, s, s], each from the level that fits its size."""
        pool = self.model.roi_heads.box_roi_pool
        batch, count = proposals.shape[:2]
        number = torch.arange(batch, device=proposals.device, dtype=proposals.dtype).view(-1, 1, 1).expand(-1, count, 1)
        rois = torch.cat([number, proposals], 2).view(-1, 5)
        used = [features[name] for name in pool.featmap_names if name in features]
        powers = [round(math.log2(each.shape[2] / self.frame[0])) for each in used]
        level = LevelMapper(-powers[0], -powers[-1], pool.canonical_scale, pool.canonical_level)([rois[:, 1:]])
        out = None
        for i, (each, power) in enumerate(zip(used, powers)):
            own = roi_align(each.float(), rois, pool.output_size, 2.0**power, pool.sampling_ratio)
            out = own if out is None else torch.where((level == i).view(-1, 1, 1, 1), own, out)
        return out.to(used[0].dtype)

    def loss(self, x: Tensor, features: dict[str, Tensor], i: int, objects: Tensor) -> Tensor:
        """The loss of the i-th picture, x [1, C, H, W], whose annotated objects are [M, 5]. Draws which proposals count."""
        own = OrderedDict((name, tensor[i : i + 1].float()) for name, tensor in features.items())
        target = target_of(objects, self.frame)
        target["labels"] += 1  # 0 is the background
        modes = [(module, module.training) for module in (self.model.rpn, self.model.roi_heads)]
        try:
            for module, _ in modes:
                module.training = True  # this one flag alone: their layers keep the mode of the net
            proposals, first = self.model.rpn(ImageList(x, [self.frame]), own, [target])
            _, second = self.model.roi_heads(own, proposals, [self.frame], [target])
        finally:
            for module, mode in modes:
                module.training = mode
        return sum([*first.values(), *second.values()])


def bare(model: nn.Module) -> nn.Module:
    """A torchvision detector without its own resizing and normalisation, which pictures of a store have behind them."""
    model.transform = nn.Identity()
    return model


def anchors_of(backbone: nn.Module, generator: AnchorGenerator, size: tuple[int, int, int]) -> tuple[Tensor, list[int]]:
    """The anchors of pictures of a frame (H, W, C), which are always the same, in pixels [A, 4], and how many cells each level has."""
    height, width, channels = size
    mode, picture = backbone.training, torch.zeros(1, channels, height, width)
    with torch.no_grad():
        features = list(backbone.eval()(picture).values())
    backbone.train(mode)
    return generator(ImageList(picture, [(height, width)]), features)[0], [each.shape[2] * each.shape[3] for each in features]


def target_of(objects: Tensor, frame: tuple[int, int]) -> dict[str, Tensor]:
    """Annotated objects [M, 5] as torchvision's losses take them."""
    there = objects[objects[:, 4] >= 0]
    return {"boxes": there[:, :4] * pixels(there, frame), "labels": there[:, 4].long()}


def pixels(boxes: Tensor, frame: tuple[int, int]) -> Tensor:
    """What shares of the sides are to be multiplied with to give pixels of a frame (H, W): [4]."""
    return torch.tensor([frame[1], frame[0]] * 2, dtype=torch.float32, device=boxes.device)


def shares(boxes: Tensor, frame: tuple[int, int]) -> Tensor:
    """Boxes [..., 4] in pixels of a frame (H, W) as shares of its sides, cut at the border."""
    return (boxes / pixels(boxes, frame)).clamp(0, 1)


def decoded(coder, moves: Tensor, start: Tensor) -> Tensor:
    """Boxes [B, C, 4] that begin at `start` and are moved as a net says, both [B, C, 4]."""
    decode = getattr(coder, "decode_single", coder.decode)
    return decode(moves.reshape(-1, 4), start.reshape(-1, 4)).view(moves.shape)


def distinct(boxes: Tensor, scores: Tensor, labels: Tensor, alike: float) -> Tensor:
    """Which boxes stay where each suppresses those of its class below it that are alike, unless it is suppressed itself: bool [B, C].

    Boxes [B, C, 4], scores [B, C] in falling order, labels [B, C]; `alike` is an IoU. This is non-maximum suppression, which
    `torchvision.ops.nms` does for one picture with an answer of no fixed length. Here the rule is applied to all boxes at once,
    again and again, until chains of suppression as long as ROUNDS have settled.
    """
    earlier = torch.ones(boxes.shape[1], boxes.shape[1], device=boxes.device).tril(-1)  # [i, j]: j scores more than i
    near = (overlaps(boxes) > alike) & (labels.unsqueeze(2) == labels.unsqueeze(1))
    suppressed_by = near.to(earlier.dtype) * earlier  # [B, C, C]
    kept = torch.ones_like(scores)
    for _ in range(ROUNDS):
        kept = (torch.bmm(suppressed_by, kept.unsqueeze(2)).squeeze(2) < 0.5).to(kept.dtype)
    return kept


def overlaps(boxes: Tensor) -> Tensor:
    """IoU of each box of a picture with each other one: [B, C, 4] give [B, C, C]; 0 where both have no area."""
    x0, y0, x1, y1 = boxes.unbind(2)

    def common(low: Tensor, high: Tensor) -> Tensor:
        both = torch.minimum(high.unsqueeze(2), high.unsqueeze(1)) - torch.maximum(low.unsqueeze(2), low.unsqueeze(1))
        return both.clamp_min(0)

    both, area = common(x0, x1) * common(y0, y1), (x1 - x0) * (y1 - y0)
    return both / (area.unsqueeze(2) + area.unsqueeze(1) - both).clamp_min(1e-9)


def foremost(boxes: Tensor, scores: Tensor, labels: Tensor, most: int) -> Tensor:
    """The best `most` distinct objects of boxes [B, C, 4] with scores [B, C] in falling order and labels [B, C]: [B, most, 6]."""
    has_area = ((boxes[..., 2:] - boxes[..., :2]) > 0).all(2)
    scores = scores * distinct(boxes, scores, labels, ALIKE) * has_area
    scores, best = scores.topk(min(most, scores.shape[1]))
    there = (scores >= LIKELY).unsqueeze(2)
    boxes = boxes.gather(1, best.unsqueeze(2).expand(-1, -1, 4))
    labels = labels.gather(1, best).to(boxes.dtype).unsqueeze(2)
    objects = torch.cat([boxes * there, torch.where(there, labels, float(EMPTY)), scores.unsqueeze(2) * there], 2)
    return nn.functional.pad(objects, (0, 0, 0, most - objects.shape[1])) if objects.shape[1] < most else objects


def compact_fcos(size: tuple[int, int, int], classes: int) -> FCOS:
    """A small FCOS for CPUs: the trunk of the compact net, a feature pyramid and a head of two convolutions."""
    stages, stride = trunk(*size)
    first = len(stages) - LEVELS
    backbone = Pyramid(stages, first, WIDTHS[-LEVELS:])
    strides = [stride * 2 ** (first + i - 1) for i in range(LEVELS)]
    generator = AnchorGenerator(tuple((each,) for each in strides), ((1.0,),) * LEVELS)
    return FCOS(backbone, classes, anchor_generator=generator, head=FCOSHead(Pyramid.out_channels, 1, classes, num_convs=2))


class Pyramid(nn.Module):
    """The last maps of a trunk, and what a feature pyramid makes of them: [B, 64, h, w] each, the largest first."""

    out_channels = 64

    def __init__(self, stages: list[nn.Module], first: int, widths: tuple[int, ...]):
        super().__init__()
        self.stages, self.first = nn.ModuleList(stages), first
        self.pyramid = FeaturePyramidNetwork(list(widths), self.out_channels)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = OrderedDict()
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i >= self.first:
                maps[str(i - self.first)] = x
        return self.pyramid(maps)


FEWER = {  # than torchvision's, which are meant for dozens of objects in large pictures
    "rpn_pre_nms_top_n_train": CANDIDATES,
    "rpn_post_nms_top_n_train": PROPOSALS,
    "rpn_batch_size_per_image": 64,
    "box_batch_size_per_image": 64,
}


def detection_net(name: str, size: tuple[int, int, int], classes: int, most: int, imagenet: bool) -> OneStage | TwoStage:
    """A net of DETECTORS with fresh weights, or ImageNet's in its backbone, for so many classes and at most `most` objects a picture."""
    kind = DETECTORS[name]
    if kind is None:
        return OneStage(compact_fcos(size, classes), size, most)
    from torchvision.models import detection

    two = kind == "fasterrcnn"
    how = FEWER if two else {}
    weights = "DEFAULT" if imagenet else None
    model = getattr(detection, name)(weights=None, weights_backbone=weights, num_classes=classes + two, **how)
    scale = min(min(size[:2]) / FULL, 1.0)
    if two:
        rescale(model.rpn.anchor_generator, scale)
        model.roi_heads.box_roi_pool.canonical_scale *= scale
        return TwoStage(model, size, most)
    if kind == "retinanet":  # those of FCOS are its strides
        rescale(model.anchor_generator, scale)
    return OneStage(model, size, most)


def rescale(generator: AnchorGenerator, scale: float) -> None:
    """Make anchors, in place, smaller as pictures are smaller than those that they are meant for."""
    generator.sizes = tuple(tuple(each * scale for each in sizes) for sizes in generator.sizes)
    generator.cell_anchors = [generator.generate_anchors(sizes, ratios) for sizes, ratios in zip(generator.sizes, generator.aspect_ratios)]
