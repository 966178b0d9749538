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

from audobon.atomic import make_private_folder
from audobon.errors import CorruptModel, DiskFull
from audobon.models.card import Card
from audobon.models.devices import DeviceKind
from audobon.models.running import WEIGHTS
from audobon.models.sources import read_graph

GRAPH, _RECEIPT = "model.onnx", "receipt.json"
# Raise when the way models are prepared changes, so that old copies are left behind.
_RECIPE = 1
_ABANDONED_SECONDS = 3600
_CPUINFO_CHARACTERS = 8192


class _Receipt(msgspec.Struct, frozen=True):
    digests: dict[str, str]


def prepared_folder(card: Card, models_folder: Path, kind: DeviceKind = "cpu") -> Path:
    """Return where the model prepared for a kind of device lies, or will lie.

    The name carries all the preparation depends on: the model, ONNX Runtime, the processor, the device.
    """
    device = "" if kind == "cpu" else f"-{kind}"
    return models_folder / card.name / f"{card.graph_sha256[:16]}-{machine_digest()}{device}"


def is_prepared(card: Card, models_folder: Path, kind: DeviceKind = "cpu") -> bool:
    """Tell whether a model was prepared, without reading it again."""
    return (prepared_folder(card, models_folder, kind) / _RECEIPT).is_file()


def prepared_path(card: Card, models_folder: Path, kind: DeviceKind = "cpu") -> Path:
    """Return the file to load of a prepared model."""
    return prepared_folder(card, models_folder, kind) / GRAPH


def is_intact(card: Card, models_folder: Path, kind: DeviceKind = "cpu") -> bool:
    """Tell whether every byte of a prepared model is as it was written."""
    folder = prepared_folder(card, models_folder, kind)
    try:
        receipt = msgspec.json.decode((folder / _RECEIPT).read_bytes(), type=_Receipt)
        return all(
            blake3.blake3().update_mmap(folder / name).hexdigest() == digest
            for name, digest in receipt.digests.items()
        )
    except (OSError, msgspec.DecodeError):
        return False


def prepare(card: Card, models_folder: Path, kind: DeviceKind = "cpu") -> Path:
    """Check, convert and optimise a model; return the file to load.

    Safe beside other processes doing the same: the first one's copy stays, equal to all others.
    raises  ModelNotFound, CorruptModel, OSError when the disk refuses
    """
    graph = read_graph(card)
    target = prepared_folder(card, models_folder, kind)
    make_private_folder(target.parent)
    _remove_leftovers(target.parent)
    with tempfile.TemporaryDirectory(prefix=".preparing-", dir=target.parent) as scratch:
        folder = Path(scratch) / "model"
        folder.mkdir()
        _optimise(card, graph, folder, kind)
        digests = {
            path.name: blake3.blake3(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())
        }
        (folder / _RECEIPT).write_bytes(msgspec.json.encode(_Receipt(digests)))
        while not _moved(folder, target) and not is_intact(card, models_folder, kind):
            # Damaged: out of the way in one step, to be removed with the scratch folder.
            with suppress(FileNotFoundError):
                target.rename(Path(scratch) / f"damaged-{secrets.token_hex(4)}")
    return target / GRAPH


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


def _optimise(card: Card, graph: bytes, folder: Path, kind: DeviceKind) -> None:
    import onnxruntime

    from audobon.models.runtime import session_options

    options = session_options(threads=1, arena=False, optimise=True)
    if kind != "cpu":
        # What goes further lays tensors out for this processor, which no other device can run.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    if card.draft_of is not None and not _multiplies_bytes_exactly():
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.optimized_model_filepath = str(folder / GRAPH)
    for key, value in {
        "session.optimized_model_external_initializers_file_name": WEIGHTS,
        "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
    }.items():
        options.add_session_config_entry(key, value)
    try:
        onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own classes straight from C++
        if shutil.disk_usage(folder).free < len(graph):
            raise DiskFull(f"no room left in {folder} for {card.name}", hint="free some space") from error
        raise CorruptModel(f"{card.name} cannot be optimised: {error}") from error


def _multiplies_bytes_exactly() -> bool:
    """Tell whether this processor is known to add up products of 8-bit numbers without a bound.

    x86 before VNNI adds pairs of them in 16 bits, where ONNX Runtime's fast kernels overflow without a word;
    its slower ones give the same numbers everywhere. It asks itself only whether the two differ.
    """
    return bool({"avx512_vnni", "avx_vnni"} & set(_processor_features().split()))


@cache
def _processor_features() -> str:
    """Return the features of the processor as the system names them; nothing where it does not."""
    if sys.platform != "linux":
        return ""
    # The first processor speaks for all; the system writes the rest only when it is read.
    with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as file:
        text = file.read(_CPUINFO_CHARACTERS)
    return next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")


@cache
def machine_digest() -> str:
    """Name what optimised graphs depend on besides the model: runtime version and processor."""
    features = _processor_features()
    identity = (_RECIPE, runtime_version(), platform.machine(), platform.processor(), features)
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


def runtime_version() -> str:
    """Return ONNX Runtime's version from its source: importing it, or importlib.metadata, is far dearer."""
    loaded = sys.modules.get("onnxruntime")
    if loaded is not None:
        return str(loaded.__version__)
    spec = util.find_spec("onnxruntime")
    text = "" if spec is None or spec.origin is None else Path(spec.origin).read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    return found[1] if found else text
