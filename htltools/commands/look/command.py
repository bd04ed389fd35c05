"""`htl look`: a trained localizer in, the same one that looks otherwise out."""

from pathlib import Path
from typing import Annotated

from htltools import options
from htltools.errors import UsageError


class Place(options.Choice):
    """Where the windows of further looks lie."""

    prediction, random, median = "prediction", "random", "median"


@options.command
def look(
    run,
    rows: options.Rows = None,
    *,
    out: Annotated[Path, options.in_output("-o", "--out", metavar="M.h5", help="The checkpoint to write.", show_default=False)],
    model: options.Model = None,
    glance: Annotated[
        Path | None, options.in_model("--glance", metavar="P.h5", help="A pruned copy, which takes the first look.", show_default=False)
    ] = None,
    looks: Annotated[
        int | None,
        options.in_training("--looks", min=1, max=8, help="Looks at an image; default: best on split val.", show_default=False),
    ] = None,
    window: Annotated[
        float | None,
        options.in_training(
            "--look-window",
            min=1,
            max=4,
            help="Sides of what is looked at again, in sides of the box.",
            show_default=False,
        ),
    ] = None,
    agree: Annotated[
        float | None,
        options.in_training(
            "--agree", metavar="IOU", min=0, max=1, help="IoU of two looks from which on there are no more.", show_default=False
        ),
    ] = None,
    at: Annotated[
        Place, options.in_training("--look-at", help="Where windows lie; controls: a random place, the median training box.")
    ] = Place.prediction,
    trust: options.Trust = None,
    batch_size: options.BatchSize = 256,
    seed: options.Seed = 0,
    device: options.DeviceName = "auto",
    precision: options.PrecisionName = options.Precision.auto,
    limit: options.Limit = None,
    partial: options.Partial = False,
    force: options.Force = False,
):
    """Let a trained localizer look otherwise: again, in other windows, first by a pruned copy, or only once.

    \b
    htl look rows.jsonl --model dense.h5 --glance pruned.h5 -o fast.h5 > /dev/null
    htl look rows.jsonl --model dense.h5 --looks 1 -o once.h5 | htl evaluate --baseline dense.h5
    htl look rows.jsonl --model dense.h5 --looks 4 --agree 0.9 -o patient.h5 > /dev/null

    To look again is to cut the neighbourhood of the prediction out of the image, enlarge it, and predict again. htl train teaches it,
    and chooses on the split val how to do it; this command chooses anew, or takes what is asked for. Weights stay as they are.
    With --glance the checkpoint holds both nets. --agree leaves images alone on which two looks agree: less time, not in ONNX files.
    A net that never saw enlarged images can get worse by a second look: then one look is kept, unless --looks asks for more.
    Writes the rows again, and a note that names the model.
    """
    if agree is not None and looks is not None and looks < 2:
        raise UsageError("--agree needs two looks or more")
    options.rows_expected(rows)
    from htltools.commands.look.write import Wish, look_rows
    from htltools.core.runtime.runtime import Runtime

    runtime = Runtime(device, str(precision), batch_size, seed, options.trusted_names(trust))
    wish = Wish(looks, window, agree, str(at))
    look_rows(run, rows, out, model, glance, wish, runtime, limit=limit, partial=partial, force=force)
