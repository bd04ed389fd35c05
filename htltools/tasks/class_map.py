"""The task `class_map`: a box around the peak of a map that was learned from image labels alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from htltools.core.geometry.boxes import constant_iou, iou
from htltools.core.runtime.batches import batches
from htltools.core.runtime.runtime import Runtime
from htltools.core.statistics.map_metrics import LEVELS, maxboxacc_v2, pixel_counts, pxap
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import rows_where
from htltools.formats.store.masked_images import lesion_masks
from htltools.tasks.box import Box
from htltools.tasks.rows import matching_images, of_split
from htltools.tasks.task import Data, Extras, Model, Selection

if TYPE_CHECKING:
    from htltools.core.training.loop import Objective
    from htltools.core.training.schedule import Recipe

SWEEP = np.linspace(0.05, 0.95, 37)  # thresholds that the oracle chooses from


class ClassMap(Box):
    """One box an image, as `Box`; training sees the field `label` and no box, validation boxes set the threshold of the map."""

    name = "class_map"
    target_fields = ("label",)
    supports = frozenset({"weak", "look", "channel", "int8"})
    has_threshold = True

    def training_rows(self, rows: Sequence[Row], *, semi: bool = False) -> Selection:
        """As `Task.training_rows`: rows with a label."""
        candidates = of_split(rows, "train")
        labelled = rows_where(candidates, (row.label is not None for row in candidates))
        if not labelled:
            raise DataError("no row of split train has a label", "weak supervision needs the field label; prepare --label-column")
        left_out = len(candidates) - len(labelled)
        return Selection(labelled, [f"{left_out} rows of split train without a label are left aside"] if left_out else [])

    def net_options(self, rows: Sequence[Row]) -> dict[str, Any]:
        """The classes: the labels of the rows, each once, in order.

        Raises: DataError where there is only one: nothing can be learned from it.
        """
        names = sorted({row.label for row in rows if row.label is not None})
        if len(names) < 2:
            raise DataError(f"all rows of split train have the label {names[0]!r}", "weak supervision needs two classes or more")
        return {"classes": names}

    def training_data(self, rows: Sequence[Row], classes: Sequence[str], frame: Sequence[int], path: Path) -> Data:
        """As `Task.training_data`: the number of the class of each row, int64 [N]."""
        number = {name: place for place, name in enumerate(classes)}
        unknown = next((row for row in rows if row.label not in number), None)
        if unknown is not None:
            raise DataError(f"the row {unknown.id!r} has the label {unknown.label!r}, and the model knows {', '.join(classes)}")
        numbers = np.array([number[row.label] for row in rows if row.label is not None], np.int64)
        return Data(rows, matching_images(rows, frame, path), numbers)

    def objective(
        self,
        model: Model,
        training: Data,
        weights: np.ndarray,
        validation: Data | None,
        recipe: "Recipe",
        runtime: Runtime,
        extras: Extras,
    ) -> "Objective":
        """The cross-entropy of the class maps."""
        from htltools.core.training.objectives.class_map import ClassMapObjective

        held_out = (validation.images, validation.targets) if validation else None
        attention, compiled = extras.attention, extras.compiled
        return ClassMapObjective(
            model, training.images, training.targets, weights, held_out, recipe, runtime, attention=attention, compiled=compiled
        )

    def calibrate(self, model: Model, validation: Data, runtime: Runtime) -> None:
        """Set the threshold of the map, on validation boxes."""
        from htltools.core.training.objectives.class_map import calibrate_map_threshold

        calibrate_map_threshold(model, validation.images, validation.targets, runtime)

    def constant_baseline(self, training: Data, validation: Data) -> tuple[str, float] | None:
        """The median of the validation boxes: training knows none."""
        return "box", constant_iou(validation.targets, validation.targets)

    def more_metrics(self, model: Model, data: Data, runtime: Runtime) -> dict[str, float]:
        """`maxboxacc_v2` at the map's threshold and at the best ones, and `pxap` where every row has a lesion mask in its store."""
        from torch.nn.functional import interpolate

        from htltools.core.geometry.class_maps_to_boxes import map_boxes
        from htltools.core.runtime.predict import predictions
        from htltools.core.runtime.prefetch import load_batches
        from htltools.core.training.objectives.class_map import MapOf

        thresholds = [float(model.threshold), *SWEEP]
        ious, counts = np.zeros((len(thresholds), len(data.rows))), np.zeros((2, LEVELS), int)
        turns, with_masks = batches(len(data.rows), runtime.batch_size), True
        for chosen, maps in zip(turns, predictions([MapOf(model)], load_batches(data.images, turns, runtime.device), runtime)):
            ious[:, chosen] = [iou(map_boxes(maps[0], each).cpu().numpy(), data.targets[chosen]) for each in thresholds]
            masks = lesion_masks([data.rows[i] for i in chosen]) if with_masks else None
            with_masks = masks is not None
            if masks is not None:
                large = interpolate(maps[0].unsqueeze(1), size=masks.shape[1:], mode="bilinear", align_corners=False)
                counts += pixel_counts(large.squeeze(1).clamp(0, 1).cpu().numpy(), masks)
        metrics = {"maxboxacc_v2": maxboxacc_v2(ious[:1]), "maxboxacc_v2_oracle": maxboxacc_v2(ious)}
        return metrics | ({"pxap": pxap(counts)} if with_masks else {})
