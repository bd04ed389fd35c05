"""Nets for several objects: torchvision's detectors, and a compact one, with outputs of a fixed shape.

torchvision's own forward gives a list of its own length for each image, in a loop that no exporter can follow for batches of
any size. Here their parts are joined so that every image has as many places: images of one frame [B, C, H, W], normalised,
to objects [B, D, 6] as in `geometry.objects`, the highest score first. Losses are torchvision's, image by image.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import roi_align
from torchvision.ops.poolers import LevelMapper

from htltools.core.nets.detection.compact_fcos import compact_fcos
from htltools.core.nets.detection.names import DETECTORS
from htltools.core.nets.detection.nms import best_objects, highest_scores, nms_mask

CANDIDATES = 200  # boxes of an image, those of highest score, that go into suppression
PROPOSALS = 100  # of the first stage that go on to the second
FULL = 512  # pixels of the shorter side that torchvision's anchors are meant for


class OneStage(nn.Module):
    """FCOS or RetinaNet of torchvision."""

    anchors: Tensor

    def __init__(self, model: Any, size: Sequence[int], most: int):
        super().__init__()
        self.model, self.frame, self.most = without_transform(model), size[:2], most
        anchors, self.levels = anchors_of(model.backbone, model.anchor_generator, size)
        self.register_buffer("anchors", anchors, persistent=False)

    @property
    def heads(self) -> list[nn.Module]:
        """The layers whose outputs are the prediction."""
        classes, boxes = self.model.head.classification_head, self.model.head.regression_head
        return [classes.cls_logits, *(getattr(boxes, name) for name in ("bbox_reg", "bbox_ctrness") if hasattr(boxes, name))]

    def forward(self, x: Tensor, objects: Tensor | None = None) -> Tensor:
        """Objects [B, D, 6] of images [B, C, H, W]; with annotated objects [B, M, 5] the loss of each image, [B]."""
        predictions = self.model.head(list(self.model.backbone(x).values()))
        predictions = {name: tensor.float() for name, tensor in predictions.items()}
        if objects is not None:
            parts = [{name: tensor[i : i + 1] for name, tensor in predictions.items()} for i in range(len(objects))]
            return torch.stack([self.loss(part, own) for part, own in zip(parts, objects)])
        scores = predictions["cls_logits"].sigmoid()  # [B, A, K]
        if "bbox_ctrness" in predictions:
            scores = (scores * predictions["bbox_ctrness"].sigmoid()).sqrt()
        classes = scores.shape[2]
        scores, place = highest_scores(scores.flatten(1), CANDIDATES)  # [B, C]
        anchor = place // classes
        moves = predictions["bbox_regression"].gather(1, anchor.unsqueeze(2).expand(-1, -1, 4))
        boxes = decode_boxes(self.model.box_coder, moves, self.anchors.float()[anchor])
        return best_objects(as_fractions(boxes, self.frame), scores, place % classes, self.most)

    def loss(self, predictions: dict[str, Tensor], objects: Tensor) -> Tensor:
        """The loss of one image, whose annotated objects are [M, 5]."""
        target, anchors = [loss_target(objects, self.frame)], [self.anchors.float()]
        more = [self.levels] if "bbox_ctrness" in predictions else []
        return sum(self.model.compute_loss(target, predictions, anchors, *more).values())


class TwoStage(nn.Module):
    """Faster R-CNN of torchvision."""

    anchors: Tensor
    level: Tensor

    def __init__(self, model: Any, size: Sequence[int], most: int):
        super().__init__()
        self.model, self.frame, self.most = without_transform(model), size[:2], most
        anchors, cells = anchors_of(model.backbone, model.rpn.anchor_generator, size)
        each = zip(cells, model.rpn.anchor_generator.num_anchors_per_location())
        self.register_buffer("anchors", anchors, persistent=False)
        self.register_buffer("level", torch.cat([torch.full((n * a,), i) for i, (n, a) in enumerate(each)]), persistent=False)

    @property
    def heads(self) -> list[nn.Module]:
        """The layers whose outputs are the prediction, of both stages."""
        first, second = self.model.rpn.head, self.model.roi_heads.box_predictor
        return [first.cls_logits, first.bbox_pred, second.cls_score, second.bbox_pred]

    def forward(self, x: Tensor, objects: Tensor | None = None) -> Tensor:
        """As `OneStage.forward`."""
        features = self.model.backbone(x)
        if objects is not None:
            seed = int(torch.randint(2**31, ()))
            return torch.stack([self.loss(x[i : i + 1], features, i, own, seed) for i, own in enumerate(objects)])
        proposals, objectness = self.proposals(features)  # [B, P, 4] in pixels, [B, P]
        pooled = self.pooled(features, proposals)
        logits, moves = self.model.roi_heads.box_predictor(self.model.roi_heads.box_head(pooled))
        batch, count = proposals.shape[:2]
        scores = logits.float().softmax(1).view(batch, count, -1)[:, :, 1:]  # [B, P, K], without the background
        classes = scores.shape[2]
        scores = (scores * (objectness > 0).unsqueeze(2)).flatten(1)
        scores, place = highest_scores(scores, CANDIDATES)  # [B, C]
        moves = moves.float().view(batch, count, -1, 4)[:, :, 1:].reshape(batch, -1, 4)
        moves = moves.gather(1, place.unsqueeze(2).expand(-1, -1, 4))
        start = proposals.gather(1, (place // classes).unsqueeze(2).expand(-1, -1, 4))
        boxes = decode_boxes(self.model.roi_heads.box_coder, moves, start)
        return best_objects(as_fractions(boxes, self.frame), scores, place % classes, self.most)

    def proposals(self, features: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The boxes that the first stage proposes, in pixels [B, P, 4], and their scores [B, P]; 0: no proposal."""
        predictions, moves = self.model.rpn.head(list(features.values()))
        predictions, moves = concat_box_prediction_layers(predictions, moves)
        batch = next(iter(features.values())).shape[0]
        scores, moves = predictions.float().sigmoid().view(batch, -1), moves.float().view(batch, -1, 4)
        scores, place = highest_scores(scores, CANDIDATES)
        boxes = decode_boxes(self.model.rpn.box_coder, moves.gather(1, place.unsqueeze(2).expand(-1, -1, 4)), self.anchors.float()[place])
        boxes = as_fractions(boxes, self.frame)
        kept = nms_mask(boxes, scores, self.level[place], self.model.rpn.nms_thresh)
        scores, chosen = highest_scores(scores * kept, PROPOSALS)
        return boxes.gather(1, chosen.unsqueeze(2).expand(-1, -1, 4)) * frame_scale(boxes, self.frame), scores

    def pooled(self, features: dict[str, Tensor], proposals: Tensor) -> Tensor:
        """The features of each proposal [B, P, 4]: [B * P, C, s, s], from the level that fits its size."""
        pool = self.model.roi_heads.box_roi_pool
        batch, count = proposals.shape[:2]
        number = torch.arange(batch, device=proposals.device, dtype=proposals.dtype).view(-1, 1, 1).expand(-1, count, 1)
        rois = torch.cat([number, proposals], 2).view(-1, 5)
        used = [features[name] for name in pool.featmap_names if name in features]
        powers = [round(math.log2(each.shape[2] / self.frame[0])) for each in used]
        level = LevelMapper(-powers[0], -powers[-1], pool.canonical_scale, pool.canonical_level)([rois[:, 1:]])
        aligned = [roi_align(each.float(), rois, pool.output_size, 2.0**power, pool.sampling_ratio) for each, power in zip(used, powers)]
        out = aligned[0]
        for i, own in enumerate(aligned[1:], 1):
            out = torch.where((level == i).view(-1, 1, 1, 1), own, out)
        return out.to(used[0].dtype)

    def loss(self, x: Tensor, features: dict[str, Tensor], i: int, objects: Tensor, seed: int) -> Tensor:
        """The loss of the i-th image, x [1, C, H, W], whose annotated objects are [M, 5].

        Which proposals count is drawn from the seed, whatever the other images of the batch.
        """
        torch.manual_seed(seed)
        own = OrderedDict((name, tensor[i : i + 1].float()) for name, tensor in features.items())
        target = loss_target(objects, self.frame)
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


