"""What `predict` writes: rows on stdout, and files of other forms beside them."""

import sys
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from htltools import console
from htltools.commands.predict.doubtful_predictions import DoubtfulPredictor, Predicted
from htltools.commands.predict.drawing import write_mask, write_overlay
from htltools.core.geometry.mask_comparison import LIMIT
from htltools.core.hardness.scores import present_mean
from htltools.errors import DataError
from htltools.formats.files.atomic import refuse_existing, replacing
from htltools.formats.predictions.boxes_csv import BoxesCsv
from htltools.formats.predictions.coco_results_export import CocoResults
from htltools.formats.predictions.output_folder import OutputFolder
from htltools.formats.predictions.yolo_labels import YoloLabels
from htltools.formats.rows.jsonlines import writing
from htltools.formats.rows.schema import OBJECT


@dataclass(frozen=True)
class Paths:
    """The files and folders that were asked for; csv "-" is stdout, in place of rows."""

    csv: Path | None = None
    coco_results: Path | None = None
    yolo: Path | None = None
    masks: Path | None = None
    overlay: Path | None = None
    skips: Path | None = None

    @property
    def rows_on_stdout(self) -> bool:
        """Whether stdout is free for rows."""
        return str(self.csv) != "-"

    @property
    def draws(self) -> bool:
        """Whether there is a file to be drawn for each image."""
        return bool(self.masks or self.overlay)

    def refuse_existing(self, force: bool) -> None:
        """Refuse to replace files. Raises: CannotCreate."""
        for path in (self.csv if self.rows_on_stdout else None, self.coco_results, self.skips):
            if path:
                refuse_existing(path, force)


class Outputs:
    """The outputs beside the rows, open while batches come in; they appear when all went well.

    Raises: DataError where masks are asked of a model that predicts none; CannotCreate.
    """

    def __init__(self, paths: Paths, predictor: DoubtfulPredictor, executor: Executor | None, stack: ExitStack, *, force: bool):
        self.paths, self.column, self.executor = paths, predictor.column, executor
        classes = predictor.classes if predictor.task.kind == "objects" else [OBJECT]
        if paths.masks and predictor.task.name != "mask":
            raise DataError(f"{predictor.models[0].path} predicts no masks", "leave out --masks")
        self.csv = BoxesCsv(self.column, refer=predictor.refer is not None)
        self.table: Any = sys.stdout.buffer if not paths.rows_on_stdout else None
        if paths.csv and paths.rows_on_stdout:
            self.table = stack.enter_context(opened(stack, paths.csv))
        self.results = (
            CocoResults(stack.enter_context(opened(stack, paths.coco_results)), classes, self.column) if paths.coco_results else None
        )
        self.yolo = YoloLabels(paths.yolo, classes, force=force) if paths.yolo else None
        self.masks, self.overlays = (OutputFolder(each, ".png", force=force) if each else None for each in (paths.masks, paths.overlay))
        self.drawing: list[Future] = []
        if self.table:
            with writing():
                self.table.write(self.csv.heading())

    def write(self, done: Predicted) -> None:
        """Write the predictions of a batch; images are drawn on other cores while the next batch comes in."""
        self.wait()
        rows = done.rows
        if self.table:
            with writing():
                self.table.write(self.csv.of(rows))
                self.table.flush()
        if self.results:
            self.results.write(rows)
        for row in rows if self.yolo else ():
            self.yolo.write(row)  # type: ignore[union-attr]  # it is there where there are rows
        if self.masks:
            for row, mask in zip(rows, present_mean(done.predictions)):
                width, height = row.size or mask.shape[::-1]
                self.draw(write_mask, self.masks.path_of(row.id), mask, LIMIT, (width, height))
        if self.overlays:
            stored = done.batch.images.batch(np.arange(len(rows)))[..., :3]
            for row, image, original in zip(rows, stored, done.batch.originals):
                self.draw(write_overlay, self.overlays.path_of(row.id), row, image, original, self.column)

    def draw(self, write: Any, *arguments: Any) -> None:
        """Write a file in another process, where there are some."""
        if self.executor is None:
            write(*arguments)
        else:
            self.drawing.append(self.executor.submit(write, *arguments))

    def wait(self) -> None:
        """Wait for the files that are being drawn. Raises: what drawing them raised."""
        while self.drawing:
            self.drawing.pop().result()

    def finish(self) -> None:
        """End all outputs."""
        self.wait()
        if self.results:
            self.results.close()
            names = ", ".join(f"{number} {name}" for name, number in self.results.number.items())
            console.say(f"{self.paths.coco_results}: image_id is the id of the row, file_name its file; categories: {names}")


def opened(stack: ExitStack, path: Path) -> Any:
    """A file to write, which replaces the one at a path once the stack is left without an error."""
    return open(stack.enter_context(replacing(path)), "wb")
