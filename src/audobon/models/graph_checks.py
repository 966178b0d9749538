"""Decides whether an ONNX file is plain and sound enough to be run; for a process with limits only.

Allowed is what a picture model needs, everything else is refused: one graph of standard operators, all its
numbers inside the file, one picture in and one picture out.
"""

import math
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from audobon.errors import UnsafeModel

_MOST_NODES = 20_000
_MOST_TENSORS = 40_000
_MOST_RANK = 8
_MOST_NAME = 1_000
_MOST_NOTES_BYTES = 4 << 20
_MOST_SIDE = 1 << 16
# Older ones lack what picture models use, and were seldom written.
_OLDEST_OPSET = 9
# They carry graphs inside graphs, which can nest and repeat without bound.
_FLOW = {"If", "Loop", "Scan", "SequenceMap"}
# The same page must come out the same each time: results are kept, and tiles are made apart.
_CHANCE = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
_ORDINARY_SPACE = {"\n", "\r", "\t"}


class GraphFacts(msgspec.Struct, frozen=True):
    """What was seen of a graph that is allowed.

    parameters  numbers it holds
    """

    opset: int
    nodes: int
    parameters: int


def check_graph(data: bytes) -> GraphFacts:
    """Return what an ONNX file holds; UnsafeModel says what is wrong with it."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.ModelProto.FromString(data)
    except (DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UnsafeModel("it is not ONNX, or only a part of an ONNX file") from error
    if not model.HasField("graph") or not model.graph.node:
        raise UnsafeModel("it is not ONNX, or only a part of an ONNX file: there is no graph in it")
    opset = _check_operators(model, newest=onnx.defs.onnx_opset_version())
    parameters = _check_tensors(model.graph)
    _check_ends(model.graph)
    _check_texts(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        ValueError,
        RuntimeError,
    ) as error:
        raise UnsafeModel(f"it is not sound ONNX: {_first_line(error)}") from error
    return GraphFacts(opset, len(model.graph.node), parameters)


def _check_operators(model: Any, *, newest: int) -> int:
    graph = model.graph
    if model.functions or model.training_info:
        raise UnsafeModel("it brings functions or training of its own; only plain graphs are taken")
    if len(graph.node) > _MOST_NODES:
        raise UnsafeModel(f"its graph has {len(graph.node):,} nodes; at most {_MOST_NODES:,} are taken")
    versions = {_domain(item.domain): item.version for item in model.opset_import}
    foreign = sorted({_domain(node.domain) for node in graph.node} - {""})
    if foreign:
        raise UnsafeModel(
            f"it uses operators that are not part of ONNX ({shown(foreign[0])})",
            hint="export it with the standard operators alone",
        )
    opset: int = versions.get("", 0)
    if not _OLDEST_OPSET <= opset <= newest:
        raise UnsafeModel(
            f"it is written for version {opset} of ONNX's operators; {_OLDEST_OPSET} to {newest} are taken",
            hint=f"export it with opset {min(17, newest)}",
        )
    for node in graph.node:
        if node.op_type in _FLOW or any(item.HasField("g") or item.graphs for item in node.attribute):
            raise UnsafeModel(
                f"its node {shown(node.name or node.op_type)} holds graphs of its own"
                f" ({shown(node.op_type)}); only plain graphs are taken"
            )
        if node.op_type in _CHANCE or _is_training(node):
            raise UnsafeModel(
                f"its node {shown(node.name or node.op_type)} answers by chance ({shown(node.op_type)})",
                hint="export it for use, not for training: model.eval()",
            )
    return opset


def _is_training(node: Any) -> bool:
    # A third input may turn it on; exported for use, it has none.
    return node.op_type == "Dropout" and len(node.input) > 2 and bool(node.input[2])


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _check_tensors(graph: Any) -> int:
    if graph.sparse_initializer or any(_has_rare_values(node) for node in graph.node):
        raise UnsafeModel("it holds sparse or typed values, which picture models do without")
    parameters = 0
    for index, tensor in enumerate(_tensors(graph)):
        if index == _MOST_TENSORS:
            raise UnsafeModel(f"it holds more than {_MOST_TENSORS:,} tensors")
        parameters += _check_tensor(tensor)
    return parameters


def _has_rare_values(node: Any) -> bool:
    return any(
        item.HasField("sparse_tensor") or item.sparse_tensors or item.HasField("tp") or item.type_protos
        for item in node.attribute
    )


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for item in node.attribute:
            if item.HasField("t"):
                yield item.t
            yield from item.tensors


def _check_tensor(tensor: Any) -> int:
    """Return how many numbers a tensor holds, which must be as many as it says."""
    import onnx

    name = shown(tensor.name or "without a name")
    kinds = onnx.TensorProto
    if tensor.data_location == kinds.EXTERNAL or tensor.external_data:
        raise UnsafeModel(
            f"its tensor {name} lies in another file",
            hint="put everything into one file: onnx.save(onnx.load(FILE), NEW, save_as_external_data=False)",
        )
    # What is stored in each field, and how many bytes of raw data a number takes.
    fields = {
        kinds.FLOAT: ("float_data", 4),
        kinds.DOUBLE: ("double_data", 8),
        kinds.INT64: ("int64_data", 8),
        kinds.UINT64: ("uint64_data", 8),
        kinds.UINT32: ("uint64_data", 4),
        kinds.INT32: ("int32_data", 4),
        kinds.FLOAT16: ("int32_data", 2),
        kinds.BFLOAT16: ("int32_data", 2),
        kinds.INT16: ("int32_data", 2),
        kinds.UINT16: ("int32_data", 2),
        kinds.INT8: ("int32_data", 1),
        kinds.UINT8: ("int32_data", 1),
        kinds.BOOL: ("int32_data", 1),
    }
    if tensor.data_type not in fields:
        raise UnsafeModel(f"its tensor {name} holds values of a kind that is not taken")
    dims = list(tensor.dims)
    if len(dims) > _MOST_RANK or any(side < 0 for side in dims):
        raise UnsafeModel(f"its tensor {name} has an impossible shape")
    count: int = math.prod(dims)
    field, size_bytes = fields[tensor.data_type]
    held = len(tensor.raw_data) / size_bytes if tensor.HasField("raw_data") else len(getattr(tensor, field))
    if held != count or tensor.HasField("segment"):
        raise UnsafeModel(f"its tensor {name} says it holds {count:,} numbers, and holds {held:,.0f}")
    return count


def _check_ends(graph: Any) -> None:
    """Refuse anything but one picture in and one out, of any height and width."""
    import onnx

    held = {tensor.name for tensor in graph.initializer}
    inputs = [item for item in graph.input if item.name not in held]
    for what, ends in (("input", inputs), ("output", list(graph.output))):
        if len(ends) != 1:
            raise UnsafeModel(f"it has {len(ends)} {what}s; a picture model has one")
        kind = ends[0].type
        tensor = kind.tensor_type
        if kind.WhichOneof("value") != "tensor_type" or tensor.elem_type != onnx.TensorProto.FLOAT:
            raise UnsafeModel(
                f"its {what} is not float32", hint="export it with float32 in and out; the inside may differ"
            )
        dims = list(tensor.shape.dim)
        if what == "output" and not tensor.HasField("shape"):
            # It is measured when the model is tried.
            continue
        if len(dims) != 4:
            raise UnsafeModel(
                f"its {what} has {len(dims)} dimensions; batch, channels, height and width are wanted"
            )
        fixed = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
        if any(side is not None and not 0 < side <= _MOST_SIDE for side in fixed):
            raise UnsafeModel(f"its {what} has an impossible shape")
        if fixed[0] not in (None, 1) or fixed[1] not in (None, 3):
            raise UnsafeModel(f"its {what} is not one picture of three colours")
        if what == "input" and (fixed[2] is not None or fixed[3] is not None):
            raise UnsafeModel(
                "it takes pictures of one size only; pages are cut into tiles of several sizes",
                hint="export it with dynamic axes for height and width",
            )


def _check_texts(model: Any) -> None:
    graph = model.graph
    names = [graph.name, *(tensor.name for tensor in _tensors(graph))]
    for end in (*graph.input, *graph.output, *graph.value_info):
        names.append(end.name)
    for node in graph.node:
        names += [node.name, node.op_type, *node.input, *node.output, *(item.name for item in node.attribute)]
    if any(len(name) > _MOST_NAME or _has_control(name) for name in names):
        raise UnsafeModel("a name in it is far too long, or holds control characters")
    notes = list(_notes(model))
    if sum(map(len, notes)) > _MOST_NOTES_BYTES or any(map(_has_control, notes)):
        raise UnsafeModel("its notes (metadata) are far too long, or hold control characters")


def _notes(model: Any) -> Iterator[str]:
    graph = model.graph
    yield from (model.producer_name, model.producer_version, model.domain, model.doc_string, graph.doc_string)
    holders: Iterable[Any] = (model, graph, *graph.node, *graph.initializer)
    for holder in holders:
        for item in getattr(holder, "metadata_props", ()):
            yield item.key
            yield item.value
    for node in graph.node:
        yield node.doc_string


def _has_control(text: str) -> bool:
    # Cc: control, Cf: unseen ones that turn the direction of writing, Cs: halves of characters.
    return any(
        unicodedata.category(char) in ("Cc", "Cf", "Cs") and char not in _ORDINARY_SPACE for char in text
    )


def shown(text: str) -> str:
    """Return a text from a file as it may stand in a message: short, and harmless to a terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text[:80])


def _first_line(error: Exception) -> str:
    return shown((str(error).strip().splitlines() or [type(error).__name__])[0])
