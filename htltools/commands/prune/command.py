"""`htl prune`: a dense localizer in, a pruned copy out."""

from pathlib import Path
from typing import Annotated

from htltools import options
from htltools.errors import UsageError


class Method(options.Choice):
    """Which weights go."""

    l1, layer_l1, random, channel = "l1", "layer-l1", "random", "channel"


class Recovery(options.Choice):
    """What the pruned copy gets before it is used."""

    none, bn, finetune = "none", "bn", "finetune"


@options.command
def prune(
    run,
    rows: options.Rows = None,
    *,
    out: Annotated[Path, options.in_output("-o", "--out", metavar="P.h5", help="The pruned checkpoint to write.", show_default=False)],
    model: options.Model = None,
    method: Annotated[
        Method, options.in_training("--method", help="l1: smallest of all; layer-l1: of each layer; random: control; channel: whole ones.")
    ] = Method.l1,
    sparsity: Annotated[
        str, options.in_training("--sparsity", metavar="auto|SHARE", help="Share of the weights to cut; 0: control.")
    ] = "auto",
    recover: Annotated[Recovery, options.in_training("--recover", help="What the pruned copy gets before use.")] = Recovery.finetune,
    epochs: Annotated[int, options.in_training("--epochs", min=1, help="Epochs of --recover finetune.")] = 3,
    trust: options.Trust = None,
    batch_size: options.BatchSize = 32,
    seed: options.Seed = 0,
    device: options.DeviceName = "auto",
    precision: options.PrecisionName = options.Precision.auto,
    nproc: options.Nproc = 1,
    limit: options.Limit = None,
    partial: options.Partial = False,
    force: options.Force = False,
):
    """Prune a copy of a localizer; the dense one stays as it is.

    \b
    htl train rows.jsonl -o dense.h5 | htl prune -o pruned.h5 | htl score
    htl prune rows.jsonl --model dense.h5 --sparsity 0.8 --recover none -o p80.h5 > /dev/null

    --sparsity auto is the health gate: the largest sparsity of its sweep at which the pruned copy, recovered, keeps 0.9 of
    the dense validation IoU. A collapsed net predicts one constant box, and says nothing of hardness: reported, also with -q.
    --sparsity 0 cuts nothing and recovers alike: the control for what the cut alone does. --method random: for which weights go.
    Recovery uses the training split, without row weights, zeros held, and leaves out the fold that the dense model did.
    Writes the rows again, and a note that names the model.
    """
    options.rows_expected(rows)
    from htltools.commands.prune.write import prune_rows
    from htltools.core.runtime.runtime import Runtime

    asked = [] if sparsity == "auto" else options.shares(sparsity, "--sparsity")
    if len(asked) > 1:
        raise UsageError("--sparsity takes auto or one number; run prune once for each sparsity")
    runtime = Runtime(device, str(precision), batch_size, seed, options.trusted_names(trust))
    prune_rows(
        run,
        rows,
        out,
        model,
        str(method),
        asked[0] if asked else None,
        str(recover),
        epochs,
        runtime,
        limit=limit,
        partial=partial,
        force=force,
    )
