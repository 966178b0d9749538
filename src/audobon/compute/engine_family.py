"""The processes of the engine that has a data folder, seen from outside."""

from pathlib import Path

from audobon.compute.engine import engine_lock
from audobon.processes import family


def engine_family(folder: Path) -> set[int]:
    """Return the engine's process and all its descendants; empty when no engine runs."""
    pid = engine_lock(folder).living_holder()
    return set() if pid is None else family([pid])
