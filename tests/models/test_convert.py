"""Each ncnn layer kind computes in ONNX what ncnn's documentation says it computes."""

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from audobon.errors import CorruptModel
from audobon.models.card import Card
from audobon.models.convert import ncnn_to_onnx
from audobon.models.sources import package_folder, read_source, to_onnx

Array = npt.NDArray[np.float32]

X: Array = np.random.default_rng(5).normal(size=(1, 3, 6, 8)).astype(np.float32)


def tagged(values: Array) -> bytes:
    return b"\0\0\0\0" + values.astype("<f4").tobytes()


def computed(*lines: str, weights: bytes = b"") -> Array:
    """Return what a network of these layers, behind its input x, makes of X."""
    graph = "\n".join(["7767517", f"{len(lines) + 1} 9", "Input in 0 1 x", *lines])
    model = ncnn_to_onnx(graph, weights, name="layers")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    answer: Array = session.run(None, {"input": X})[0]
    return answer


def convolved(x: Array, weight: Array, bias: Array, *, pad: int = 0) -> Array:
    """Return a plain convolution, written out: weight [out, in, height, width]."""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    n_out, _, h, w = weight.shape
    made = np.zeros((1, n_out, x.shape[2] - h + 1, x.shape[3] - w + 1), np.float64)
    for row in range(h):
        for column in range(w):
            part = x[0, :, row : row + made.shape[2], column : column + made.shape[3]]
            made[0] += np.einsum("oi,ihw->ohw", weight[:, :, row, column], part)
    return (made + bias[None, :, None, None]).astype(np.float32)


def close(found: Array, wanted: Array) -> bool:
    return found.shape == wanted.shape and bool(np.allclose(found, wanted, atol=1e-5))


RNG = np.random.default_rng(6)
KERNEL: Array = RNG.normal(size=(3, 3, 3, 3)).astype(np.float32)
BIAS: Array = RNG.normal(size=3).astype(np.float32)
CONVOLUTION = "Convolution c 1 1 x out 0=3 1=3 4=1 5=1 6=81"


@pytest.mark.parametrize(
    ("activation", "reference"),
    [
        ("", lambda y: y),
        (" 9=1", lambda y: np.maximum(y, 0)),
        (" 9=2 -23310=1,0.1", lambda y: np.where(y < 0, 0.1 * y, y)),
        (" 9=4", lambda y: 1 / (1 + np.exp(-y))),
    ],
)
def test_convolution_with_its_activation(activation: str, reference: object) -> None:
    found = computed(CONVOLUTION + activation, weights=tagged(KERNEL) + BIAS.tobytes())
    assert callable(reference)
    assert close(found, reference(convolved(X, KERNEL, BIAS, pad=1)))


def test_half_precision_weights_become_single_ones() -> None:
    halves = KERNEL.astype("<f2")
    # 81 halves are 162 bytes, padded to a multiple of four.
    weights = b"\x47\x6b\x30\x01" + halves.tobytes() + b"\0\0" + BIAS.tobytes()
    wanted = convolved(X, halves.astype(np.float32), BIAS, pad=1)
    assert close(computed(CONVOLUTION, weights=weights), wanted)


def test_deconvolution_spreads_each_pixel() -> None:
    kernel: Array = RNG.normal(size=(3, 3, 2, 2)).astype(np.float32)
    line = "Deconvolution d 1 1 x out 0=3 1=2 3=2 5=1 6=36"
    wanted = np.zeros((1, 3, 12, 16), np.float32) + BIAS[None, :, None, None]
    for row in range(2):
        for column in range(2):
            wanted[0, :, row::2, column::2] += np.einsum("oi,ihw->ohw", kernel[:, :, row, column], X[0])
    assert close(computed(line, weights=tagged(kernel) + BIAS.tobytes()), wanted)


def test_pooling_inner_product_and_scale_weigh_channels() -> None:
    dense: Array = RNG.normal(size=(3, 3)).astype(np.float32)
    found = computed(
        "Split s 1 2 x a b",
        "Pooling p 1 1 a pooled 0=1 4=1",
        "InnerProduct i 1 1 pooled weighed 0=3 1=1 2=9 9=4",
        "Scale m 2 1 b weighed out 0=-233",
        weights=tagged(dense) + BIAS.tobytes(),
    )
    weights = 1 / (1 + np.exp(-(dense @ X.mean(axis=(2, 3))[0] + BIAS)))
    assert close(found, X * weights[None, :, None, None])