def without_transform(model: Any) -> Any:
    """A torchvision detector, in place, without its own resizing and normalisation: images of a store are resized already."""
    model.transform = nn.Identity()
    return model


def anchors_of(backbone: nn.Module, generator: AnchorGenerator, size: Sequence[int]) -> tuple[Tensor, list[int]]:
    """The anchors of images of a frame (H, W, C), in pixels [A, 4], and the number of cells of each level."""
    height, width, channels = size
    mode, image = backbone.training, torch.zeros(1, channels, height, width)
    with torch.no_grad():
        features = list(backbone.eval()(image).values())
    backbone.train(mode)
    return generator(ImageList(image, [(height, width)]), features)[0], [each.shape[2] * each.shape[3] for each in features]


def loss_target(objects: Tensor, frame: Sequence[int]) -> dict[str, Tensor]:
    """Annotated objects [M, 5] as torchvision's losses take them."""
    there = objects[objects[:, 4] >= 0]
    return {"boxes": there[:, :4] * frame_scale(there, frame), "labels": there[:, 4].long()}


def frame_scale(boxes: Tensor, frame: Sequence[int]) -> Tensor:
    """The factor from shares of the sides to pixels of a frame (H, W): [4]."""
    return torch.tensor([frame[1], frame[0]] * 2, dtype=torch.float32, device=boxes.device)


