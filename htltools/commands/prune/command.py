"""`htl prune`: a dense localizer in, a pruned copy out."""

from pathlib import Path
from typing import Annotated

from typer import Option

from htltools import console, options
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
    out: Annotated[Path, Option("-o", "--out", metavar="P.h5", help="The pruned checkpoint to write.", show_default=False)] = ...,
    model: options.Model = None,
    method: Annotated[
        Method, Option("--method", help="l1: smallest of all; layer-l1: of each layer; random; channel: whole channels.")
    ] = Method.l1,
    sparsity: Annotated[str, Option("--sparsity", metavar="auto|SHARE", help="Share of the weights to cut.")] = "auto",
    recover: Annotated[Recovery, Option("--recover", help="What the pruned copy gets before use.")] = Recovery.finetune,
    epochs: Annotated[int, Option("--epochs", min=1, help="Epochs of --recover finetune.")] = 3,
    rate: Annotated[float, Option("--lr", min=0, help="Highest learning rate of --recover finetune.")] = 1e-3,
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
    the dense validation IoU. A collapsed net answers with one constant box, and says nothing of hardness.
    Recovery uses the training split, without row weights, zeros held, and leaves out the fold that the dense model did.
    Writes the rows again, and a note that names the model.
    """
    options.rows_expected(rows)
    from htltools.formats.files.atomic import refuse_existing
    from htltools.formats.models.checkpoint import pruned_at
    from htltools.formats.rows.provenance import file_digest
    from htltools.formats.rows.stream import RowWriter, check_groups, read_rows

    standing = None if force else pruned_at(out)  # perhaps of this very command, killed before its rows were out
    if not standing:
        refuse_existing(out, force)
    asked = None if sparsity == "auto" else options.shares(sparsity, "--sparsity")
    if asked and len(asked) > 1:
        raise UsageError("--sparsity takes auto or one number; run prune once for each sparsity")
    samples, reader = read_rows(rows, partial=partial, limit=limit)
    check_groups(samples)
    from htltools.commands.prune import health_gate
    from htltools.commands.shared.inputs import chosen_machine, model_path

    dense_path = model_path(model, reader, "dense")
    place, dtype = chosen_machine(device, precision)
    job = health_gate.Job(
        samples, dense_path, str(method), str(recover), epochs, rate, batch_size, seed, place, dtype, options.trusted_names(trust)
    )
    request = job.request(asked and asked[0])
    if standing and standing.pruning["request"] == request:
        pruning = standing.pruning
    else:
        refuse_existing(out, force)
        standing = None
        pruned, pruning = job.gated() if asked is None else job.at(asked[0])
    if not options.first_process():
        return
    history = run.chain(reader.history, {str(dense_path): file_digest(dense_path)}, device=str(place), sparsity=pruning["sparsity"])
    if standing:
        console.say(f"{out} is what the same command came to before; its rows go out again")
    else:
        job.save(out, pruned, pruning | {"request": request}, history)
    console.say(
        f"{out}: {pruning['sparsity']:.3f} of the weights cut, validation IoU {pruning['val_iou']} (dense {pruning['dense_val_iou']})"
    )
    with RowWriter(run, history, skipped=reader.skipped) as writer:
        writer.models(reader.models | {"dense": str(dense_path.absolute()), "pruned": str(out.absolute())})
        writer.write(samples)
