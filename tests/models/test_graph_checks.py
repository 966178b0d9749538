"""An ONNX file is taken only when it is plain, whole, and says no more than it holds."""

import random
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from made_models import doubler, edited, model_of, same
from onnx import TensorProto, helper, numpy_helper

from audobon.errors import UnsafeModel
from audobon.models.graph_checks import check_graph

Edit = Callable[[onnx.ModelProto], object]
SOUND = doubler().SerializeToString()


def refusal(data: bytes) -> str:
    with pytest.raises(UnsafeModel) as caught:
        check_graph(data)
    assert caught.value.message.isprintable()
    return caught.value.message


def test_a_sound_model_is_told_by_its_graph() -> None:
    facts = check_graph(SOUND)

    assert (facts.opset, facts.nodes, facts.parameters) == (17, 4, 8 * 3 * 9 + 12 * 8 * 9)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused(share: float) -> None:
    assert "it " in refusal(SOUND[: int(len(SOUND) * share)])


def test_random_bytes_are_refused() -> None:
    for seed in range(50):
        data = random.Random(seed).randbytes(seed * 40)
        assert refusal(data)


def test_no_flipped_byte_brings_anything_but_a_refusal_or_a_model() -> None:
    for at in range(0, len(SOUND), 7):
        data = bytearray(SOUND)
        data[at] ^= 0x55
        try:
            check_graph(bytes(data))
        except UnsafeModel:
            # A changed weight is a model still; anything else must be told like this.
            continue


def first_tensor(model: onnx.ModelProto) -> onnx.TensorProto:
    tensor: onnx.TensorProto = model.graph.initializer[0]
    return tensor


def external(location: str) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        tensor = first_tensor(model)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return edit


def giant(*dims: int) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        first_tensor(model).dims[:] = dims

    return edit


def node_with_graph(op_type: str) -> Edit:
    body = helper.make_graph([same("x", "y")], "body", [], [])

    def edit(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node(op_type, ["c"], ["z"], body=body))

    return edit


def constant(tensor: onnx.TensorProto) -> Edit:
    return lambda model: model.graph.node.append(helper.make_node("Constant", [], ["z"], value=tensor))


def input_shape(*dims: object) -> Edit:
    kind = helper.make_tensor_value_info("picture", TensorProto.FLOAT, dims).type
    return lambda model: model.graph.input[0].type.CopyFrom(kind)


