"""What `evaluate` measures on a model that answers by a map, beside its boxes."""

from pathlib import Path

import numpy as np
from torch.nn.functional import interpolate

from htltools.commands.shared.inputs import chosen_machine, load_localizer, matching_images
from htltools.core.geometry.boxes import iou
from htltools.core.geometry.class_maps_to_boxes import map_boxes
from htltools.core.nets.localizer import MapLocalizer
from htltools.core.runtime.predict import batches, predictions
from htltools.core.runtime.prefetch import load_batches
from htltools.core.statistics.map_metrics import LEVELS, maxboxacc_v2, pixel_counts, pxap
from htltools.core.training.class_map_objective import MapOf
from htltools.formats.models.onnx import is_onnx
from htltools.formats.store.masked_images import lesion_masks
from htltools.formats.tables.coco_results import is_json

SWEEP = np.linspace(0.05, 0.95, 37)  # thresholds that the oracle chooses from


def map_metrics(
    path: Path, rows: list[dict], annotated: np.ndarray | None, device: str, precision: str, batch_size: int, trusted: tuple[str, ...] = ()
) -> dict[str, float]:
    """Metrics of maps by name, of rows with boxes [N, 4]; none where there are several boxes, or the model at `path` answers by no map.

    `pxap` only where every row has a lesion mask in its store.
    """
    if annotated is None or is_onnx(path) or is_json(path):
        return {}
    place, dtype = chosen_machine(device, precision)
    model, checkpoint = load_localizer(path, place, trusted)
    if not isinstance(model, MapLocalizer):
        return {}
    images = matching_images(rows, checkpoint.preprocessing["size"], path)
    thresholds = [float(model.threshold), *SWEEP]
    ious, counts = np.zeros((len(thresholds), len(rows))), np.zeros((2, LEVELS), int)
    turns, with_masks = batches(len(rows), batch_size), True
    for chosen, maps in zip(turns, predictions([MapOf(model)], load_batches(images, turns, place), device=place, dtype=dtype)):
        ious[:, chosen] = [iou(map_boxes(maps[0], threshold).cpu().numpy(), annotated[chosen]) for threshold in thresholds]
        masks = lesion_masks([rows[i] for i in chosen]) if with_masks else None
        with_masks = masks is not None
        if with_masks:
            large = interpolate(maps[0].unsqueeze(1), size=masks.shape[1:], mode="bilinear", align_corners=False)
            counts += pixel_counts(large.squeeze(1).clamp(0, 1).cpu().numpy(), masks)
    found = {"maxboxacc_v2": maxboxacc_v2(ious[:1]), "maxboxacc_v2_oracle": maxboxacc_v2(ious)}
    return found | ({"pxap": pxap(counts)} if with_masks else {})