def as_fractions(boxes: Tensor, frame: Sequence[int]) -> Tensor:
    """Boxes [..., 4] in pixels of a frame (H, W) as shares of its sides, cut at the border."""
    return (boxes / frame_scale(boxes, frame)).clamp(0, 1)


def decode_boxes(coder, moves: Tensor, start: Tensor) -> Tensor:
    """Boxes [B, C, 4] from those at `start` and the offsets that a net predicts, both [B, C, 4]."""
    decode = getattr(coder, "decode_single", coder.decode)
    return decode(moves.reshape(-1, 4), start.reshape(-1, 4)).view(moves.shape)


FASTERRCNN_LIMITS = {  # below torchvision's, which are meant for dozens of objects in large images
    "rpn_pre_nms_top_n_train": CANDIDATES,
    "rpn_post_nms_top_n_train": PROPOSALS,
    "rpn_batch_size_per_image": 64,
    "box_batch_size_per_image": 64,
}


def detection_net(name: str, size: Sequence[int], classes: int, most: int, imagenet: bool) -> OneStage | TwoStage:
    """A net of DETECTORS with fresh weights, or ImageNet's in its backbone, for so many classes and at most `most` objects an image."""
    kind = DETECTORS[name]
    if kind is None:
        return OneStage(compact_fcos(size, classes), size, most)
    from torchvision.models import detection

    two = kind == "fasterrcnn"
    limits = FASTERRCNN_LIMITS if two else {}
    weights = "DEFAULT" if imagenet else None
    model = getattr(detection, name)(weights=None, weights_backbone=weights, num_classes=classes + two, **limits)
    scale = min(min(size[:2]) / FULL, 1.0)
    if two:
        rescale(model.rpn.anchor_generator, scale)
        model.roi_heads.box_roi_pool.canonical_scale *= scale
        return TwoStage(model, size, most)
    if kind == "retinanet":  # those of FCOS are its strides
        rescale(model.anchor_generator, scale)
    return OneStage(model, size, most)


def rescale(generator: AnchorGenerator, scale: float) -> None:
    """Scale anchors, in place, as images are smaller than those that they are meant for."""
    generator.sizes = tuple(tuple(each * scale for each in sizes) for sizes in generator.sizes)
    generator.cell_anchors = [generator.generate_anchors(sizes, ratios) for sizes, ratios in zip(generator.sizes, generator.aspect_ratios)]
