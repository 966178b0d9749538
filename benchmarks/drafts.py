"""What a draft's card says of it: the ranges of its tensors, and its distance from the full model.

Calibrated on tiles of the sample comic; see docs/decisions/0009-draft-quality.md for what was tried.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from PIL import Image

from audobon.models.card import Card
from audobon.models.runtime import LoadedModel, Tensor
from audobon.pages.picture import Picture, Pixels
from audobon.pages.picture_info import PictureInfo
from audobon.pages.restore import PictureModel, restore

SAMPLE = Path(__file__).parents[1] / "samples" / "the-wren"
# A few extreme values would widen the steps of all others; of what was tried, this loses least.
_KEPT_PERCENT = 99.99
_TILE_PX = 120
_TILES_PER_PAGE = 4


def ranges_of(graph: bytes) -> dict[str, tuple[float, float]]:
    """Return the ranges of all tensors between convolutions, the first convolution excepted.

    The first works on the pixels themselves, costs little, and loses most in 8 bits.
    """
    model = onnx.load_from_string(graph)
    layers = [node for node in model.graph.node if node.op_type == "Conv"][1:]
    names = list(dict.fromkeys(tensor for node in layers for tensor in (node.input[0], node.output[0])))
    for name in names:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    spans = dict.fromkeys(names, (0.0, 0.0))
    for tile in calibration_tiles():
        for name, values in zip(names, session.run(names, {"input": tile}), strict=True):
            low, high = np.percentile(values, [100 - _KEPT_PERCENT, _KEPT_PERCENT])
            spans[name] = (min(spans[name][0], float(low)), max(spans[name][1], float(high)))
    return {name: (float(f"{low:.6g}"), float(f"{high:.6g}")) for name, (low, high) in spans.items()}


def calibration_tiles() -> Iterator[Tensor]:
    """Yield tiles of the sample pages, at their size and at half of it; the same ones every time."""
    for page in pages([SAMPLE]):
        for shrink in (1, 2):
            size = (page.width // shrink, page.height // shrink)
            pixels = np.asarray(page.resize(size, Image.Resampling.LANCZOS), np.float32) / 255
            places = np.random.default_rng(shrink)
            for _ in range(_TILES_PER_PAGE):
                y = places.integers(0, size[1] - _TILE_PX)
                x = places.integers(0, size[0] - _TILE_PX)
                yield pixels[y : y + _TILE_PX, x : x + _TILE_PX].transpose(2, 0, 1)[None]


def pages(folders: Iterable[Path]) -> Iterator[Image.Image]:
    """Yield the pages of folders as RGB."""
    for folder in folders:
        for path in sorted(folder.glob("*.png")):
            with Image.open(path) as image:
                yield image.convert("RGB")


def enlarge(page: Image.Image, card: Card, model: LoadedModel) -> Pixels:
    """Return the page as the model makes it, in one pass."""
    assert card.picture is not None
    picture = Picture(
        PictureInfo(width=page.width, height=page.height, mode="RGB", format="PNG"), np.asarray(page)
    )
    fed = PictureModel(card.picture, model)
    bands = restore(picture, fed, passes=1, tile_px=card.picture.tile_px, report=lambda _done, _total: None)
    return np.concatenate(list(bands))


def psnr_db(a: Pixels, b: Pixels) -> float:
    """Return the peak signal-to-noise ratio of 8-bit pixels in decibels."""
    error = np.mean((a.astype(np.float32) - b.astype(np.float32)) ** 2, dtype=np.float64)
    return float(10 * np.log10(255**2 / error))
