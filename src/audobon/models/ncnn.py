"""Reads ncnn networks: the text graph (.param) and its weights (.bin).

Not for running them; `convert` turns what is read here into ONNX.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audobon.errors import CorruptModel

Weights = npt.NDArray[np.float32]

_MAGIC = "7767517"
# source: ncnn, docs/developer-guide/param-and-model-file-structure.md
_FP16_TAG = 0x01306B47
_RAW_TAG = 0
_ARRAY_KEYS_FROM = -23300
_MAX_LAYERS = 10_000


@dataclass(frozen=True)
class Layer:
    """One line of a .param file.

    params  number -> int, float or tuple of numbers, as ncnn writes them
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: dict[int, Any]

    def integer(self, key: int, default: int) -> int:
        """Return an integer parameter, or its default."""
        return int(self.params.get(key, default))

    def numbers(self, key: int) -> tuple[float, ...]:
        """Return the array stored under ncnn's key -23300 - key; () when absent."""
        value = self.params.get(_ARRAY_KEYS_FROM - key, ())
        return tuple(float(item) for item in value)


def parse_graph(text: str) -> list[Layer]:
    """Return the layers of a .param file in the order ncnn runs them.

    raises  CorruptModel when the text is not a network of the declared length
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 3 or lines[0].strip() != _MAGIC:
        raise CorruptModel("this is not an ncnn graph: its first line is not 7767517")
    try:
        declared = int(lines[1].split()[0])
        layers = [_parse_layer(line) for line in lines[2:]]
    except (ValueError, IndexError) as error:
        raise CorruptModel("an ncnn graph line cannot be read") from error
    if declared != len(layers) or declared > _MAX_LAYERS:
        raise CorruptModel(f"the ncnn graph declares {declared} layers and holds {len(layers)}")
    return layers


def _parse_layer(line: str) -> Layer:
    words = line.split()
    kind, name, n_in, n_out = words[0], words[1], int(words[2]), int(words[3])
    names = words[4 : 4 + n_in + n_out]
    if len(names) != n_in + n_out or n_in < 0 or n_out < 0:
        raise ValueError(line)
    params: dict[int, Any] = {}
    for word in words[4 + n_in + n_out :]:
        key_text, _, value = word.partition("=")
        key = int(key_text)
        if key <= _ARRAY_KEYS_FROM:
            params[key] = tuple(_number(item) for item in value.split(",")[1:])
        else:
            params[key] = _number(value)
    return Layer(kind, name, tuple(names[:n_in]), tuple(names[n_in:]), params)


def _number(text: str) -> int | float:
    return float(text) if "." in text or "e" in text else int(text)


class WeightReader:
    """Hands out the tensors of a .bin file in order; every byte must be used."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def tagged(self, count: int) -> Weights:
        """Return `count` weights stored with a four-byte tag (fp16 padded to 4, or fp32)."""
        tag = int(np.frombuffer(self._take(4), "<u4")[0])
        if tag == _FP16_TAG:
            padded = (count * 2 + 3) // 4 * 4
            return np.frombuffer(self._take(padded), "<f2", count).astype(np.float32)
        if tag == _RAW_TAG:
            return self.raw(count)
        raise CorruptModel(f"the ncnn weights use an unknown encoding (tag {tag:#x})")

    def raw(self, count: int) -> Weights:
        """Return `count` untagged fp32 numbers (biases and slopes)."""
        return np.frombuffer(self._take(count * 4), "<f4").astype(np.float32)

    def finish(self) -> None:
        """Raise CorruptModel unless the whole file was consumed."""
        if self._at != len(self._data):
            raise CorruptModel(f"the ncnn weights hold {len(self._data)} bytes, the graph uses {self._at}")

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise CorruptModel("the ncnn weights end before the graph is filled")
        piece = self._data[self._at : end]
        self._at = end
        return piece
