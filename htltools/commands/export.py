"""`htl export`: a localizer as an ONNX file that answers like the original."""

from pathlib import Path
from typing import Annotated

from typer import Option

from htltools import options
from htltools.errors import HtlError, UsageError

BATCHES = 1, 2, 5
REAL = 64  # rows to check on, when there are rows
TOLERANCE = 1e-4  # shares of the picture's sides


@options.command
def export(
    run,
    rows: options.Rows = None,
    onnx: Annotated[bool, Option("--onnx", help="Write ONNX, the one format there is.")] = False,
    model: options.Model = None,
    out: Annotated[Path | None, Option("-o", "--out", help="The file to write.", show_default=False)] = None,
    seed: options.Seed = 0,
    partial: options.Partial = False,
    force: options.Force = False,
):
    """Write a localizer as an ONNX file, checked against torch before it appears.

    \b
    htl export --onnx --model attended.h5 -o lesion.onnx
    htl export --onnx --model attended.h5 -o lesion.onnx rows.jsonl

    The file takes `images`, uint8 [N, H, W, 3] RGB in batches of any size, each picture squashed to H x W, and answers with
    `boxes`, float32 [N, 4]: x0, y0, x1, y1 as shares of the picture's width and height. Normalisation is inside the
    graph. It must agree with torch to 1e-4 on noise in batches of 1, 2 and 5, and on the pictures of up to 64 rows where a
    ROWS file is named; else no file is left. With --model and no ROWS, stdin is not read. Nothing is written to stdout.
    """
    if not onnx:
        raise UsageError("export needs a format", "say --onnx")
    if out is None:
        raise UsageError("export needs a file to write", "name it with -o")
    if model is None:
        options.rows_expected(rows)
    from htltools.formats.atomic import refuse_existing

    refuse_existing(out, force)

    import numpy as np
    import torch

    from htltools import console
    from htltools.commands._inputs import load_localizer, matching_pictures, model_path
    from htltools.formats.atomic import replacing
    from htltools.formats.jsonlines import compact_json
    from htltools.formats.onnx_file import OnnxLocalizer, write_onnx
    from htltools.formats.provenance import file_digest
    from htltools.formats.schema import ONNX
    from htltools.formats.stream import read_rows

    samples = []
    if rows is not None or model is None:
        samples, reader = read_rows(rows, partial=partial)
        model = model_path(model, reader, "dense")
    localizer, checkpoint = load_localizer(model, torch.device("cpu"))
    size = checkpoint.preprocessing["size"]
    noise = np.random.default_rng(seed)
    batches = [noise.integers(0, 256, (count, *size), np.uint8) for count in BATCHES]
    if samples:
        pictures = matching_pictures(samples[:REAL], size, model)
        batches.append(pictures.batch(np.arange(pictures.shape[0])))
    digest = file_digest(model)
    history = run.chain(checkpoint.history, {str(model): digest})
    about = ONNX | {"htl.history": compact_json(history).decode(), "htl.model": digest}
    with replacing(out) as temporary:
        write_onnx(temporary, localizer, size, about)
        difference = largest_difference(localizer, OnnxLocalizer(temporary, "cpu"), batches)
        if not difference <= TOLERANCE:
            raise HtlError(f"the ONNX model differs from torch by {difference:.2g} of the picture's sides, more than {TOLERANCE:g}")
    checked = f"noise and {len(batches[-1])} pictures" if samples else "noise"
    say_size = f"{out.stat().st_size / 1e6:.2f} MB"
    console.say(f"{out}, {say_size}: largest difference from torch {difference:.1e} of the picture's sides, on {checked}")


def largest_difference(localizer, session, batches) -> float:
    """The largest difference of any edge between torch and onnxruntime on batches uint8 [B, H, W, C]; NaN where one answers NaN."""
    import numpy as np
    import torch

    with torch.inference_mode():
        pairs = [(localizer(torch.from_numpy(batch)).numpy(), session.answer(batch)) for batch in batches]
    return float(np.max([np.abs(ours - theirs).max() for ours, theirs in pairs]))
