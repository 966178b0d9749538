"""Drafts: convolutions in 8 bits, the same bytes every time, and answers near those in float."""

from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from audobon.errors import CorruptModel
from audobon.models import store
from audobon.models.card import built_in_card
from audobon.models.golden import pattern
from audobon.models.quantise import quantise
from audobon.models.runtime import Tensor
from audobon.models.sources import read_graph, read_source, to_onnx
from audobon.models.store import prepare

RANGES = {"first": (-4.0, 4.0), "leaky": (-0.4, 4.0), "second": (-8.0, 8.0)}


def small_graph() -> bytes:
    """Two convolutions, the first followed by a leaky step."""
    random = np.random.default_rng(7)

    def constant(name: str, *shape: int) -> TensorProto:
        return onnx.numpy_helper.from_array(random.normal(0, 0.3, shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["input", "w1", "b1"], ["first"], name="first", kernel_shape=[3, 3]),
        helper.make_node("LeakyRelu", ["first"], ["leaky"], name="leaky", alpha=0.1),
        helper.make_node("Conv", ["leaky", "w2", "b2"], ["second"], name="second", kernel_shape=[3, 3]),
        helper.make_node("Identity", ["second"], ["output"], name="output"),
    ]
    sides = [1, 3, "height", "width"]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 4, "h", "w"])],
        [constant("w1", 8, 3, 3, 3), constant("b1", 8), constant("w2", 4, 8, 3, 3), constant("b2", 4)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def run(graph: bytes, *, config: dict[str, str] | None = None) -> Tensor:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    for key, value in (config or {}).items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    answer: Tensor = session.run(None, {"input": pattern((1, 3, 24, 32))})[0]
    return answer


def kinds(graph: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(graph).graph.node]


def test_a_convolution_between_two_ranges_is_rounded_and_the_rest_is_left_as_it_was() -> None:
    draft = quantise(small_graph(), {name: RANGES[name] for name in ("leaky", "second")}, name="small-draft")

    assert kinds(draft) == [
        *("Conv", "LeakyRelu"),
        # Weight and bias, then what the leaky step made, then the convolution and its own rounding.
        *("DequantizeLinear", "DequantizeLinear", "QuantizeLinear", "DequantizeLinear", "Conv"),
        *("QuantizeLinear", "DequantizeLinear", "Identity"),
    ]
    graph = onnx.load_from_string(draft).graph
    assert graph.name == "small-draft"
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    assert "w2" not in types
    assert (types["w1"], types["w2/levels"], types["b2/levels"], types["leaky/zero"]) == (
        TensorProto.FLOAT,
        TensorProto.INT8,
        TensorProto.INT32,
        TensorProto.UINT8,
    )


def test_the_answer_is_near_that_in_float_and_not_the_same() -> None:
    exact, rounded = run(small_graph()), run(quantise(small_graph(), RANGES, name="draft"))

    step = (RANGES["second"][1] - RANGES["second"][0]) / 255
    assert 0 < np.abs(exact - rounded).max() < 3 * step


def test_the_same_graph_and_ranges_give_the_same_bytes_in_whatever_order() -> None:
    backwards = dict(reversed(RANGES.items()))

    assert quantise(small_graph(), RANGES, name="draft") == quantise(small_graph(), backwards, name="draft")


def test_a_channel_of_zeros_does_no_harm() -> None:
    model = onnx.load_from_string(small_graph())
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "w2")
    values = onnx.numpy_helper.to_array(weight).copy()
    values[1] = 0
    weight.CopyFrom(onnx.numpy_helper.from_array(values, "w2"))

    answer = run(quantise(model.SerializeToString(), RANGES, name="draft"))

    assert np.isfinite(answer).all()


@pytest.mark.parametrize(
    "span", [(0.1, 1.0), (-1.0, -0.1), (0.0, 0.0), (1.0, -1.0), (float("nan"), 1.0), (0.0, float("inf"))]
)
def test_a_range_that_makes_no_sense_is_refused(span: tuple[float, float]) -> None:
    with pytest.raises(CorruptModel, match="the range of leaky makes no sense"):
        quantise(small_graph(), {**RANGES, "leaky": span}, name="draft")


def test_a_range_of_a_tensor_that_is_not_there_is_refused() -> None:
    with pytest.raises(CorruptModel) as caught:
        quantise(small_graph(), {"lost": (0.0, 1.0)}, name="draft")

    assert caught.value.message == "draft has a range for 'lost', which no layer makes"


def test_other_ranges_on_the_card_make_a_graph_that_is_refused() -> None:
    card = built_in_card("waifu2x-upconv7-x2-draft")
    first, *_ = card.ranges
    other = msgspec.structs.replace(card, ranges={**card.ranges, first: (-1.0, 1.0)})
    assert to_onnx(card, read_source(card)) != to_onnx(other, read_source(card))

    with pytest.raises(CorruptModel, match="waifu2x-upconv7-x2-draft converts to sha256"):
        read_graph(other)


def test_slow_exact_kernels_of_older_processors_give_the_same_pixels() -> None:
    graph = read_graph(built_in_card("waifu2x-upconv7-x2-draft"))

    assert np.array_equal(run(graph), run(graph, config={"session.x64quantprecision": "1"}))


@pytest.mark.parametrize(
    ("features", "weights"),
    [("flags : avx2 avx512_vnni", {"INT8"}), ("flags : avx2", {"UINT8"}), ("", {"UINT8"})],
)
def test_where_fast_kernels_may_overflow_the_draft_is_prepared_for_the_exact_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: str, weights: set[str]
) -> None:
    monkeypatch.setattr(store, "_processor_features", lambda: features)

    path = prepare(built_in_card("waifu2x-upconv7-x2-draft"), tmp_path)

    graph = onnx.load(path).graph
    found = {
        TensorProto.DataType.Name(tensor.data_type) for tensor in graph.initializer if len(tensor.dims) == 4
    }
    # The first convolution and the last step stay in float.
    assert found - {"FLOAT"} == weights
