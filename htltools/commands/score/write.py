"""`score` from rows to rows, as a stream."""

from collections import deque
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from htltools import console
from htltools.commands.score.on_cluster import scored_on_cluster
from htltools.commands.score.results_scorer import ResultsScorer, are_results
from htltools.commands.score.scored_rows import Scorer, show_stability
from htltools.commands.score.scorer import ModelScorer
from htltools.commands.shared import next_steps, streaming
from htltools.commands.shared.chosen_rows import ChosenRows
from htltools.commands.shared.cluster import Cluster
from htltools.commands.shared.models import explain_models, explain_runtime, model_path, warn_if_one_prediction
from htltools.commands.shared.parts import PartRecord, write_part_note
from htltools.core.hardness.rank_stability import Stability
from htltools.core.runtime.runtime import Runtime
from htltools.core.sampling.parts import Part
from htltools.errors import UsageError
from htltools.formats.rows.provenance import Run, file_digest
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import kept_rows
from htltools.formats.rows.stream import RowWriter
from htltools.formats.sources.open_rows import row_count
from htltools.processes import first_process
from htltools.tasks.predictor import model_predictor, needs_torch


def score_rows(
    run: Run,
    source: Path | None,
    dense: list[Path] | None,
    pruned: list[Path] | None,
    coco: Path | None,
    objects: bool | None,
    also: list[str],
    runtime: Runtime,
    *,
    results: bool,
    stability: bool,
    chosen: ChosenRows,
    limit: int | None,
    part: Part | None,
    partial: bool,
    cluster: Cluster | None,
) -> None:
    """Write the rows of a source with their hardness, batch by batch, while others come in; of a cluster once all are read. The models are
    those named, or the stream's; there need be no pruned one. Of a `part` there may be no row at all.

    results: whether the files can be nothing but predictions of another tool; else each says what it is.
    """
    roles = {role for role, flag in {"dense": dense, "pruned": pruned}.items() if not flag}
    samples, reader = streaming.open_stream(
        source, roles - {"pruned"}, partial=partial, limit=limit, optional=roles & {"pruned"}, chosen=chosen
    )
    dense = dense or [model_path(None, reader, "dense")]
    pruned = pruned or ([model_path(None, reader, "pruned")] if "pruned" in reader.models else [])
    if not pruned:
        console.say("no pruned model is named: the columns that need one are left out")
    by_others = results or are_results([*dense, *pruned])
    if part and by_others:
        raise UsageError("predictions are matched with all rows: they do not go with --part")
    if cluster and by_others:
        raise UsageError("predictions are matched with all rows: they do not go with --ray")
    record = PartRecord(part, run) if part else None
    if not by_others and not cluster:
        explain_runtime(runtime, [*dense, *pruned])
    matched = kept_rows(samples) if by_others else []
    scorer = chosen_scorer(matched, dense, pruned, coco, objects, also, runtime, Stability() if stability else None, by_others=by_others)
    samples = record.rows(samples, reader) if record else iter(matched) if by_others else samples
    batches = streaming.row_batches(samples, scorer.rows_at_once, reader, roles)
    scored = scored_on_cluster(cluster, scorer, batches) if cluster and isinstance(scorer, ModelScorer) else map(scorer.scored, batches)
    if not first_process():
        deque(scored, maxlen=0)
        return
    first = next(scored, [])  # what is wrong with all rows is wrong with these, and said before anything is written
    inputs = {str(path): file_digest(path) for path in scorer.paths}
    own_devices = {each.device: None for each in scorer.predictors} if isinstance(scorer, ModelScorer) else ["cpu"]
    own = run.chain([], inputs, device=", ".join([cluster.device] if cluster else own_devices))
    known = len(reader.history)
    last = {"dense": dense[-1], "pruned": pruned[-1] if pruned else None}  # of each role; notes of rows name checkpoints alone
    named = {role: str(path.absolute()) for role, path in last.items() if path and needs_torch(path)}
    done = 0

    def so_far() -> str:
        return f"stopped after {done} rows, and other commands refuse a stream that is cut: the same command starts anew"

    with (
        console.hint_if_stopped(so_far),
        RowWriter(run, own and [*reader.history, *own]) as writer,
        console.progress("scoring", None if part else row_count(source, limit)) as steps,
    ):
        writer.models(reader.models | named)
        for batch in chain([first], scored):
            writer.write(batch)
            writer.flush()
            steps.advance(len(batch))
            done += len(batch)
        for note in scorer.notes():
            console.say(note)
        for path, spread in zip(pruned, scorer.spreads):
            warn_if_one_prediction(path, spread)
        writer.skipped = 0 if part and part.k > 1 else reader.skipped  # once in all parts
        write_part_note(writer, record, reader, run, inputs)
    if scorer.stability:
        show_stability(scorer.stability)
    if own and len(reader.history) > known:  # a stream after `cat` has more of its history further on
        with RowWriter(run, [*reader.history, *own]):
            pass
    if first:
        next_steps.after_score(first, dense[-1])


def chosen_scorer(
    rows: Sequence[Row],
    dense: list[Path],
    pruned: list[Path],
    coco: Path | None,
    objects: bool | None,
    also: list[str],
    runtime: Runtime,
    stability: Stability | None,
    *,
    by_others: bool,
) -> Scorer:
    """The scorer for models, or for predictions of other tools for these rows.

    Raises: UsageError for options that the one or the other does not have; DataError where models do not go together.
    """
    if by_others:
        if also:
            raise UsageError(f"--also {also[0]} needs models: it does not follow from predictions")
        return ResultsScorer(rows, dense, pruned, runtime.batch_size, runtime.seed, coco, objects, stability)
    if coco or objects is not None:
        flag, use = ("--coco", "numbers the images of predictions") if coco else ("--objects", "says what predictions are")
        raise UsageError(f"{flag} {use}, and there are none", "name some with --predictions")
    models = [model_predictor(path, runtime) for path in [*dense, *pruned]]
    explain_models(models)
    return ModelScorer(models[: len(dense)], models[len(dense) :], also, runtime, stability)
