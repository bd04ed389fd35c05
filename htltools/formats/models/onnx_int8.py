"""ONNX files with 8-bit weights and activations, calibrated on real images."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from htltools.errors import HtlError
from htltools.formats.models.onnx import INPUT, write_metadata
from htltools.formats.models.onnx_session import first_line, silenced

IMAGES = 256  # from 64 on, more change the mean IoU by less than 0.0005
METHOD = "MinMax"  # Entropy and Percentile predict no better, and take twice as long
WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}  # products without weights are those that enlarge images


def write_int8(path: Path, source: Path, batches: Iterable[np.ndarray]) -> None:
    """Write the float32 localizer of the ONNX file `source` once more, its net with 8-bit weights and activations.

    batches: images uint8 [B, H, W, C] to calibrate on. Weights are int8 by channel, in 7 bits so that processors without
    VNNI do not overflow; activations are uint8. Normalisation, the last layer and the nodes after it stay float32.

    Raises: HtlError where onnxruntime cannot quantize the net.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, silenced():
        prepared = Path(folder, "prepared.onnx")
        try:
            quant_pre_process(source, prepared, skip_symbolic_shape=True)  # its symbolic inference fails on Max; onnx infers the shapes
            quantize_static(
                prepared,
                path,
                Calibration(batches),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=kept_in_float(onnx.load(prepared).graph),
                calibrate_method=CalibrationMethod[METHOD],
            )
        except Exception as error:  # onnxruntime raises nearly anything on a net that it does not expect
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise HtlError(f"onnxruntime cannot quantize this net ({reason})", "use --quantize float16 or none") from None
    write_metadata(path, {entry.key: entry.value for entry in onnx.load(path).metadata_props})  # with a checksum of its own


class Calibration:
    """Batches of images as onnxruntime's quantizer asks for them (its CalibrationDataReader)."""

    def __init__(self, batches: Iterable[np.ndarray]):
        self.batches = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(({INPUT: batch} for batch in self.batches), None)


def kept_in_float(graph) -> list[str]:
    """The names of the nodes before the first weighted layer, of the last one, of those after it, and of products without weights."""
    constants = {constant.name for constant in graph.initializer}

    def is_weighted(node) -> bool:
        return node.op_type in WEIGHTED and not constants.isdisjoint(node.input)

    reached: set[str] = set()  # values that depend on a weighted layer
    for node in graph.node:
        if is_weighted(node) or reached.intersection(node.input):
            reached.update(node.output)
    awaited: set[str] = set()  # values that a weighted layer depends on
    for node in reversed(graph.node):
        if is_weighted(node) or awaited.intersection(node.output):
            awaited.update(node.input)
    between = reached & awaited
    return [node.name for node in graph.node if between.isdisjoint(node.output) or (node.op_type in WEIGHTED and not is_weighted(node))]
