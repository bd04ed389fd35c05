"""ONNX files: a localizer with its preprocessing inside the graph, and one that is run by onnxruntime."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from htltools.errors import DataError, HtlError, TryAgain
from htltools.formats.models.onnx_session import first_line, open_session, refusing_damage, silenced
from htltools.formats.rows.jsonlines import parsed_json
from htltools.formats.rows.schema import FoldEntry, OnnxDoubt, Referral, Training
from htltools.formats.rows.validation import check_schema

INPUT, OUTPUT = "images", "boxes"  # uint8 [N, H, W, 3] and float32 [N, 4] or [N, D, 4], see vocabulary.ONNX
DIGEST, NO_DIGEST = "htl.sha256", "0" * 64  # see vocabulary.ONNX
IR_VERSION, OPSET = 9, 20  # the newest that onnxruntime 1.17 reads; IR 9 holds opsets up to 20
EXAMPLE = 2  # a batch of one would be taken for a constant


def write_onnx(
    path: Path,
    model,
    size: Sequence[int],
    about: Mapping[str, str] | None = None,
    outputs: Sequence[str] = (OUTPUT,),
    *,
    any_size: bool = False,
) -> None:
    """Write a localizer (torch module on the CPU, uint8 [N, H, W, C] to boxes) as one ONNX file for batches of any size.

    size: [H, W, C]. any_size: the model takes images of any height and width. outputs: the names of its predictions.
    about: metadata by key, see vocabulary.ONNX. Zeros of a pruned model are kept, but take their space.

    Raises: HtlError where torch cannot export the net.
    """
    import torch

    example = torch.zeros(EXAMPLE, *size, dtype=torch.uint8)
    errors = []
    for export in (by_dynamo, by_tracing):
        try:
            with silenced():
                export(model, example, path, list(outputs), any_size)
            break
        except OSError:  # a full disk has nothing to do with the net
            raise
        except Exception as error:  # the exporters raise whatever they like: the second is tried, then both are named
            errors.append(f"{type(error).__name__}: {first_line(error)}")
    else:
        raise HtlError(f"torch cannot export this net to ONNX ({'; '.join(errors)})", "try another --arch in train")
    write_metadata(path, about or {})


def by_dynamo(model, example, path: Path, outputs: list[str], any_size: bool) -> None:
    """Export through torch.export."""
    import torch

    free = {0: "N"} | ({1: "H", 2: "W"} if any_size else {})
    shapes = ({axis: torch.export.Dim(name) for axis, name in free.items()},)
    torch.onnx.export(
        model,
        (example,),
        path,
        dynamo=True,
        input_names=[INPUT],
        output_names=outputs,
        dynamic_shapes=shapes,
        external_data=False,
        verbose=False,
    )


def by_tracing(model, example, path: Path, outputs: list[str], any_size: bool) -> None:
    """Export by tracing, for nets that torch.export cannot follow.

    Raises: ValueError where images may have any size, which its operators cannot resize.
    """
    import torch

    if any_size:
        raise ValueError("tracing does not export resizing with antialiasing")

    axes = {name: {0: "N"} for name in (INPUT, *outputs)}
    torch.onnx.export(model, (example,), path, dynamo=False, input_names=[INPUT], output_names=outputs, dynamic_axes=axes, opset_version=17)


def write_metadata(path: Path, about: Mapping[str, str]) -> None:
    """Give an ONNX file metadata and a checksum in place of the metadata that it has, make it readable for older runtimes, and check it."""
    import onnx

    model = onnx.load(path)
    remove_sources(model.graph)
    support_older_runtimes(model)
    onnx.helper.set_model_props(model, {**about, DIGEST: NO_DIGEST})
    data = model.SerializeToString()
    path.write_bytes(data.replace(NO_DIGEST.encode(), hashlib.sha256(data).hexdigest().encode(), 1))
    onnx.checker.check_model(path, full_check=True)


def remove_sources(graph) -> None:
    """Remove what the exporter notes of its machine and its program: source lines with their paths, at every node and value."""
    for each in [graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        each.ClearField("metadata_props")
        each.ClearField("doc_string")


def support_older_runtimes(model) -> None:
    """Import only the opset domains that a node uses, and lower the IR version to IR_VERSION where the opset allows it."""
    if model.functions:  # they import for themselves
        return
    used = {node.domain for graph in graphs_of(model.graph) for node in graph.node}
    imports = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    if all(each.version <= OPSET for each in imports if each.domain == ""):
        model.ir_version = min(model.ir_version, IR_VERSION)


def graphs_of(graph) -> Iterator[Any]:
    """A graph and those within its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from graphs_of(inner)


def check_onnx_checksum(path: Path, *, required: bool = True) -> None:
    """Refuse an ONNX file of which any byte is not what was written; one without a checksum only where it is `required`.

    Raises: DataError.
    """
    before, mark, after = path.read_bytes().partition(DIGEST.encode() + b"\x12\x40")  # the field of its value, and 64 letters
    if not mark and not required:
        return
    if not mark:
        raise DataError(f"{path} carries no checksum of htl", "an older htl wrote it, something else did, or it is damaged")
    digest, after = after[: len(NO_DIGEST)], after[len(NO_DIGEST) :]
    if hashlib.sha256(before + mark + NO_DIGEST.encode() + after).hexdigest().encode() != digest:
        raise DataError(f"{path} is damaged: its checksum does not hold", "make it again, or take it from a copy")


