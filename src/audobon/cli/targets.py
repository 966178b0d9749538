"""Files that commands write reports to: refused before the work if they cannot be written after it."""

from collections.abc import Sequence
from pathlib import Path

from audobon.atomic import exists_already, writing
from audobon.errors import InvalidInput, NotFound


def check_target(target: Path, endings: Sequence[str], *, overwrite: bool) -> None:
    """Refuse a target that would be refused after the work.

    raises  InvalidInput for another ending, NotFound without its folder, OutputExists
    """
    if target.suffix.lower() not in endings:
        raise InvalidInput(f"{target} must end in {' or '.join(endings)}")
    if not target.parent.is_dir():
        raise NotFound(f"no such folder: {target.parent}")
    if target.exists() and not overwrite:
        raise exists_already(target)


def write_target(target: Path, data: bytes, *, overwrite: bool) -> None:
    """Write the report whole; see `atomic.writing`."""
    with writing(target, replace=overwrite) as file:
        file.write(data)
