"""`prune` from rows to rows: the pruned checkpoint is written in between."""

from pathlib import Path

from htltools import console
from htltools.commands.prune.health_gate import Job
from htltools.commands.shared.models import explain_runtime, model_path, warn_if_unhealthy
from htltools.core.runtime.runtime import Runtime
from htltools.formats.files.atomic import is_pipe_or_device, refuse_existing
from htltools.formats.models.checkpoint import pruned_at
from htltools.formats.rows.provenance import Run, file_digest
from htltools.formats.rows.stream import RowWriter, check_groups
from htltools.formats.sources.open_rows import read_many_rows
from htltools.processes import first_process


def stopped_text(sparsity: float | None, recover: str) -> str:
    """How to go on after Ctrl-C, in words."""
    if sparsity is None:
        return "stopped; the same command starts anew, and --sparsity SHARE tries one sparsity alone"
    quick = ", and --recover bn takes less time" if recover == "finetune" else ""
    return f"stopped; the same command starts anew{quick}"


def prune_rows(
    run: Run,
    source: Path | None,
    out: Path,
    model: Path | None,
    method: str,
    sparsity: float | None,  # None: the health gate chooses
    recover: str,
    epochs: int,
    runtime: Runtime,
    *,
    limit: int | None,
    partial: bool,
    force: bool,
) -> None:
    """Prune a copy of the model, write its checkpoint, and the rows again. Of several processes only the first writes."""
    standing = None if force else pruned_at(out)  # perhaps of this very command, killed before its rows were out
    if not standing:
        refuse_existing(out, force)
    samples, reader = read_many_rows(source, partial=partial, limit=limit)
    check_groups(samples)
    dense_path = model_path(model, reader, "dense")
    explain_runtime(runtime)
    job = Job(samples, dense_path, method, recover, epochs, runtime)
    request = job.request(sparsity)
    if standing and standing.pruning and standing.pruning["request"] == request:
        pruned, pruning = None, standing.pruning
    else:
        refuse_existing(out, force)
        with console.hint_if_stopped(lambda: stopped_text(sparsity, recover)):
            pruned, pruning = job.gated() if sparsity is None else job.at(sparsity)
            pruning |= job.checked(pruned)
    if not first_process():
        return
    inputs = {str(dense_path): file_digest(dense_path)}
    history = run.chain(reader.history, inputs, device=str(runtime.device), sparsity=pruning["sparsity"])
    if pruned is None:
        console.say(f"{out} is what the same command came to before; its rows go out again")
    else:
        job.save(out, pruned, pruning | {"request": request}, history)
    reached = "" if pruning["val_iou"] is None else f", validation IoU {pruning['val_iou']} (dense {pruning['dense_val_iou']})"
    cut = f"{pruning['sparsity']:.3f} of the weights cut" if pruning["asked"] else "no weight cut, the control for pruning"
    console.say(f"{out}: {cut}{reached}")
    warn_if_unhealthy(out, pruning)
    with RowWriter(run, history, skipped=reader.skipped) as writer:
        named = reader.models | {"dense": str(dense_path.absolute()), "pruned": str(out.absolute())}
        writer.models({role: path for role, path in named.items() if role != "pruned" or not is_pipe_or_device(out)})
        writer.write(samples)
