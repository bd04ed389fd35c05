"""`predict` from sources to predictions, as a stream."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from itertools import chain
from pathlib import Path

from htltools import console
from htltools.commands.predict.batches import stored_batches
from htltools.commands.predict.doubt_column import chosen_column, refer_threshold
from htltools.commands.predict.doubtful_predictions import DoubtfulPredictor
from htltools.commands.predict.image_files import Skips, file_batches, found_images
from htltools.commands.predict.on_cluster import image_files, predicted_on_cluster
from htltools.commands.predict.outputs import Outputs, Paths
from htltools.commands.predict.row_sources import row_source
from htltools.commands.prepare.gather import list_lines
from htltools.commands.prepare.messages import REASONS, examples
from htltools.commands.prepare.workers import pool
from htltools.commands.prepare.write import worthwhile_jobs
from htltools.commands.shared import streaming
from htltools.commands.shared.cluster import Cluster
from htltools.commands.shared.models import explain_models, explain_runtime, model_path
from htltools.commands.shared.parts import PartRecord, candidates_of_part, write_part_note
from htltools.core.runtime.runtime import Runtime
from htltools.core.sampling.parts import Part
from htltools.errors import DataError, MissingInput, UsageError
from htltools.formats.files.atomic import replacing
from htltools.formats.rows.provenance import Run, file_digest
from htltools.formats.rows.stream import RowWriter
from htltools.formats.sources.open_rows import row_count
from htltools.formats.store.shard import placement
from htltools.formats.tables.coco_results import is_json
from htltools.tasks.predictor import CheckpointPredictor, ModelPredictor, model_predictor


def write_predictions(
    run: Run,
    sources: list[str],
    models: list[Path],
    pruned: list[Path],
    doubt: str | None,
    refer: str | None,
    threshold: float | None,
    paths: Paths,
    runtime: Runtime,
    *,
    window: str,
    id_key: Path | None,
    jobs: int,
    limit: int | None,
    part: Part | None,
    partial: bool,
    strict: bool,
    force: bool,
    cluster: Cluster | None,
) -> None:
    """Write what models predict for new images, or for those of rows, batch by batch.

    Raises: DataError where no image can be read, and with `strict` where any could not.
    """
    paths.refuse_existing(force)
    reader, listed = row_source(sources, partial=partial)
    rows: Iterator = iter(())
    roles = set() if models else {"dense"}  # of the stream
    if reader:
        rows, reader = streaming.open_stream(reader, roles, partial=partial, limit=limit)
        models = models or [model_path(None, reader, "dense")]
    if not models:
        raise UsageError("no model is named", "name it with --model")
    if not cluster:
        explain_runtime(runtime, [*models, *pruned])
    predictor = opened_predictor(models, pruned, doubt, refer, threshold, runtime)
    record = PartRecord(part, run) if part else None
    findings = None if reader else found_images(sources, list_lines(listed), id_key, limit)
    if record and findings:
        findings.candidates = candidates_of_part(findings.candidates, record)
    if record and reader:
        rows = record.rows(rows, reader)
    skips: Skips = [skip for skip in findings.skips if part is None or part.holds(skip["id"])] if findings else []
    inputs = {str(path): file_digest(path) for path in [*models, *pruned]}
    devices = ", ".join({each.device: None for each in (*predictor.models, *predictor.pruned)})
    history = run.chain(reader.history if reader else [], inputs, device=cluster.device if cluster else devices)
    total = len(findings.candidates) if findings else None if part else row_count(Path(sources[0]), limit)
    count = len(findings.candidates) if findings and not cluster else sys.maxsize if paths.draws else 0
    with ExitStack() as stack:
        executor = stack.enter_context(pool(worthwhile_jobs(jobs, count)))
        size = runtime.batch_size
        batched_rows = streaming.row_batches(rows, size, reader, roles) if reader else iter(())
        if cluster:
            items = image_files(findings.candidates, size) if findings else batched_rows
            batches = predicted_on_cluster(cluster, predictor, threshold, items, runtime, window, paths, skips)
        elif findings:
            batches = map(predictor.predicted, file_batches(findings.candidates, predictor.frame, window, executor, size, skips))
        else:
            batches = map(predictor.predicted, stored_batches(batched_rows, predictor.frame, predictor.models[0].path, cache(placement)))
        first = next(batches, None)
        if first is None and not part:
            raise nothing_read(skips)
        outputs = Outputs(paths, predictor, executor, stack, force=force)
        writer = stack.enter_context(RowWriter(run, history)) if paths.rows_on_stdout else None
        if writer and isinstance(predictor.models[-1], CheckpointPredictor):
            writer.models((reader.models if reader else {}) | {"dense": str(predictor.models[-1].path.absolute())})
        steps = stack.enter_context(console.progress("predicting", total))
        referred = done = 0
        for batch in chain([first] if first else [], batches):
            if writer:
                writer.write(batch.rows)
                writer.flush()
            outputs.write(batch)
            referred, done = referred + sum(bool(row.get("refer")) for row in batch.rows), done + len(batch.rows)
            steps.advance(len(batch.rows))
        outputs.finish()
        if writer:
            writer.skipped = len(skips) + (reader.skipped if reader and not (part and part.k > 1) else 0)
            write_part_note(writer, record, reader, run, inputs)
        say_skips(run, skips, paths.skips, strict)
    if predictor.refer is not None:
        console.say(f"{referred} of {done} are to be looked at by a person: their {predictor.column} is above {predictor.refer:g}")


def opened_predictor(
    models: Sequence[Path], pruned: Sequence[Path], doubt: str | None, refer: str | None, threshold: float | None, runtime: Runtime
) -> DoubtfulPredictor:
    """The models, with their column of doubt and their thresholds.

    Raises: MissingInput; DataError where one is no model, or they do not go together; UsageError.
    """
    opened: list[ModelPredictor] = []
    for path in [*models, *pruned]:
        if not path.is_file():
            raise MissingInput(f"{path} is not there", "name a checkpoint or an ONNX file")
        if is_json(path):
            raise DataError(f"{path} is no model: it holds rows, or predictions", "name a checkpoint or an ONNX file with --model")
        opened.append(model_predictor(path, runtime))
    explain_models(opened)
    dense, copies = opened[: len(models)], opened[len(models) :]
    if threshold is not None:
        if dense[0].task.kind != "objects":
            raise UsageError(f"--threshold is for models of several objects, and {dense[0].path} predicts one box")
        for each in opened:
            each.use_threshold(threshold)
    column = chosen_column(doubt, dense, copies)
    return DoubtfulPredictor(dense, copies, column, refer_threshold(refer, dense, column))


def nothing_read(skips: Skips) -> DataError:
    """The error where no image is left."""
    reasons = ", ".join(dict.fromkeys(skip["reason"] for skip in skips))
    return DataError(f"none of the {len(skips)} images can be read", reasons)


def say_skips(run: Run, skips: Skips, path: Path | None, strict: bool) -> None:
    """Count the images that were left out, by reason, and list them in a file where one is named.

    Raises: DataError with `strict`, where there are any.
    """
    for reason, count in Counter(skip["reason"] for skip in skips).most_common(REASONS):
        console.warn(f"left out {count}: {reason} ({examples([skip['source'] for skip in skips if skip['reason'] == reason])})")
    if path:
        with replacing(path) as temporary, open(temporary, "wb") as file, RowWriter(run, [], out=file) as writer:
            writer.write(skips)
    if skips:
        console.warn(f"{len(skips)} images left out, " + (f"listed in {path}" if path else "--skips FILE lists them"))
    if skips and strict:
        raise DataError(f"left out: {len(skips)}, and --strict was given")
