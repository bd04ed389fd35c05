"""Sessions of onnxruntime: of untrusted files, on the device asked for, without its output."""

import contextlib
import io
import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from htltools.errors import DataError, DeviceMissing, MissingInput, UsageError

CUDA = "CUDAExecutionProvider"
LOOPS = {"Loop", "Scan", "SequenceMap"}


def open_session(path: Path, device: str, threads: int) -> Any:
    """An onnxruntime.InferenceSession of an ONNX file. device: auto, cpu, cuda or cuda:N. threads: see `OnnxModel`.

    Raises: MissingInput; DataError where the file is damaged or not contained in itself; UsageError for an unknown device;
    DeviceMissing where CUDA, or one CUDA device, was asked for and onnxruntime does without.
    """
    import onnxruntime

    if not path.is_file():
        raise MissingInput(f"{path} is not there")
    onnxruntime.set_default_logger_severity(4)  # without a GPU it complains in red, and then falls back as wished
    wanted = providers(device, onnxruntime.get_available_providers())
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads or threads_of(os.environ)
    with refusing_damage(path):
        check_contained(path)
        if len(wanted) > 1:
            onnxruntime.preload_dlls()  # those of CUDA that came with torch, which is not always imported
        session = onnxruntime.InferenceSession(path, settings, providers=wanted)
    if device.startswith("cuda") and not runs_on(session, *wanted[0]):
        raise DeviceMissing(f"onnxruntime cannot use {device.upper()} here", "use --device cpu or auto, or install onnxruntime-gpu alone")
    return session


@contextlib.contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """Turn any error of reading a file into one that names the file.

    Raises: DataError.
    """
    try:
        with silenced():
            yield
    except Exception as error:  # onnxruntime has a dozen classes of errors for a bad file
        raise DataError(f"{path} is no ONNX model, or damaged ({first_line(error)})") from None


def check_contained(path: Path) -> None:
    """Refuse an ONNX file that refers to data in other files, holds less than it declares, or loops: no localizer of htl does.

    Raises: ValueError.
    """
    import onnx

    waiting: list[Any] = [onnx.load(path, load_external_data=False)]
    while waiting:
        message = waiting.pop()
        kind = message.DESCRIPTOR.name
        if kind == "TensorProto" and (message.external_data or message.data_location == message.EXTERNAL):
            raise ValueError("its data are in another file")
        if kind == "SparseTensorProto" or (kind == "TensorProto" and math.prod(message.dims) > 2 * message.ByteSize()):
            raise ValueError("it declares more data than it holds")
        if kind == "NodeProto" and message.op_type in LOOPS:
            raise ValueError(f"it holds a {message.op_type}")
        for field, value in message.ListFields():
            if field.message_type:
                waiting += [value] if hasattr(value, "DESCRIPTOR") else value


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keep exporters and onnxruntime from printing, warning and logging: the checks that follow say what matters."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def first_line(error: Exception) -> str:
    """The first line of an error's text; the name of its class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def providers(device: str, available: list[str]) -> list[tuple[str, dict[str, str]]]:
    """The execution providers to ask onnxruntime for with their options, best first, for auto, cpu, cuda or cuda:N."""
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and (kind != "cuda" or not number.isdigit())):
        raise UsageError(f"--device takes auto, cpu, cuda or cuda:N, not {device!r}")
    cuda = [(CUDA, {"device_id": number or "0", "use_tf32": "0"})]  # all bits of fp32, as in torch
    return [*(cuda if kind != "cpu" and CUDA in available else []), ("CPUExecutionProvider", {})]


def runs_on(session: Any, provider: str, options: dict[str, str]) -> bool:
    """Whether a session really uses the CUDA device asked for: onnxruntime silently takes the first one for one that is not there."""
    return provider == CUDA == session.get_providers()[0] and session.get_provider_options()[CUDA]["device_id"] == options["device_id"]


def installed_runtimes() -> list[str]:
    """The distributions that are installed of those that bring the module onnxruntime: with more than one, the files are of the last."""
    kinds = ("", *(f"-{kind}" for kind in ("gpu", "directml", "openvino", "qnn", "silicon")))
    return [name for kind in kinds if is_installed(name := f"onnxruntime{kind}")]


def is_installed(name: str) -> bool:
    """Whether a distribution is installed."""
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def threads_of(environment: Mapping[str, str]) -> int:
    """The threads that OMP_NUM_THREADS allows, which onnxruntime does not read; 0 where it is not set."""
    first = environment.get("OMP_NUM_THREADS", "").partition(",")[0]  # of nested levels
    return int(first) if first.isdecimal() else 0
