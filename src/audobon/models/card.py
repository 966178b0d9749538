"""The card of a model: all that is known of it without loading it."""

import difflib
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

from audobon.errors import ModelNotFound
from audobon.pages.tiles import PictureShape

Task = Literal["upscale", "clean", "find text", "turn text", "read text"]


class SourceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the package that carries the weights.

    path    inside the package, with forward slashes
    sha256  of its bytes; another digest is refused
    """

    path: str
    sha256: str


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the weights come from.

    package  name to install; module is what it installs
    extra    the Audobon extra that brings it; None when it is always there
    format   ncnn: files are graph and weights; onnx: one file
    """

    package: str
    version: str
    module: str
    format: Literal["ncnn", "onnx"]
    files: tuple[SourceFile, ...]
    extra: str | None = None


class Footprint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What running the model one way was measured to take.

    peak_bytes_by_pixels   pixels fed at once -> growth of the process at its peak, weights included
    seconds_per_megapixel  processor seconds on the machine of benchmarks/README.md
    """

    peak_bytes_by_pixels: dict[int, int]
    seconds_per_megapixel: float

    def peak_bytes(self, pixels: int) -> int:
        """Return the growth expected for this many pixels, between and beyond the measured ones."""
        known = sorted(self.peak_bytes_by_pixels.items())
        if len(known) == 1:
            return known[0][1]
        upper = next((i for i, (size, _) in enumerate(known) if size >= pixels), len(known) - 1)
        upper = max(1, upper)
        (low, low_bytes), (high, high_bytes) = known[upper - 1], known[upper]
        slope = (high_bytes - low_bytes) / (high - low)
        return max(known[0][1], round(low_bytes + slope * (pixels - low)))


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The two ways to run the model; both give the same pixels.

    fast  freed tensors are kept for the next run (ONNX Runtime's arena)
    lean  every tensor goes back to the system at once: slower, far smaller
    """

    fast: Footprint
    lean: Footprint


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer recorded when the model was admitted.

    input_shape   [batch, channels, height, width] of the test pattern
    output_shape  of the answer
    positions     places in the flattened answer
    values        what stands there
    mean          over the whole answer
    tolerance     largest difference allowed
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    positions: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    tolerance: float


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is known of one model.

    source         None for a model that a user brought
    file           where the ONNX of such a model lies; not written down, since a data folder may be moved
    graph_sha256   of the ONNX made from the source; the model's identity
    graph_bytes    size of that ONNX
    draft_of       name of the full model that this is a quicker, rougher copy of
    loss_db        of a draft: PSNR of its pages against the full model's, the worst of the sample comic
    ranges         of a draft: tensor -> lowest and highest value to keep apart in 8 bits
    """

    name: str
    title: str
    task: Task
    description: str
    origin: str
    licence: str
    attribution: str
    source: Source | None = None
    file: str | None = None
    graph_sha256: str
    graph_bytes: int
    memory: Memory
    golden: Golden
    picture: PictureShape | None = None
    draft_of: str | None = None
    loss_db: float | None = None
    ranges: dict[str, tuple[float, float]] = {}

    @property
    def loading_bytes(self) -> int:
        """The most that loading it takes; what stays of it is less, since weights are mapped."""
        # Measured for eight models, fast and lean: up to 1.4 times the graph, and 1 MB for the smallest.
        return self.graph_bytes * 3 // 2 + (2 << 20)

    @property
    def identity(self) -> str:
        """What is equal only for models that draw the same: who brings one may change how it is fed, too."""
        if self.source is not None:
            return self.graph_sha256
        return f"{self.graph_sha256} {msgspec.json.encode(self.picture).decode()}"


def parse_card(text: str) -> Card:
    """Return the card written in a TOML text; msgspec.ValidationError when it is not one."""
    return msgspec.convert(tomllib.loads(text), Card, strict=False)


def built_in_cards() -> dict[str, Card]:
    """Return the cards that ship with Audobon, by name."""
    cards = {}
    for entry in resources.files("audobon.models").joinpath("cards").iterdir():
        if entry.name.endswith(".toml"):
            card = parse_card(entry.read_text(encoding="utf-8"))
            cards[card.name] = card
    return dict(sorted(cards.items()))


@cache
def built_in_names() -> frozenset[str]:
    """Return the names of the models that ship with Audobon, without reading their cards."""
    entries = resources.files("audobon.models").joinpath("cards").iterdir()
    return frozenset(entry.name.removesuffix(".toml") for entry in entries if entry.name.endswith(".toml"))


@cache
def built_in_card(name: str) -> Card:
    """Return one shipped card without reading the others; ModelNotFound when there is none."""
    if name not in built_in_names():
        raise unknown_model(name, built_in_names())
    entry = resources.files("audobon.models").joinpath("cards", f"{name}.toml")
    return parse_card(entry.read_text(encoding="utf-8"))


def unknown_model(name: str, known: Iterable[str]) -> ModelNotFound:
    """Return the error for a name nobody has, with the nearest known names."""
    near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else "audobon models list"
    return ModelNotFound(f"no model is named {name!r}", hint=hint)
