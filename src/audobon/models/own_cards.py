"""The cards of the models that users brought: where they lie, what they are called, reading them.

Each model has a folder of its name beside the prepared models: `card.toml`, which counts, and the ONNX file
that it names by its digest. A card is replaced in one step, so that a model is the old one or the new one.
"""

import re
from pathlib import Path

import msgspec

from audobon.errors import CorruptModel
from audobon.models.card import Card, Footprint, parse_card

CARD = "card.toml"
SCALES = {"upscale": (2, 4), "clean": (1,)}
"""What a model of each task may make of a pixel's side."""
MOST_PADDING_PX, MOST_TILE_PX, MOST_MULTIPLE_PX = 128, 1024, 64

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LONGEST_NAME = 64
_MOST_CARD_BYTES = 1 << 20
# No machine has measured more: of bytes or pixels, and of processor seconds for a megapixel.
_MOST_MEASURED, _MOST_SECONDS = 1 << 50, 1e9

_Stamp = tuple[int, int, int]
_read: dict[Path, tuple[_Stamp, Card]] = {}


def own_folder(models_folder: Path) -> Path:
    """Return where the user's own models lie, for a folder of prepared ones."""
    return models_folder.with_name("user-models")


def is_name(text: str) -> bool:
    """Tell whether a text can be a model's name: small letters, digits, single dashes between them."""
    return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None


def own_names(folder: Path) -> list[str]:
    """Return the names of the models in a folder, damaged ones included."""
    try:
        return sorted(entry.name for entry in folder.iterdir() if is_name(entry.name) and entry.is_dir())
    except OSError:
        # Nobody has brought one yet.
        return []


def graph_path(folder: Path, card: Card) -> Path:
    """Return where the ONNX of a model lies within the folder of own models."""
    return folder / card.name / f"{card.graph_sha256[:16]}.onnx"


def read_own_card(folder: Path, name: str) -> Card | None:
    """Return the card of an own model, read again only when it has changed; None when there is none.

    raises  CorruptModel when the card is none, or its file is missing or has another size
    """
    path = folder / name / CARD
    if not is_name(name) or not path.parent.is_dir():
        return None
    stamp: _Stamp | None = None
    try:
        stamp = _stamp(path)
        known = _read.get(path)
        if known is None or known[0] != stamp:
            known = _read[path] = (stamp, _parse(folder, name, path.read_bytes()[: _MOST_CARD_BYTES + 1]))
        card = known[1]
        if graph_path(folder, card).stat().st_size != card.graph_bytes:
            raise ValueError("its ONNX file has another size than its card says")
    except (OSError, ValueError) as error:
        if not path.parent.is_dir() or (stamp is not None and _stamp(path) != stamp):
            # Removed or replaced since we looked.
            return read_own_card(folder, name)
        reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
        raise CorruptModel(
            f"your model {name} is damaged: {reason}",
            hint=f"audobon models add FILE --card CARD --replace, or audobon models remove {name}",
        ) from error
    return card


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino, status.st_size


def _parse(folder: Path, name: str, data: bytes) -> Card:
    """Return the card written in bytes; ValueError says what is wrong with it."""
    if len(data) > _MOST_CARD_BYTES:
        raise ValueError("its card is far too large")
    card = parse_card(data.decode("utf-8"))
    shape = card.picture
    if card.name != name or card.source is not None or card.file is not None or shape is None:
        raise ValueError("its card is not one that `audobon models add` wrote for it")
    if re.fullmatch(r"[0-9a-f]{64}", card.graph_sha256) is None:
        raise ValueError("its card holds no digest")
    if (
        shape.scale not in SCALES.get(card.task, ())
        or not 0 <= shape.padding_px <= MOST_PADDING_PX
        or not 1 <= shape.multiple_px <= MOST_MULTIPLE_PX
        or shape.tile_px not in shape.tiles_px
        or not all(0 < side <= MOST_TILE_PX for side in shape.tiles_px)
        or not all(map(_is_measured, (card.memory.fast, card.memory.lean)))
    ):
        raise ValueError("its card holds figures that cannot be")
    return msgspec.structs.replace(card, file=str(graph_path(folder, card)))


def _is_measured(footprint: Footprint) -> bool:
    peaks = footprint.peak_bytes_by_pixels.items()
    is_known = bool(peaks) and 0 < footprint.seconds_per_megapixel <= _MOST_SECONDS
    return is_known and all(min(peak) > 0 and max(peak) <= _MOST_MEASURED for peak in peaks)
