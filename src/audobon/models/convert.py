"""Turns an ncnn network into the same ONNX bytes every time.

Covers the fourteen layer kinds of the models Audobon ships, and refuses others.
"""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from audobon.errors import CorruptModel
from audobon.models.ncnn import Layer, WeightReader, parse_graph

# Fixed, so that the digest of the result depends on nothing but the source.
_OPSET = 17
_IR_VERSION = 8
_INPUT, _OUTPUT = "input", "output"
# What numpy and onnx raise for numbers that fit no layer, or a layer without the inputs it needs.
_UNFIT = (ArithmeticError, LookupError, TypeError, ValueError)


def ncnn_to_onnx(graph: str, weights: bytes, *, name: str) -> bytes:
    """Return a serialised ONNX model computing what the ncnn network computes.

    graph    text of the .param file
    weights  bytes of the .bin file; fp16 weights become fp32
    name     written into the model; part of its bytes
    returns  ONNX with float32 input and output [batch, 3, height, width], RGB 0..1
    raises   CorruptModel for an unknown layer, or weights that do not fit the graph
    """
    layers = parse_graph(graph)
    builder = _Builder(WeightReader(weights))
    for layer in layers:
        emit = _EMITTERS.get(layer.kind)
        if emit is None:
            raise CorruptModel(f"ncnn layer kind {layer.kind!r} ({layer.name}) is not supported")
        try:
            emit(builder, layer)
        except _UNFIT as error:
            raise CorruptModel(f"ncnn layer {layer.name} ({layer.kind}) makes no sense: {error}") from error
    builder.weights.finish()
    try:
        return builder.model(name, last=layers[-1].outputs[0])
    except (*_UNFIT, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise CorruptModel(f"the ncnn layers of {name} do not fit together: {error}") from error


class _Builder:
    """Collects nodes; `alias` maps ncnn blob names to ONNX value names."""

    def __init__(self, weights: WeightReader) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.alias: dict[str, str] = {}

    def value(self, blob: str) -> str:
        try:
            return self.alias[blob]
        except KeyError:
            raise CorruptModel(f"ncnn blob {blob!r} is used before it is made") from None

    def constant(self, name: str, array: np.ndarray) -> str:
        tensor = helper.make_tensor(
            name,
            helper.np_dtype_to_tensor_dtype(array.dtype),
            array.shape,
            np.ascontiguousarray(array).tobytes(),
            raw=True,
        )
        self.constants.append(tensor)
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def model(self, name: str, last: str) -> bytes:
        self.node("Identity", [self.value(last)], _OUTPUT)
        side = [1, 3, "height", "width"]
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(_INPUT, TensorProto.FLOAT, side)],
            [helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, [1, 3, "out_height", "out_width"])],
            self.constants,
        )
        model = helper.make_model(
            graph,
            producer_name="audobon",
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString(deterministic=True)
        return data


def _activation(b: _Builder, layer: Layer, value: str) -> None:
    """Apply the activation fused into a layer (key 9) and name the layer's blob."""
    kind = layer.integer(9, 0)
    output = layer.outputs[0]
    if kind == 0:
        result = value
    elif kind == 1:
        result = b.node("Relu", [value], f"{layer.name}/relu")
    elif kind == 2:
        (slope,) = layer.numbers(10)
        result = b.node("LeakyRelu", [value], f"{layer.name}/leaky", alpha=slope)
    elif kind == 4:
        result = b.node("Sigmoid", [value], f"{layer.name}/sigmoid")
    else:
        raise CorruptModel(f"ncnn activation {kind} ({layer.name}) is not supported")
    b.alias[output] = result


def _input(b: _Builder, layer: Layer) -> None:
    b.alias[layer.outputs[0]] = _INPUT


def _split(b: _Builder, layer: Layer) -> None:
    for output in layer.outputs:
        b.alias[output] = b.value(layer.inputs[0])


def _weighted(
    b: _Builder, layer: Layer, shape: tuple[int, ...], count: int, *, has_bias: bool, n_out: int
) -> list[str]:
    if int(np.prod(shape)) != count:
        raise CorruptModel(f"ncnn layer {layer.name} holds {count} weights for the shape {shape}")
    weight = b.weights.tagged(count).reshape(shape)
    names = [b.constant(f"{layer.name}/weight", weight)]
    if has_bias:
        names.append(b.constant(f"{layer.name}/bias", b.weights.raw(n_out)))
    return names


def _convolution(b: _Builder, layer: Layer) -> None:
    n_out, width = layer.integer(0, 0), layer.integer(1, 0)
    height, count = layer.integer(11, width), layer.integer(6, 0)
    n_in = count // max(1, n_out * width * height)
    tensors = _weighted(
        b, layer, (n_out, n_in, height, width), count, has_bias=bool(layer.integer(5, 0)), n_out=n_out
    )
    pad, stride, dilation = layer.integer(4, 0), layer.integer(3, 1), layer.integer(2, 1)
    value = b.node(
        "Conv",
        [b.value(layer.inputs[0]), *tensors],
        f"{layer.name}/conv",
        kernel_shape=[height, width],
        pads=[pad] * 4,
        strides=[stride] * 2,
        dilations=[dilation] * 2,
    )
    _activation(b, layer, value)


def _deconvolution(b: _Builder, layer: Layer) -> None:
    n_out, width = layer.integer(0, 0), layer.integer(1, 0)
    height, count = layer.integer(11, width), layer.integer(6, 0)
    n_in = count // max(1, n_out * width * height)
    shape = (n_out, n_in, height, width)
    tensors = _weighted(b, layer, shape, count, has_bias=bool(layer.integer(5, 0)), n_out=n_out)
    # ncnn keeps (out, in, h, w); ONNX ConvTranspose wants (in, out, h, w).
    weight = np.frombuffer(b.constants[-len(tensors)].raw_data, np.float32).reshape(shape)
    b.constants[-len(tensors)] = helper.make_tensor(
        tensors[0], TensorProto.FLOAT, (n_in, n_out, height, width), weight.swapaxes(0, 1).tobytes(), raw=True
    )
    value = b.node(
        "ConvTranspose",
        [b.value(layer.inputs[0]), *tensors],
        f"{layer.name}/deconv",
        kernel_shape=[height, width],
        pads=[layer.integer(4, 0)] * 4,
        strides=[layer.integer(3, 1)] * 2,
    )
    _activation(b, layer, value)


def _inner_product(b: _Builder, layer: Layer) -> None:
    # Only ever applied to globally pooled features, so a 1x1 convolution says the same.
    n_out, count = layer.integer(0, 0), layer.integer(2, 0)
    tensors = _weighted(
        b,
        layer,
        (n_out, count // max(1, n_out), 1, 1),
        count,
        has_bias=bool(layer.integer(1, 0)),
        n_out=n_out,
    )
    _activation(b, layer, b.node("Conv", [b.value(layer.inputs[0]), *tensors], f"{layer.name}/dense"))


def _prelu(b: _Builder, layer: Layer) -> None:
    count = layer.integer(0, 1)
    slope = b.constant(f"{layer.name}/slope", b.weights.raw(count).reshape(count, 1, 1))
    b.alias[layer.outputs[0]] = b.node("PRelu", [b.value(layer.inputs[0]), slope], f"{layer.name}/prelu")


def _pixel_shuffle(b: _Builder, layer: Layer) -> None:
    b.alias[layer.outputs[0]] = b.node(
        "DepthToSpace",
        [b.value(layer.inputs[0])],
        f"{layer.name}/shuffle",
        blocksize=layer.integer(0, 1),
        mode="CRD",
    )


def _interpolation(b: _Builder, layer: Layer) -> None:
    kind = layer.integer(0, 0)
    scale_h, scale_w = float(layer.params.get(1, 1.0)), float(layer.params.get(2, 1.0))
    scales = b.constant(f"{layer.name}/scales", np.array([1, 1, scale_h, scale_w], np.float32))
    settings: dict[int, dict[str, object]] = {
        1: {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        2: {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
        3: {"mode": "cubic", "coordinate_transformation_mode": "half_pixel", "cubic_coeff_a": -0.75},
    }
    if kind not in settings:
        raise CorruptModel(f"ncnn interpolation {kind} ({layer.name}) is not supported")
    b.alias[layer.outputs[0]] = b.node(
        "Resize", [b.value(layer.inputs[0]), "", scales], f"{layer.name}/resize", **settings[kind]
    )


def _binary(b: _Builder, layer: Layer) -> None:
    kinds = {0: "Add", 1: "Sub", 2: "Mul", 3: "Div"}
    kind = layer.integer(0, 0)
    if kind not in kinds:
        raise CorruptModel(f"ncnn binary operator {kind} ({layer.name}) is not supported")
    inputs = [b.value(blob) for blob in layer.inputs]
    if layer.integer(1, 0):
        inputs.append(b.constant(f"{layer.name}/scalar", np.array(layer.params[2], np.float32)))
    b.alias[layer.outputs[0]] = b.node(kinds[kind], inputs, f"{layer.name}/binary")


def _scale(b: _Builder, layer: Layer) -> None:
    if layer.integer(0, 0) != -233:
        raise CorruptModel(f"ncnn Scale with its own weights ({layer.name}) is not supported")
    b.alias[layer.outputs[0]] = b.node("Mul", [b.value(blob) for blob in layer.inputs], f"{layer.name}/scale")


def _eltwise(b: _Builder, layer: Layer) -> None:
    kinds = {0: "Mul", 1: "Add", 2: "Max"}
    kind = layer.integer(0, 0)
    if kind not in kinds or len(layer.inputs) != 2:
        raise CorruptModel(f"ncnn Eltwise {kind} ({layer.name}) is not supported")
    inputs = [b.value(blob) for blob in layer.inputs]
    for index, coefficient in enumerate(layer.numbers(1)):
        if coefficient != 1.0:
            factor = b.constant(f"{layer.name}/coefficient{index}", np.array(coefficient, np.float32))
            inputs[index] = b.node("Mul", [inputs[index], factor], f"{layer.name}/weighted{index}")
    b.alias[layer.outputs[0]] = b.node(kinds[kind], inputs, f"{layer.name}/eltwise")


def _concat(b: _Builder, layer: Layer) -> None:
    if layer.integer(0, 0) != 0:
        raise CorruptModel(f"ncnn Concat along axis {layer.integer(0, 0)} ({layer.name}) is not supported")
    b.alias[layer.outputs[0]] = b.node(
        "Concat", [b.value(blob) for blob in layer.inputs], f"{layer.name}/concat", axis=1
    )


def _pooling(b: _Builder, layer: Layer) -> None:
    if layer.integer(0, 0) != 1 or not layer.integer(4, 0):
        raise CorruptModel(f"ncnn pooling other than global average ({layer.name}) is not supported")
    b.alias[layer.outputs[0]] = b.node("GlobalAveragePool", [b.value(layer.inputs[0])], f"{layer.name}/pool")


def _crop(b: _Builder, layer: Layer) -> None:
    left, top = layer.integer(0, 0), layer.integer(1, 0)
    if len(layer.inputs) != 2 or left <= 0 or left != top:
        raise CorruptModel(f"ncnn Crop that is not centred on a reference ({layer.name}) is not supported")
    starts = b.constant(f"{layer.name}/starts", np.array([top, left], np.int64))
    ends = b.constant(f"{layer.name}/ends", np.array([-top, -left], np.int64))
    axes = b.constant(f"{layer.name}/axes", np.array([2, 3], np.int64))
    b.alias[layer.outputs[0]] = b.node(
        "Slice", [b.value(layer.inputs[0]), starts, ends, axes], f"{layer.name}/crop"
    )


_EMITTERS: dict[str, Callable[[_Builder, Layer], None]] = {
    "Input": _input,
    "Split": _split,
    "Convolution": _convolution,
    "Deconvolution": _deconvolution,
    "InnerProduct": _inner_product,
    "PReLU": _prelu,
    "PixelShuffle": _pixel_shuffle,
    "Interp": _interpolation,
    "BinaryOp": _binary,
    "Scale": _scale,
    "Eltwise": _eltwise,
    "Concat": _concat,
    "Pooling": _pooling,
    "Crop": _crop,
}
