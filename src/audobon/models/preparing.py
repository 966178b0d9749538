"""Has a model converted and optimised in a process of its own; light for the one who asks."""

import subprocess
import sys
from pathlib import Path

import msgspec

from audobon.errors import CorruptModel, by_code
from audobon.models.card import Card
from audobon.models.devices import DeviceKind


def prepare_apart(card: Card, models_folder: Path, kind: DeviceKind = "cpu") -> None:
    """Convert and optimise a model for a kind of device; see `store.prepare`.

    The libraries and memory this takes end with the process it runs in.
    raises  ModelNotFound when its package is missing, CorruptModel when a byte differs
    """
    # -P: the folder we are started in may hold anything, modules included.
    command = [sys.executable, "-P", "-m", "audobon.models.build", card.name, str(models_folder), kind]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode == 0:
        return
    try:
        report = msgspec.json.decode(done.stdout, type=dict[str, str | None])
    except msgspec.DecodeError:
        tail = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise CorruptModel(f"preparing {card.name} ended with {done.returncode}: {tail[0]}") from None
    error = by_code(report["code"] or "")
    raise error(report["message"] or f"preparing {card.name} failed", hint=report["hint"])
