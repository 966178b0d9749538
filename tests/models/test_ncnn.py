"""The ncnn reader: it takes what is sound, and nothing but CorruptModel ever comes out of the rest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audobon.errors import CorruptModel
from audobon.models.convert import ncnn_to_onnx
from audobon.models.ncnn import Layer, WeightReader, parse_graph

GRAPH = """\
7767517
2 2
Input            data   0 1 data
Convolution      conv1  1 1 data out 0=2 1=3 5=1 6=54 9=2 -23310=1,1.000000e-01
"""
FP16_TAG = b"\x47\x6b\x30\x01"
WEIGHTS = b"\0" * 4 + np.arange(54, dtype="<f4").tobytes() + np.ones(2, "<f4").tobytes()


def test_a_graph_is_read_layer_by_layer() -> None:
    layers = parse_graph(GRAPH)

    convolution = {0: 2, 1: 3, 5: 1, 6: 54, 9: 2, -23310: (0.1,)}
    assert layers == [
        Layer("Input", "data", (), ("data",), {}),
        Layer("Convolution", "conv1", ("data",), ("out",), convolution),
    ]
    assert (layers[1].integer(0, 9), layers[1].integer(7, 9)) == (2, 9)
    assert (layers[1].numbers(10), layers[1].numbers(11)) == ((0.1,), ())


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ("", "this is not an ncnn graph: its first line is not 7767517"),
        (GRAPH.replace("7767517", "7767518"), "this is not an ncnn graph: its first line is not 7767517"),
        (GRAPH.replace("2 2", "3 2"), "the ncnn graph declares 3 layers and holds 2"),
        (GRAPH.replace("2 2", "two"), "an ncnn graph line cannot be read"),
        (GRAPH.replace("1 1 data out", "9 1 data out"), "an ncnn graph line cannot be read"),
        (GRAPH.replace("1 1 data out", "-1 1 data out"), "an ncnn graph line cannot be read"),
        (GRAPH.replace("0=2", "zero=2"), "an ncnn graph line cannot be read"),
        (GRAPH.replace("0=2", "0="), "an ncnn graph line cannot be read"),
    ],
)
def test_a_graph_that_is_none_is_refused_with_the_reason(graph: str, message: str) -> None:
    with pytest.raises(CorruptModel) as caught:
        parse_graph(graph)
    assert caught.value.message == message


def test_weights_are_read_in_both_encodings_and_the_half_ones_are_padded_to_four_bytes() -> None:
    halves = np.array([1, 2, 3], "<f2").tobytes() + b"\0\0"
    reader = WeightReader(FP16_TAG + halves + b"\0" * 4 + np.array([4, 5], "<f4").tobytes())

    assert reader.tagged(3).tolist() == [1, 2, 3]
    assert reader.tagged(2).tolist() == [4, 5]
    reader.finish()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (WEIGHTS[:-1], "the ncnn weights end before the graph is filled"),
        (b"", "the ncnn weights end before the graph is filled"),
        (WEIGHTS + b"\0", "the ncnn weights hold 229 bytes, the graph uses 228"),
        (b"\x01" + WEIGHTS[1:], "the ncnn weights use an unknown encoding (tag 0x1)"),
    ],
)
def test_weights_that_do_not_fit_the_graph_are_refused(weights: bytes, message: str) -> None:
    with pytest.raises(CorruptModel) as caught:
        ncnn_to_onnx(GRAPH, weights, name="doctored")
    assert caught.value.message == message


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789 =-,.\nabdIConvoluti\x00é", max_size=200))
def test_no_text_makes_the_parser_fail_in_another_way(tail: str) -> None:
    try:
        parse_graph(f"7767517\n1 1\n{tail}")
    except CorruptModel:
        return


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, len(GRAPH)),
    st.integers(0, 6),
    st.sampled_from(["", "-", "0", "9999999999", "=", " ", "\n", "e", "nan", "inf", "-23310=1,x", "1.5"]),
)
def test_no_small_damage_to_a_graph_makes_the_conversion_fail_in_another_way(
    at: int, removed: int, put: str
) -> None:
    damaged = GRAPH[:at] + put + GRAPH[at + removed :]
    try:
        ncnn_to_onnx(damaged, WEIGHTS, name="doctored")
    except CorruptModel:
        return


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_the_weight_reader_fail_in_another_way(data: bytes) -> None:
    try:
        ncnn_to_onnx(GRAPH, data, name="doctored")
    except CorruptModel:
        return