def is_onnx(path: Path) -> bool:
    """Whether a file looks like ONNX, whatever its name: protobuf that opens with the number of an IR version."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        start = file.read(2)
    return len(start) == 2 and start[0] == 0x08 and 0 < start[1] < 0x80


class OnnxModel:
    """A localizer in an ONNX file, run by onnxruntime.

    threads: of one run; 0 = OMP_NUM_THREADS where that is set, as torch has it, else onnxruntime's own choice.
    size: [H, W, C] of its images; any_size: whether it squashes images of any height and width to that itself.
    about: its metadata by key, see vocabulary.ONNX. task: what it predicts, by its metadata.
    classes and threshold: the names of the classes of objects, and the score from which on one counts, by its metadata; else [] and 0.
    training, referral and fold: as in the checkpoint, None where the file does not say. doubt_column: what its output doubt is.
    provider: the execution provider in use. output_names: what it can predict.

    Raises: as `open_session`; DataError also where a byte of the file is not what htl wrote, and where it is no localizer of htl.
    """

    def __init__(self, path: Path, device: str = "auto", threads: int = 0):
        if path.is_file():
            check_onnx_checksum(path, required=False)  # a flipped bit in the weights would pass for a worse net
        self.path, self.session = path, open_session(path, device, threads)
        with refusing_damage(path):
            self.about: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)
            inputs = [(each.name, each.type, list(each.shape)) for each in self.session.get_inputs()]
            self.output_names: list[str] = [output.name for output in self.session.get_outputs()]
        self.provider: str = self.session.get_providers()[0]
        self.task: str = self.about.get("htl.task", "")
        self.size: list[int] = inputs[0][2][1:] if inputs else []
        self.any_size = "htl.frame" in self.about
        if self.any_size:
            self.size = parsed_frame(path, self.about["htl.frame"])
        takes_images = [each[:2] for each in inputs] == [(INPUT, "tensor(uint8)")] and [type(side) for side in self.size] == [int] * 3
        if not takes_images or not self.task:
            raise DataError(f"{path} is no localizer of htl: it should take uint8 {INPUT} and name its task (htl.task)")
        try:
            objects = json.loads(self.about.get("htl.objects", '{"classes":[],"threshold":0}'))
            self.classes, self.threshold = list(map(str, objects["classes"])), float(objects["threshold"])
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path} does not say which classes it detects (htl.objects)", "export it with htl") from None
        self.training, self.referral = self.entry("htl.training", Training), self.entry("htl.referral", Referral)
        self.fold = self.entry("htl.fold", FoldEntry)
        self.doubt_column: str | None = (self.entry("htl.doubt", OnnxDoubt) or {}).get("column")

    def entry(self, key: str, kind: type[Training | Referral | FoldEntry | OnnxDoubt]) -> dict[str, Any] | None:
        """An object of the metadata; None where the file has none.

        Raises: DataError where it breaks its schema.
        """
        if key not in self.about:
            return None
        try:
            value = parsed_json(self.about[key])
        except ValueError:
            value = None
        check_schema(kind, value, f"{self.path}, {key}")
        return value

    def predict(self, batch: np.ndarray, shapes: Mapping[str, tuple[int | None, ...]]) -> dict[str, np.ndarray]:
        """The outputs of these names for images uint8 [B, H, W, C], numbers [B, *shape] each; None = any length, the same in all.

        Raises: DataError where the file cannot predict them, or they are of another shape; TryAgain where it takes too much memory.
        """
        try:
            predictions = dict(zip(shapes, self.session.run(list(shapes), {INPUT: batch})))
        except Exception as error:  # onnxruntime has a dozen classes here as well
            kind = TryAgain if "allocat" in str(error) else DataError
            raise kind(f"{self.path} cannot predict ({first_line(error)})") from None
        got = {name: getattr(values, "shape", ()) for name, values in predictions.items()}
        free = next((length for name, shape in shapes.items() for length, side in zip(got[name][1:], shape) if side is None), None)
        for name, shape in shapes.items():
            expected = (len(batch), *(free if side is None else side for side in shape))
            if got[name] != expected or predictions[name].dtype.kind not in "fi":
                raise DataError(f"{self.path} predicts {name} of shape {list(got[name])}, not {list(expected)}")
        return predictions


def parsed_frame(path: Path, text: str) -> list[int]:
    """The frame [H, W, C] that a file squashes images to, by its metadata.

    Raises: DataError where it is none.
    """
    try:
        frame = json.loads(text)
    except ValueError:
        frame = None
    if not (isinstance(frame, list) and len(frame) == 3 and all(type(side) is int and 0 < side < 2**16 for side in frame)):
        raise DataError(f"{path} does not say which frame it squashes images to (htl.frame)", "export it with htl")
    return frame
