"""Makes a draft of a model: its convolutions run in 8 bits, with ranges that were recorded before.

Nothing is measured here, so that the same graph and ranges give the same bytes on every machine.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from audobon.errors import CorruptModel

Range = tuple[float, float]

# Weights are signed and balanced around 0; what flows between layers is unsigned.
_WEIGHT_LEVELS = 127
_VALUE_LEVELS = 255


def quantise(graph: bytes, ranges: Mapping[str, Range], *, name: str) -> bytes:
    """Return a serialised ONNX model that does in 8 bits what the ranges cover, and the rest as before.

    Every tensor with a range is rounded to 256 levels before it is read. A convolution between two of them
    has its weights rounded as well, each output channel by itself; ONNX Runtime then runs it on integers.
    graph   float32 ONNX; its tensors keep their names
    ranges  tensor -> lowest and highest value; 0 lies between
    raises  CorruptModel when a range makes no sense or names no tensor
    """
    model = onnx.load_from_string(graph)
    levels = {tensor: _Levels.of(tensor, span) for tensor, span in sorted(ranges.items())}
    made = {output for node in model.graph.node for output in node.output}
    unknown = sorted(levels.keys() - made)
    if unknown:
        raise CorruptModel(f"{name} has a range for {unknown[0]!r}, which no layer makes")
    rounding = _Rounding(levels, model.graph.initializer)
    for node in model.graph.node:
        rounding.add(node)
    made_graph = helper.make_graph(
        rounding.nodes, name, model.graph.input, model.graph.output, rounding.used_constants()
    )
    draft = helper.make_model(
        made_graph,
        producer_name=model.producer_name,
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )
    onnx.checker.check_model(draft, full_check=True)
    data: bytes = draft.SerializeToString(deterministic=True)
    return data


class _Levels:
    """How a tensor's values are rounded: value = scale * (level - zero)."""

    def __init__(self, scale: np.float32, zero: np.uint8) -> None:
        self.scale = scale
        self.zero = zero

    @classmethod
    def of(cls, tensor: str, span: Range) -> "_Levels":
        low, high = span
        scale = np.float32((high - low) / _VALUE_LEVELS)
        if not (low <= 0 <= high and np.isfinite(scale) and scale > 0):
            raise CorruptModel(f"the range of {tensor} makes no sense: {low} to {high}")
        return cls(scale, np.uint8(np.rint(-low / float(scale))))


class _Rounding:
    """Collects the nodes of the draft."""

    def __init__(self, levels: dict[str, _Levels], constants: Sequence[TensorProto]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._levels = levels
        self._constants = {tensor.name: tensor for tensor in constants}
        self._rounded: set[str] = set()

    def add(self, node: onnx.NodeProto) -> None:
        """Take over a node, reading rounded tensors where there are ranges."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if node.op_type == "Conv" and node.input[0] in self._levels and node.output[0] in self._levels:
            weight, *bias = node.input[1:]
            scales = self._round_weight(weight)
            copy.input[1] = f"{weight}/rounded"
            if bias:
                self._round_bias(bias[0], scales * self._levels[node.input[0]].scale)
                copy.input[2] = f"{bias[0]}/rounded"
        for index, tensor in enumerate(copy.input):
            if tensor in self._levels:
                copy.input[index] = self._round(tensor)
        self.nodes.append(copy)

    def used_constants(self) -> list[TensorProto]:
        """Return the constants that are still read; the weights in float are not."""
        used = {tensor for node in self.nodes for tensor in node.input}
        return [tensor for name, tensor in self._constants.items() if name in used]

    def _round(self, tensor: str) -> str:
        rounded = f"{tensor}/rounded"
        if tensor not in self._rounded:
            self._rounded.add(tensor)
            levels = self._levels[tensor]
            numbers = [
                self._constant(f"{tensor}/scale", np.array(levels.scale)),
                self._constant(f"{tensor}/zero", np.array(levels.zero)),
            ]
            self._node("QuantizeLinear", [tensor, *numbers], f"{tensor}/levels")
            self._node("DequantizeLinear", [f"{tensor}/levels", *numbers], rounded)
        return rounded

    def _round_weight(self, name: str) -> npt.NDArray[np.float32]:
        weight = self._array(name)
        largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
        # A channel of nothing but zeros has no scale of its own; any will do.
        scales = np.where(largest > 0, largest, 1).astype(np.float32) / np.float32(_WEIGHT_LEVELS)
        levels = np.rint(weight / scales.reshape(-1, *[1] * (weight.ndim - 1)))
        self._dequantised(name, levels.astype(np.int8), scales)
        return scales

    def _round_bias(self, name: str, scales: npt.NDArray[np.float32]) -> None:
        levels = np.rint(self._array(name).astype(np.float64) / scales)
        self._dequantised(name, levels.astype(np.int32), scales)

    def _dequantised(
        self, name: str, levels: npt.NDArray[np.generic], scales: npt.NDArray[np.float32]
    ) -> None:
        inputs = [
            self._constant(f"{name}/levels", levels),
            self._constant(f"{name}/scale", scales),
            self._constant(f"{name}/zero", np.zeros(len(scales), levels.dtype)),
        ]
        self._node("DequantizeLinear", inputs, f"{name}/rounded", axis=0)

    def _array(self, name: str) -> npt.NDArray[np.float32]:
        if name not in self._constants:
            raise CorruptModel(f"{name!r} is no constant of the model, so it cannot be rounded")
        array: npt.NDArray[np.float32] = numpy_helper.to_array(self._constants[name])
        return array

    def _constant(self, name: str, array: npt.NDArray[np.generic]) -> str:
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def _node(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> None:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
