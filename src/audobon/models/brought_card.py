"""The card that a user writes for a model of their own: what they know and a machine cannot find out."""

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from audobon.atomic import disk_errors
from audobon.errors import InvalidInput
from audobon.models.card import built_in_names
from audobon.models.own_cards import MOST_MULTIPLE_PX, MOST_PADDING_PX, MOST_TILE_PX, SCALES, is_name

_MOST_BYTES = 1 << 16
_LONGEST_TEXT = 2000
_LEAST_TILE_PX = 32
_HINT = "docs/reference/card.toml shows every key"


class BroughtCard(msgspec.Struct, frozen=True, kw_only=True):
    """What a user says of a model.

    licence     in the words of who gave it away; "unknown" if that is so
    scale       output pixels per input pixel, along one side
    colour      channel order of input and output, 0..1
    edges       own: the model pads by itself, and answers scale times its input
                replicate: it eats padding_px on every side
    padding_px  pixels around a tile that its result depends on, or that the model eats
    multiple_px sides of what it is fed must be multiples of this
    tile_exact  whether the pixels may be free of how a page is cut into tiles; proved when it is added
    tile_px     side of a tile, the largest one when tile-exact and the only one otherwise
    """

    name: str
    title: str
    task: Literal["upscale", "clean"]
    scale: int
    licence: str
    origin: str
    attribution: str = ""
    description: str = ""
    colour: Literal["RGB", "BGR"] = "RGB"
    edges: Literal["own", "replicate"] = "own"
    padding_px: int = 16
    multiple_px: int = 1
    tile_exact: bool = True
    tile_px: int = 192


def read_brought_card(path: Path) -> BroughtCard:
    """Return the card in a TOML file; InvalidInput names every fault at once."""
    with disk_errors(path), path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise InvalidInput(f"{path} is too large to be a card", hint=_HINT)
    try:
        tree = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is no TOML: {error}", hint=_HINT) from error
    values, faults = _values(tree)
    if not faults:
        card = BroughtCard(**values)
        faults = _contradictions(card)
    if faults:
        raise InvalidInput(f"{path}: {'; '.join(faults)}", hint=_HINT)
    return card


def _values(tree: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    fields = {field.name: field for field in msgspec.structs.fields(BroughtCard)}
    faults = []
    for key in tree:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.5)
            faults.append(f"unknown key {key!r}" + (f" (nearest: {near[0]})" if near else ""))
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in tree:
            if field.required:
                faults.append(f"{name} is missing")
            continue
        try:
            values[name] = msgspec.convert(tree[name], field.type)
        except msgspec.ValidationError as error:
            faults.append(f"{name}: {error}")
    return values, faults


def _contradictions(card: BroughtCard) -> list[str]:
    faults = []
    if not is_name(card.name):
        faults.append("name: small letters, digits and single dashes between them, 64 at most")
    if card.name in built_in_names():
        faults.append(f"name: {card.name} is a model that ships with Audobon; choose another")
    for key in ("title", "licence", "origin", "attribution", "description"):
        text = getattr(card, key)
        if len(text) > _LONGEST_TEXT or not text.isprintable():
            faults.append(
                f"{key}: one line of at most {_LONGEST_TEXT} characters, without control characters"
            )
        elif key in ("title", "licence", "origin") and not text.strip():
            faults.append(f"{key} is empty")
    if card.scale not in SCALES[card.task]:
        choice = " or ".join(map(str, SCALES[card.task]))
        faults.append(f"scale: {choice} for the task {card.task}, not {card.scale}")
    for key, least, most in (
        ("padding_px", 0, MOST_PADDING_PX),
        ("multiple_px", 1, MOST_MULTIPLE_PX),
        ("tile_px", _LEAST_TILE_PX, MOST_TILE_PX),
    ):
        if not least <= getattr(card, key) <= most:
            faults.append(f"{key} must lie between {least} and {most}")
    if card.edges == "own" and card.multiple_px > 1:
        faults.append('edges "own" goes with multiple_px 1 only')
    return faults
