"""Keeps each model ready to load: optimised once for this machine, weights beside the graph.

Everything here is derived from the installed packages and may be deleted at any time.
"""

import errno
import hashlib
import platform
import re
import secrets
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from importlib import util
from pathlib import Path

import blake3
import msgspec

from audobon.errors import CorruptModel, DiskFull
from audobon.models.card import Card
from audobon.models.sources import read_graph

_GRAPH, _WEIGHTS, _RECEIPT = "model.onnx", "weights.bin", "receipt.json"
# Raise when the way models are prepared changes, so that old copies are left behind.
_RECIPE = 1
_ABANDONED_SECONDS = 3600
_CPUINFO_CHARACTERS = 8192


class _Receipt(msgspec.Struct, frozen=True):
    digests: dict[str, str]


def prepared_folder(card: Card, models_folder: Path) -> Path:
    """Return where the prepared model lies, or will lie.

    The name carries all the preparation depends on: the model, ONNX Runtime, the processor.
    """
    return models_folder / card.name / f"{card.graph_sha256[:16]}-{_machine_digest()}"


def is_prepared(card: Card, models_folder: Path) -> bool:
    """Tell whether a model was prepared, without reading it again."""
    return (prepared_folder(card, models_folder) / _RECEIPT).is_file()


def prepared_path(card: Card, models_folder: Path) -> Path:
    """Return the file to load of a prepared model."""
    return prepared_folder(card, models_folder) / _GRAPH


def is_intact(card: Card, models_folder: Path) -> bool:
    """Tell whether every byte of a prepared model is as it was written."""
    folder = prepared_folder(card, models_folder)
    try:
        receipt = msgspec.json.decode((folder / _RECEIPT).read_bytes(), type=_Receipt)
        return all(
            blake3.blake3().update_mmap(folder / name).hexdigest() == digest
            for name, digest in receipt.digests.items()
        )
    except (OSError, msgspec.DecodeError):
        return False


def prepare(card: Card, models_folder: Path) -> Path:
    """Check, convert and optimise a model; return the file to load.

    Safe beside other processes doing the same: the first one's copy stays, equal to all others.
    raises  ModelNotFound, CorruptModel, OSError when the disk refuses
    """
    graph = read_graph(card)
    target = prepared_folder(card, models_folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target.parent)
    with tempfile.TemporaryDirectory(prefix=".preparing-", dir=target.parent) as scratch:
        folder = Path(scratch) / "model"
        folder.mkdir()
        _optimise(card, graph, folder)
        digests = {
            path.name: blake3.blake3(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())
        }
        (folder / _RECEIPT).write_bytes(msgspec.json.encode(_Receipt(digests)))
        while not _moved(folder, target) and not is_intact(card, models_folder):
            # Damaged: out of the way in one step, to be removed with the scratch folder.
            with suppress(FileNotFoundError):
                target.rename(Path(scratch) / f"damaged-{secrets.token_hex(4)}")
    return target / _GRAPH


def _moved(folder: Path, target: Path) -> bool:
    """Move a folder to its place; return False when another is there already."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _remove_leftovers(folder: Path) -> None:
    """Remove what a preparation that was killed left behind, once nobody can be at it any more."""
    for leftover in folder.glob(".preparing-*"):
        # Gone meanwhile: another process prepares the same model, and is done with it.
        with suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)


def _optimise(card: Card, graph: bytes, folder: Path) -> None:
    import onnxruntime

    from audobon.models.runtime import session_options

    options = session_options(threads=1, arena=False, optimise=True)
    options.optimized_model_filepath = str(folder / _GRAPH)
    for key, value in {
        "session.optimized_model_external_initializers_file_name": _WEIGHTS,
        "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
    }.items():
        options.add_session_config_entry(key, value)
    try:
        onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own classes straight from C++
        if shutil.disk_usage(folder).free < len(graph):
            raise DiskFull(f"no room left in {folder} for {card.name}", hint="free some space") from error
        raise CorruptModel(f"{card.name} cannot be optimised: {error}") from error


@cache
def _machine_digest() -> str:
    """Name what optimised graphs depend on besides the model: runtime version and processor."""
    features = ""
    if sys.platform == "linux":
        # The first processor speaks for all; the system writes the rest only when it is read.
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as file:
            text = file.read(_CPUINFO_CHARACTERS)
        features = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    identity = (_RECIPE, _runtime_version(), platform.machine(), platform.processor(), features)
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


def _runtime_version() -> str:
    """Return ONNX Runtime's version from its source: importing it, or importlib.metadata, is far dearer."""
    loaded = sys.modules.get("onnxruntime")
    if loaded is not None:
        return str(loaded.__version__)
    spec = util.find_spec("onnxruntime")
    text = "" if spec is None or spec.origin is None else Path(spec.origin).read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    return found[1] if found else text
