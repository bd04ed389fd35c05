"""ONNX files: a localizer with its preprocessing inside the graph, and one that is run by onnxruntime."""

import contextlib
import hashlib
import io
import json
import logging
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from htltools.errors import DataError, DeviceMissing, HtlError, MissingInput, TryAgain, UsageError

INPUT, OUTPUT = "images", "boxes"  # uint8 [N, H, W, 3] and float32 [N, 4], see schema.ONNX
MASKS = [OUTPUT, "masks"]  # and float32 [N, H, W], of a net that answers with lesion masks
OBJECTS = [OUTPUT, "scores", "labels"]  # float32 [N, D, 4] and [N, D], int64 [N, D], of a net that finds several objects
CUDA = "CUDAExecutionProvider"
DIGEST, NO_DIGEST = "htl.sha256", "0" * 64  # see schema.ONNX
LOOPS = {"Loop", "Scan", "SequenceMap"}
EXAMPLE = 2  # a batch of one would be taken for a constant


def write_onnx(path: Path, model, size: list[int], about: dict[str, str] | None = None, outputs: Sequence[str] = (OUTPUT,)) -> None:
    """Write a localizer (torch module on the CPU, uint8 [N, H, W, C] to boxes) as one ONNX file for batches of any size.

    size: [H, W, C]. outputs: the names of what it answers with. about: metadata by key, see schema.ONNX. Zeros of a pruned model are
    kept, but take their space.

    Raises: HtlError where torch cannot export the net.
    """
    import torch

    example = torch.zeros(EXAMPLE, *size, dtype=torch.uint8)
    errors = []
    for export in (by_dynamo, by_tracing):
        try:
            with hushed():
                export(model, example, path, list(outputs))
            break
        except OSError:  # a full disk is no matter of the net
            raise
        except Exception as error:  # the exporters raise whatever they like: the second is tried, then both are told
            errors.append(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
    else:
        raise HtlError(f"torch cannot export this net to ONNX ({'; '.join(errors)})", "try another --model in train")
    describe(path, about or {})


def describe(path: Path, about: dict[str, str]) -> None:
    """Give an ONNX file its metadata in place of what it has, and check it."""
    import onnx

    graph = onnx.load(path)
    forget_sources(graph)
    onnx.helper.set_model_props(graph, about | {DIGEST: NO_DIGEST})
    data = graph.SerializeToString()
    path.write_bytes(data.replace(NO_DIGEST.encode(), hashlib.sha256(data).hexdigest().encode(), 1))
    onnx.checker.check_model(path, full_check=True)


def check_onnx(path: Path) -> None:
    """Refuse an ONNX file of which any byte is not what was written.

    Raises: DataError.
    """
    before, mark, after = path.read_bytes().partition(DIGEST.encode() + b"\x12\x40")  # the field of its value, and 64 letters
    if not mark:
        raise DataError(f"{path} carries no checksum of htl", "an older htl wrote it, something else did, or it is damaged")
    digest, after = after[: len(NO_DIGEST)], after[len(NO_DIGEST) :]
    if hashlib.sha256(before + mark + NO_DIGEST.encode() + after).hexdigest().encode() != digest:
        raise DataError(f"{path} is damaged: its checksum does not hold", "make it again, or take it from a copy")


def check_contained(path: Path) -> None:
    """Refuse an ONNX file that means data in other files, holds less than it declares, or loops: none of it is in a localizer of htl.

    Raises: ValueError.
    """
    import onnx

    waiting = [onnx.load(path, load_external_data=False)]
    while waiting:
        message = waiting.pop()
        kind = message.DESCRIPTOR.name
        if kind == "TensorProto" and (message.external_data or message.data_location == message.EXTERNAL):
            raise ValueError("it means data in another file")
        if kind == "SparseTensorProto" or (kind == "TensorProto" and math.prod(message.dims) > 2 * message.ByteSize()):
            raise ValueError("it declares more data than it holds")
        if kind == "NodeProto" and message.op_type in LOOPS:
            raise ValueError(f"it holds a {message.op_type}")
        for field, value in message.ListFields():
            if field.message_type:
                waiting += [value] if hasattr(value, "DESCRIPTOR") else value


def by_dynamo(model, example, path: Path, outputs: list[str]) -> None:
    """Export through torch.export."""
    import torch

    batch = ({0: torch.export.Dim("N")},)
    names = {"input_names": [INPUT], "output_names": outputs}
    torch.onnx.export(model, (example,), path, dynamo=True, dynamic_shapes=batch, external_data=False, verbose=False, **names)


def by_tracing(model, example, path: Path, outputs: list[str]) -> None:
    """Export by tracing, for nets that torch.export cannot follow."""
    import torch

    batch = {name: {0: "N"} for name in (INPUT, *outputs)}
    names = {"input_names": [INPUT], "output_names": outputs}
    torch.onnx.export(model, (example,), path, dynamo=False, dynamic_axes=batch, opset_version=17, **names)


@contextlib.contextmanager
def hushed():
    """Keep the exporters from talking: what matters is said by the checks that follow."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def forget_sources(graph) -> None:
    """Remove what the exporter notes of its machine: source lines with their paths, at every node and value."""
    for each in [*graph.graph.node, *graph.graph.input, *graph.graph.output, *graph.graph.value_info, *graph.graph.initializer]:
        each.ClearField("metadata_props")
        each.ClearField("doc_string")


def is_onnx(path: Path) -> bool:
    """Whether a file looks like ONNX, whatever its name: protobuf that opens with the number of an IR version."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        start = file.read(2)
    return len(start) == 2 and start[0] == 0x08 and 0 < start[1] < 0x80


class OnnxLocalizer:
    """A localizer in an ONNX file, run by onnxruntime.

    threads: of one run; 0 = OMP_NUM_THREADS where that is set, as torch has it, else onnxruntime's own choice.
    size: [H, W, C] of its images. about: its metadata by key, see schema.ONNX. provider: what really runs it. several: whether it
    finds several objects; then `classes` are their names, and `threshold` the score from which on they count. masked: whether it
    answers with lesion masks as well.

    Raises: MissingInput; DataError where the file is damaged or no localizer; UsageError for an unknown device;
    DeviceMissing where CUDA, or one CUDA device, was asked for and onnxruntime does without.
    """

    def __init__(self, path: Path, device: str = "auto", threads: int = 0):
        import onnxruntime

        if not path.is_file():
            raise MissingInput(f"{path} is not there")
        onnxruntime.set_default_logger_severity(4)  # without a GPU it complains in red, and then falls back as wished
        wanted = providers(device, onnxruntime.get_available_providers())
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads or threads_of(os.environ)
        try:
            with hushed():
                check_contained(path)
                if len(wanted) > 1:
                    onnxruntime.preload_dlls()  # those of CUDA that came with torch, which is not always imported
                self.session = onnxruntime.InferenceSession(path, settings, providers=wanted)
                self.about = dict(self.session.get_modelmeta().custom_metadata_map)
                inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
                self.path, self.size = path, list(inputs[0].shape[1:]) if inputs else []
                names = [output.name for output in outputs]
                self.several, self.masked = names == OBJECTS, names == MASKS
                known = self.several or self.masked or names == [OUTPUT]
                ours = [i.name for i in inputs] == [INPUT] and known and inputs[0].type == "tensor(uint8)"
        except Exception as error:  # onnxruntime has a dozen classes for a bad file
            raise DataError(f"{path} is no ONNX model, or damaged ({(str(error).splitlines() or [type(error).__name__])[0]})") from None
        self.provider = self.session.get_providers()[0]
        if device.startswith("cuda") and not runs_on(self.session, *wanted[0]):
            raise DeviceMissing(
                f"onnxruntime cannot use {device.upper()} here", "use --device cpu or auto, or install onnxruntime-gpu alone"
            )
        if not ours:
            raise DataError(f"{path} is no localizer of htl: it should take uint8 {INPUT} and answer with {OUTPUT}")
        try:
            told = json.loads(self.about["htl.objects"]) if self.several else {"classes": [], "threshold": 0}
            self.classes, self.threshold = list(map(str, told["classes"])), float(told["threshold"])
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path} does not say which classes it finds (htl.objects)", "export it with htl") from None

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Boxes float32 [B, 4], shares of the sides, of images uint8 [B, H, W, C]; of a net that finds several objects [B, D, 6], as
        core.objects has them.

        Raises: DataError where the file comes to something else; TryAgain where it takes too much memory.
        """
        if not self.several:
            return self.predicted_and_target([OUTPUT], batch, (4,))[0]
        boxes, scores, labels = self.predicted_and_target(OBJECTS, batch, (None, 4), (None,), (None,))
        return np.concatenate([boxes, labels[..., None].astype(np.float32), scores[..., None]], 2)

    def masks(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes float32 [B, 4] and masks [B, H, W] of images uint8 [B, H, W, C], of a net that answers with masks.

        Raises: as `predict`.
        """
        return tuple(self.predicted_and_target(MASKS, batch, (4,), tuple(self.size[:2])))

    def predicted_and_target(self, names: list[str], batch: np.ndarray, *shapes: tuple[int | None, ...]) -> list[np.ndarray]:
        """What the file answers to images, numbers of these shapes behind the batch; None = any length, the same in all.

        Raises: as `predict`.
        """
        try:
            found = self.session.run(names, {INPUT: batch})
        except Exception as error:  # onnxruntime has a dozen classes here as well
            kind = TryAgain if "allocat" in str(error) else DataError
            raise kind(f"{self.path} cannot answer ({(str(error).splitlines() or [type(error).__name__])[0]})") from None
        most = found[0].shape[1] if getattr(found[0], "ndim", 0) > 1 else None
        for value, shape in zip(found, shapes):
            expected = (len(batch), *(most if side is None else side for side in shape))
            if getattr(value, "shape", None) != expected or value.dtype.kind not in "fi":
                raise DataError(f"{self.path} does not answer with a box for each image")
        return found


def providers(device: str, available: list[str]) -> list[tuple[str, dict[str, str]]]:
    """The execution providers to ask onnxruntime for with their options, best first, for auto, cpu, cuda or cuda:N."""
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and (kind != "cuda" or not number.isdigit())):
        raise UsageError(f"--device takes auto, cpu, cuda or cuda:N, not {device!r}")
    cuda = [(CUDA, {"device_id": number or "0"})]
    return [*(cuda if kind != "cpu" and CUDA in available else []), ("CPUExecutionProvider", {})]


def runs_on(session, provider: str, options: dict[str, str]) -> bool:
    """Whether a session really uses CUDA as it was told to: without a word it takes the first device for one that is not there."""
    return provider == CUDA == session.get_providers()[0] and session.get_provider_options()[CUDA]["device_id"] == options["device_id"]


def threads_of(environment: Mapping[str, str]) -> int:
    """The threads that OMP_NUM_THREADS allows, which onnxruntime does not read; 0 where it says nothing."""
    said = environment.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(said) if said.isdecimal() else 0
