"""`htl predict`: new images in, boxes out, and how far to trust them."""

import sys
from functools import partial as preset
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from htltools import options
from htltools.errors import UsageError


class DoubtKind(options.Choice):
    """What doubt is measured by."""

    mirror, look, pruned, seed, soft_dice, none = "mirror", "look", "pruned", "seed", "soft_dice", "none"


Sources = Annotated[
    list[str] | None,
    Argument(metavar="SOURCE", help="Folders, images, DICOM, rows, or - for paths or rows on stdin.", show_default=False),
]

data = preset(Option, rich_help_panel="Data", show_default=False)
Window = Annotated[str, Option("--window", metavar="auto|N|C/W|percentile", help="Window of grey DICOM images.", rich_help_panel="Data")]
IdKey = Annotated[Path | None, data("--id-key", metavar="FILE", help="Key of DICOM ids, as of prepare [ids are names of files].")]
Limit = Annotated[int | None, data("--limit", metavar="N", min=1, help="Use only the first N images.")]

model = preset(Option, rich_help_panel="Model", show_default=False)
Models = Annotated[list[Path] | None, model("--model", metavar="FILE", help="A checkpoint or ONNX file; several: their mean.")]
Pruned = Annotated[list[Path] | None, model("--pruned", metavar="FILE", help="A pruned copy to compare with; may be repeated.")]
Threshold = Annotated[float | None, model("--threshold", min=0, max=1, help="Score from which on an object counts [the model's own].")]
DoubtFlag = Annotated[DoubtKind | None, model("--doubt", help="What doubt is measured by [mirror].")]
Refer = Annotated[str | None, model("--refer-threshold", metavar="auto|VALUE|none", help="Doubt above which a person should look [auto].")]

output = preset(Option, rich_help_panel="Output", show_default=False)
Csv = Annotated[Path | None, output("--csv", metavar="FILE|-", help="A line for each box; - in place of rows on stdout.")]
Results = Annotated[Path | None, output("--coco-results", metavar="FILE", help="COCO results.")]
Yolo = Annotated[Path | None, output("--yolo", metavar="DIR", help="YOLO labels.")]
Masks = Annotated[Path | None, output("--masks", metavar="DIR", help="Lesion masks as PNG, in the size of the originals.")]
Overlay = Annotated[Path | None, output("--overlay", metavar="DIR", help="Images with their boxes and their doubt.")]
SkipList = Annotated[Path | None, output("--skips", metavar="FILE", help="The images left out, with reasons.")]
Strict = Annotated[bool, output("--strict", help="Fail where an image cannot be read.")]


@options.command
def predict(
    run,
    sources: Sources = None,
    model: Models = None,
    pruned: Pruned = None,
    threshold: Threshold = None,
    doubt: DoubtFlag = None,
    refer_threshold: Refer = None,
    trust: options.Trust = None,
    window: Window = "auto",
    id_key: IdKey = None,
    csv: Csv = None,
    coco_results: Results = None,
    yolo: Yolo = None,
    masks: Masks = None,
    overlay: Overlay = None,
    skips: SkipList = None,
    strict: Strict = False,
    device: options.DeviceName = "auto",
    precision: options.PrecisionName = options.Precision.auto,
    batch_size: options.BatchSize = 256,
    jobs: options.Jobs = 0,
    ray: options.RayAddress = None,
    limit: Limit = None,
    part: options.PartText = None,
    partial: options.Partial = False,
    force: options.Force = False,
):
    """Predict for new images, and say which predictions to doubt.

    \b
    htl predict photos --model dense.h5 --csv boxes.csv > predicted.jsonl
    find . -name '*.png' | htl predict - --model lesion.onnx --csv -
    htl predict rows.jsonl --model s0.h5 --model s1.h5 --doubt seed
    htl predict photos --model mask.h5 --masks masks --overlay drawn > predicted.jsonl

    Writes a row for each image, with `predicted` (or `detected`) in pixels of the original, `file`, `size`, and `hardness` with
    columns of doubt, which need no annotation: higher = more doubtful. By default that is mirror_disagreement, 1 - mean IoU with
    the predictions for the mirror images that training saw: two more passes. Images are found, decoded and resized as prepare
    does it; no splits are drawn, and annotation beside the images is kept but not needed. Those that cannot be read are left out,
    counted by reason, and listed by --skips.
    With --part 2/8 only an eighth of the groups, or images, is predicted for; htl join puts the parts together. With --ray images are
    decoded, and the models run, on a Ray cluster.
    A model whose threshold of doubt was set by evaluate --keep-threshold marks rows above it with refer: true.
    """
    from htltools.commands.predict.outputs import Paths
    from htltools.commands.predict.write import write_predictions
    from htltools.commands.shared.parts import parsed_part
    from htltools.commands.shared.ray_connection import ray_cluster
    from htltools.core.runtime.runtime import Runtime
    from htltools.formats.dicom.windowing import checked_window

    if (not sources or "-" in sources) and (sys.stdin is None or sys.stdin.isatty()):
        cause = "- expects paths or rows on stdin, which is a terminal" if sources else "nothing to predict for"
        raise UsageError(cause, "name a folder, images, or a file of rows")
    with ray_cluster(ray, device, jobs) as cluster:
        write_predictions(
            run,
            sources or ["-"],
            model or [],
            pruned or [],
            doubt and doubt.value,
            refer_threshold,
            threshold,
            Paths(csv, coco_results, yolo, masks, overlay, skips),
            Runtime("cpu" if ray else device, str(precision), batch_size, 0, options.trusted_names(trust)),
            window=checked_window(window),
            id_key=id_key,
            jobs=jobs,
            limit=limit,
            part=parsed_part(part),
            partial=partial,
            strict=strict,
            force=force,
            cluster=cluster,
        )