REFUSED: dict[str, tuple[Edit, str]] = {
    "external data above": (external("../secret"), "its tensor first lies in another file"),
    "external data elsewhere": (external("/etc/passwd"), "its tensor first lies in another file"),
    "external data beside": (external("weights.bin"), "its tensor first lies in another file"),
    "giant": (giant(1 << 40, 1 << 20), "its tensor first says it holds 1,152,921,504,606,846,976 numbers"),
    "overflowing": (giant(1 << 62, 4), "its tensor first says it holds 18,446,744,073,709,551,616 numbers"),
    "negative": (giant(-8, 27), "its tensor first has an impossible shape"),
    "deep": (giant(*[1] * 9), "its tensor first has an impossible shape"),
    "less than it holds": (giant(1), "its tensor first says it holds 1 numbers, and holds 216"),
    "constant that lies": (
        constant(TensorProto(name="big", data_type=TensorProto.FLOAT, dims=[1 << 40])),
        "its tensor big says it holds 1,099,511,627,776 numbers, and holds 0",
    ),
    "texts": (
        constant(TensorProto(name="t", data_type=TensorProto.STRING, dims=[1], string_data=[b"x"])),
        "its tensor t holds values of a kind that is not taken",
    ),
    "custom domain": (
        lambda model: setattr(model.graph.node[0], "domain", "evil.custom"),
        "it uses operators that are not part of ONNX (evil.custom)",
    ),
    "runtime's own domain": (
        lambda model: setattr(model.graph.node[0], "domain", "com.microsoft"),
        "it uses operators that are not part of ONNX (com.microsoft)",
    ),
    "loop": (
        node_with_graph("Loop"),
        "its node Loop holds graphs of its own (Loop); only plain graphs are taken",
    ),
    "hidden graph": (
        node_with_graph("Relu"),
        "its node Relu holds graphs of its own (Relu); only plain graphs are taken",
    ),
    "chance": (
        lambda model: model.graph.node.append(helper.make_node("RandomNormalLike", ["c"], ["z"])),
        "its node RandomNormalLike answers by chance (RandomNormalLike)",
    ),
    "dropout that may train": (
        lambda model: model.graph.node.append(helper.make_node("Dropout", ["c", "", "t"], ["z"])),
        "its node Dropout answers by chance (Dropout)",
    ),
    "functions": (
        lambda model: model.functions.add(name="f", domain="x"),
        "it brings functions or training of its own; only plain graphs are taken",
    ),
    "100,000 nodes": (
        lambda model: model.graph.node.extend([same("c", "c2")] * 100_000),
        "its graph has 100,004 nodes; at most 20,000 are taken",
    ),
    "old operators": (
        lambda model: setattr(model.opset_import[0], "version", 3),
        "it is written for version 3 of ONNX's operators; 9 to ",
    ),
    "operators to come": (
        lambda model: setattr(model.opset_import[0], "version", 9_999),
        "it is written for version 9999 of ONNX's operators; 9 to ",
    ),
    "unknown operator": (
        lambda model: setattr(model.graph.node[1], "op_type", "Explode"),
        "it is not sound ONNX",
    ),
    "dangling input": (lambda model: model.graph.node[1].input.__setitem__(0, "?"), "it is not sound ONNX"),
    "two inputs": (
        lambda model: model.graph.input.append(helper.make_tensor_value_info("more", 1, [1])),
        "it has 2 inputs; a picture model has one",
    ),
    "no output": (
        lambda model: model.graph.ClearField("output"),
        "it has 0 outputs; a picture model has one",
    ),
    "bytes in": (
        lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", TensorProto.UINT8),
        "its input is not float32",
    ),
    "grey": (input_shape(1, 1, "h", "w"), "its input is not one picture of three colours"),
    "many pictures": (input_shape(8, 3, "h", "w"), "its input is not one picture of three colours"),
    "one size": (input_shape(1, 3, 64, 64), "it takes pictures of one size only"),
    "flat": (input_shape(3, "h", "w"), "its input has 3 dimensions"),
    "impossible size": (input_shape(1, 3, 1 << 40, "w"), "its input has an impossible shape"),
    "screen codes in a name": (
        lambda model: setattr(model.graph, "name", "a\x1b[2J"),
        "a name in it is far too long, or holds control characters",
    ),
    "long name": (
        lambda model: setattr(model.graph, "name", "a" * 5000),
        "a name in it is far too long, or holds control characters",
    ),
    "screen codes in notes": (
        lambda model: model.metadata_props.add(key="author", value="\x1b]0;owned\x07"),
        "its notes (metadata) are far too long, or hold control characters",
    ),
    "turned text": (
        lambda model: setattr(model, "producer_name", "gpj.\u202eexe"),
        "its notes (metadata) are far too long, or hold control characters",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_picture_model_does_without_is_refused_by_its_name(name: str) -> None:
    edit, reason = REFUSED[name]

    assert refusal(edited(edit)).startswith(reason)


def test_weights_may_stand_in_typed_fields_and_in_half_precision() -> None:
    half = numpy_helper.from_array(np.full(1, 0.5, np.float16), "half")
    typed = helper.make_tensor("typed", TensorProto.FLOAT, [1], [0.5])
    nodes = [
        helper.make_node("Cast", ["half"], ["whole"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["picture", "whole"], ["a"]),
        helper.make_node("Mul", ["a", "typed"], ["answer"]),
    ]

    assert check_graph(model_of(nodes, [half, typed]).SerializeToString()).parameters == 2


def test_a_name_is_shown_without_what_could_change_the_screen() -> None:
    message = refusal(edited(lambda model: setattr(model.graph.node[0], "domain", "a\x1b[31m" + "b" * 500)))

    assert message == f"it uses operators that are not part of ONNX (a\ufffd[31m{'b' * 74})"