def test_prelu_has_a_slope_for_each_channel() -> None:
    wanted = np.where(X < 0, X * BIAS[None, :, None, None], X)
    assert close(computed("PReLU p 1 1 x out 0=3", weights=BIAS.tobytes()), wanted)


def test_pixel_shuffle_unfolds_channels_into_pixels() -> None:
    kernel: Array = RNG.normal(size=(12, 3, 1, 1)).astype(np.float32)
    bias = np.zeros(12, np.float32)
    found = computed(
        "Convolution c 1 1 x wide 0=12 1=1 5=0 6=36",
        "PixelShuffle s 1 1 wide out 0=2",
        weights=tagged(kernel),
    )
    wide = convolved(X, kernel, bias)[0].reshape(3, 2, 2, 6, 8)
    assert close(found, wide.transpose(0, 3, 1, 4, 2).reshape(1, 3, 12, 16))


def test_nearest_interpolation_repeats_pixels() -> None:
    found = computed("Interp i 1 1 x out 0=1 1=2.0 2=2.0")
    assert close(found, X.repeat(2, axis=2).repeat(2, axis=3))


@pytest.mark.parametrize("kind", [2, 3])
def test_smooth_interpolation_keeps_the_mean_of_a_flat_page(kind: int) -> None:
    flat = computed("BinaryOp z 1 1 x zero 0=2 1=1 2=0.0", f"Interp i 1 1 zero out 0={kind} 1=2.0 2=2.0")
    assert close(flat, np.zeros((1, 3, 12, 16), np.float32))


@pytest.mark.parametrize(
    ("kind", "wanted"), [(0, X + X), (1, X - X), (2, X * X), (3, X / X)], ids=["add", "sub", "mul", "div"]
)
def test_binary_operators_take_two_layers(kind: int, wanted: Array) -> None:
    assert close(computed("Split s 1 2 x a b", f"BinaryOp o 2 1 a b out 0={kind}"), wanted)


def test_binary_operators_take_a_number() -> None:
    assert close(computed("BinaryOp o 1 1 x out 0=2 1=1 2=0.5"), X * np.float32(0.5))


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [("0=0", X * X), ("0=1", X + X), ("0=1 -23301=2,1.0,0.5", X * 1.5), ("0=2", X)],
)
def test_eltwise_combines_two_layers(arguments: str, wanted: Array) -> None:
    assert close(computed("Split s 1 2 x a b", f"Eltwise e 2 1 a b out {arguments}"), wanted)


def test_concat_puts_channels_behind_each_other() -> None:
    pick: Array = np.zeros((3, 6, 1, 1), np.float32)
    pick[[0, 1, 2], [3, 1, 5]] = 1
    found = computed(
        "Split s 1 2 x a b",
        "BinaryOp o 1 1 b twice 0=2 1=1 2=2.0",
        "Concat c 2 1 a twice both 0=0",
        "Convolution p 1 1 both out 0=3 1=1 5=0 6=18",
        weights=tagged(pick),
    )
    assert close(found, np.stack([2 * X[0, 0], X[0, 1], 2 * X[0, 2]])[None])


def test_crop_takes_the_border_off() -> None:
    assert close(computed("Split s 1 2 x a b", "Crop c 2 1 a b out 0=2 1=2"), X[:, :, 2:-2, 2:-2])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("LSTM l 1 1 x out", "ncnn layer kind 'LSTM' (l) is not supported"),
        ("PReLU p 1 1 nowhere out 0=0", "ncnn blob 'nowhere' is used before it is made"),
        ("Pooling p 1 1 x out 0=0", "ncnn pooling other than global average (p) is not supported"),
        ("Interp i 1 1 x out 0=9", "ncnn interpolation 9 (i) is not supported"),
        ("BinaryOp o 1 1 x out 0=7", "ncnn binary operator 7 (o) is not supported"),
        ("Crop c 1 1 x out 0=2", "ncnn Crop that is not centred on a reference (c) is not supported"),
        ("Concat c 1 1 x out 0=1", "ncnn Concat along axis 1 (c) is not supported"),
    ],
)
def test_what_is_not_covered_is_refused(line: str, message: str) -> None:
    with pytest.raises(CorruptModel) as caught:
        computed(line)
    assert caught.value.message == message


def test_converting_twice_gives_the_same_bytes(default_card: Card) -> None:
    files = read_source(default_card)
    assert package_folder(default_card) is not None
    assert to_onnx(default_card, files) == to_onnx(default_card, files)
