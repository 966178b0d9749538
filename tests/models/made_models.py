"""Small ONNX models made for the tests: sound ones, and ones that are bombs or worse."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
CARD = """\
name = "{name}"
title = "A small doubler"
task = "upscale"
scale = 2
licence = "CC0-1.0"
origin = "made for a test"
"""


def card_text(name: str = "doubler", **values: object) -> str:
    """Return a card as a user would write it; a value replaces or adds a line."""
    lines = dict(line.split(" = ", 1) for line in CARD.format(name=name).splitlines())
    lines |= {key: _toml(value) for key, value in values.items()}
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | int) else f'"{value}"'


def doubler(*, scale: int = 2, seed: int = 1, is_exact: bool = True, swap: bool = False) -> onnx.ModelProto:
    """Return two convolutions and a shuffle that enlarge a picture.

    is_exact  otherwise every pixel also takes a little of the mean of all
    swap      answer with the colours the other way round
    """
    random = np.random.default_rng(seed)
    count = 3 * scale**2
    first = random.normal(0, 0.02, (8, 3, 3, 3)).astype(np.float32)
    for colour in range(3):
        first[colour, colour, 1, 1] += 1
    second = random.normal(0, 0.02, (count, 8, 3, 3)).astype(np.float32)
    for place in range(count):
        colour = place // scale**2
        second[place, 2 - colour if swap else colour, 1, 1] += 1
    nodes = [
        helper.make_node("Conv", ["picture", "first"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"], pads=[1, 1, 1, 1]),
    ]
    initialisers = [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")]
    last = "c"
    if not is_exact:
        nodes += [
            helper.make_node("GlobalAveragePool", ["c"], ["mean"]),
            helper.make_node("Mul", ["mean", "little"], ["part"]),
            helper.make_node("Add", ["c", "part"], ["d"]),
        ]
        initialisers.append(numpy_helper.from_array(np.float32(0.05), "little"))
        last = "d"
    nodes.append(helper.make_node("DepthToSpace", [last], ["answer"], blocksize=scale, mode="CRD"))
    return model_of(nodes, initialisers)


def model_of(
    nodes: Sequence[Any],
    initialisers: Sequence[Any] = (),
    *,
    shape: Sequence[Any] = (1, 3, "height", "width"),
    kind: int = TensorProto.FLOAT,
    opset: int = OPSET,
    **further: Any,
) -> onnx.ModelProto:
    """Return a model from "picture" to "answer"."""
    graph = helper.make_graph(
        list(nodes),
        "made",
        [helper.make_tensor_value_info("picture", kind, shape)],
        [helper.make_tensor_value_info("answer", kind, [1, 3, "high", "wide"])],
        list(initialisers),
    )
    model: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9, **further
    )
    return model


def same(name: str = "picture", answer: str = "answer") -> Any:
    return helper.make_node("Identity", [name], [answer])


def edited(edit: Callable[[onnx.ModelProto], object]) -> bytes:
    """Return the bytes of a sound model that was changed."""
    model = doubler()
    edit(model)
    return bytes(model.SerializeToString())


def write(folder: Path, model: onnx.ModelProto | bytes, **card: object) -> tuple[Path, Path]:
    """Write a model and its card; return where they lie."""
    file, text = folder / "model.onnx", folder / "card.toml"
    file.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    text.write_text(card_text(**card))  # type: ignore[arg-type]
    return file, text
