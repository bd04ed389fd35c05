"""`htl export`: a localizer as an ONNX file that predicts like the original."""

from pathlib import Path
from typing import Annotated

from htltools import options
from htltools.errors import UsageError


class Quantize(options.Choice):
    """The arithmetic of the net in the file."""

    none, float16, int8 = "none", "float16", "int8"


class Doubt(options.Choice):
    """What a file compares its prediction with."""

    none, mirror, look = "none", "mirror", "look"


@options.command
def export(
    run,
    rows: options.Rows = None,
    onnx: Annotated[bool, options.in_output("--onnx", help="Accepted and not needed: ONNX is the one format.")] = False,
    model: options.Model = None,
    out: Annotated[Path | None, options.in_output("-o", "--out", help="The file to write.", show_default=False)] = None,
    quantize: Annotated[
        Quantize, options.in_output("--quantize", help="Arithmetic of the net in the file; none: float32.")
    ] = Quantize.none,
    max_loss: Annotated[
        float, options.in_output("--max-loss", metavar="IOU", min=0, help="Loss of mean IoU that --quantize may cost.")
    ] = 0.01,
    any_size: Annotated[bool, options.in_output("--any-size", help="Take images of any size, and squash them inside the file.")] = False,
    doubt: Annotated[Doubt, options.in_output("--doubt", help="Also predict doubt, by mirror images or the first look.")] = Doubt.none,
    bench: Annotated[bool, options.in_output("--bench", help="Write a table of latencies, torch beside onnxruntime.")] = False,
    card: Annotated[
        Path | None,
        options.in_output("--card", metavar="CARD.md", help="Also write a model card: data, training, metrics.", show_default=False),
    ] = None,
    trust: options.Trust = None,
    device: options.DeviceName = "auto",
    seed: options.Seed = 0,
    partial: options.Partial = False,
    force: options.Force = False,
):
    """Write a localizer as an ONNX file, checked against torch before it appears.

    \b
    htl export --model attended.h5 -o lesion.onnx
    htl export --model attended.h5 -o lesion.onnx rows.jsonl
    htl export --model attended.h5 -o small.onnx rows.jsonl --quantize int8 --bench
    htl export --model attended.h5 -o lesion.onnx rows.jsonl --card lesion.md

    The file takes `images`, uint8 [N, H, W, 3] RGB in batches of any size, each image squashed to H x W, and predicts
    `boxes`, float32 [N, 4]: x0, y0, x1, y1 as shares of the image's width and height; of a model of masks also with
    `masks`, float32 [N, H, W], the probability of lesion. Normalisation is inside the graph. It must agree with torch to 1e-4
    on noise in batches of 1, 2 and 5, and on the images of up to 64 rows where a ROWS file is named; else no file is left.
    With --any-size images need not be squashed before; with --doubt mirror a last output `doubt`, float32 [N] in [0, 1], is 1 - mean IoU
    with the predictions for the mirror images that training saw, with --doubt look 1 - IoU with that of the first look alone: the higher,
    the less the prediction is to be trusted. A file that finds several objects also has `doubts`, of each object.
    With --quantize its mean IoU on the rows of the split val is held against float32 instead; int8 is calibrated on 256 rows
    of the split train. --card writes a model card: Markdown with the data, the training, the limits and the metrics of the file on the
    split test. With --model and no ROWS, stdin is not read.
    Nothing is written to stdout but the table of --bench, which is measured on --device; the checks are made on the CPU.
    """
    if out is None:
        raise UsageError("export needs a file to write", "name it with -o")
    if quantize == Quantize.int8 and model is not None and rows is None:
        raise UsageError("--quantize int8 needs rows to calibrate and to measure on", "name a file of rows, or - for stdin")
    if quantize == Quantize.int8 and (any_size or doubt != Doubt.none):
        raise UsageError("--quantize int8 goes with neither --any-size nor --doubt", "use float16 or none")
    if card and model is not None and rows is None:
        raise UsageError("--card needs rows to describe the data and to measure on", "name a file of rows, or - for stdin")
    if model is None:
        options.rows_expected(rows)
    from htltools.formats.files.atomic import refuse_existing

    for path in filter(None, (out, card)):
        refuse_existing(path, force)
    from htltools.commands.export.write import Export, write_export

    asked = Export(str(quantize), max_loss, bench, device, seed, options.trusted_names(trust), any_size, str(doubt))
    write_export(run, rows, model, out, asked, card, partial=partial)
