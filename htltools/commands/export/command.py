"""`htl export`: a localizer as an ONNX file that answers like the original."""

from pathlib import Path
from typing import Annotated

from typer import Option

from htltools import console, options
from htltools.errors import DataError, UsageError


class Quantize(options.Choice):
    """The arithmetic of the net in the file."""

    none, float16, int8 = "none", "float16", "int8"


HEADINGS = "batch", "engine", "median ms", "p90 ms", "images/s", "ratio"


@options.command
def export(
    run,
    rows: options.Rows = None,
    onnx: Annotated[bool, Option("--onnx", help="Write ONNX, the one format there is.")] = False,
    model: options.Model = None,
    out: Annotated[Path | None, Option("-o", "--out", help="The file to write.", show_default=False)] = None,
    quantize: Annotated[Quantize, Option("--quantize", help="Arithmetic of the net in the file; none: float32.")] = Quantize.none,
    max_loss: Annotated[float, Option("--max-loss", metavar="IOU", min=0, help="Loss of mean IoU that --quantize may cost.")] = 0.01,
    bench: Annotated[bool, Option("--bench", help="Write a table of latencies, torch beside onnxruntime.")] = False,
    trust: options.Trust = None,
    device: options.DeviceName = "auto",
    seed: options.Seed = 0,
    partial: options.Partial = False,
    force: options.Force = False,
):
    """Write a localizer as an ONNX file, checked against torch before it appears.

    \b
    htl export --onnx --model attended.h5 -o lesion.onnx
    htl export --onnx --model attended.h5 -o lesion.onnx rows.jsonl
    htl export --onnx --model attended.h5 -o small.onnx rows.jsonl --quantize int8 --bench

    The file takes `images`, uint8 [N, H, W, 3] RGB in batches of any size, each image squashed to H x W, and answers with
    `boxes`, float32 [N, 4]: x0, y0, x1, y1 as shares of the image's width and height; of a model of masks also with
    `masks`, float32 [N, H, W], the probability of lesion. Normalisation is inside the graph. It must agree with torch to 1e-4
    on noise in batches of 1, 2 and 5, and on the images of up to 64 rows where a ROWS file is named; else no file is left.
    With --quantize its mean IoU on the rows of the split val is held against float32 instead; int8 is calibrated on 256 rows
    of the split train. With --model and no ROWS, stdin is not read.
    Nothing is written to stdout but the table of --bench, which is measured on --device; the checks are made on the CPU.
    """
    if not onnx:
        raise UsageError("export needs a format", "say --onnx")
    if out is None:
        raise UsageError("export needs a file to write", "name it with -o")
    if quantize == Quantize.int8 and model is not None and rows is None:
        raise UsageError("--quantize int8 needs rows to calibrate and to measure on", "name a file of rows, or - for stdin")
    if model is None:
        options.rows_expected(rows)
    from htltools.formats.files.atomic import refuse_existing

    refuse_existing(out, force)

    from htltools.commands.shared.inputs import load_localizer, model_path
    from htltools.formats.files.atomic import replacing
    from htltools.formats.rows.jsonlines import compact_json
    from htltools.formats.rows.provenance import file_digest
    from htltools.formats.rows.vocabulary import ONNX
    from htltools.formats.sources.open_rows import read_rows

    samples = []
    if rows is not None or model is None:
        samples, reader = read_rows(rows, partial=partial)
        model = model_path(model, reader, "dense")

    import torch

    from htltools.commands.export import parity
    from htltools.core.nets.onnx_wrapper import eager
    from htltools.core.runtime.device import chosen_device
    from htltools.formats.models.onnx import OnnxModel, write_metadata

    place = chosen_device(device) if bench else None
    cpu = torch.device("cpu")
    localizer, checkpoint = load_localizer(model, cpu, options.names_trusted(trust))
    size = checkpoint.preprocessing["size"]
    digest = file_digest(model)
    history = run.chain(checkpoint.history, {str(model): digest})
    held_out = parity.validation_rows(samples) if quantize != Quantize.none else []
    calibration = iter(())
    if quantize == Quantize.int8:
        calibration = parity.calibration_images(samples, size, model, seed)
        if not held_out:
            raise DataError("no row of the split val has a box", "the loss of --quantize int8 is measured on those")
    with replacing(out) as temporary:
        parity.write_as(quantize, temporary, localizer, size, calibration)
        net = OnnxModel(temporary, "cpu")
        ours, theirs = eager(localizer, cpu), net.predict
        measured = None
        if held_out:
            precise, found = parity.mean_ious([ours, theirs], held_out, size, model, localizer, checkpoint.architecture)
            told = parity.loss_of_iou(quantize, found, precise, len(held_out), max_loss)
            measured = found, precise, len(held_out)
        else:
            checks, what = parity.checking_batches(samples, size, model, seed)
            told = parity.agreement(quantize, ours, theirs, checks, what)
            told += parity.agreement_of_masks(quantize, localizer, net, checks)
        about = {"htl.quantize": parity.quantization(quantize, measured), "htl.history": history} | parity.objects_metadata(localizer)
        said = {name: text for name, text in ONNX.items() if name != "htl.masks" or net.masked}
        write_metadata(temporary, said | {name: compact_json(value).decode() for name, value in about.items()} | {"htl.model": digest})
    console.say(f"{out}, {out.stat().st_size / 1e6:.2f} MB: {told}")
    if bench:
        console.show_table(HEADINGS, parity.bench_lines(localizer, out, device, place, seed))
