"""Where recovery files lie: one that was named, or the newest of the places for backups."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from audobon.errors import AudobonError, NotFound

if TYPE_CHECKING:
    from audobon.backup.locations import Location
    from audobon.settings import Settings

_FOLDER = "keystores/"
_ENDING = ".age"


class RecoveryFile(msgspec.Struct, frozen=True):
    """A recovery file; `where` is its path, or its address in a bucket."""

    where: str
    data: bytes


def recovery_file(named: "Location | None", settings: "Settings") -> RecoveryFile:
    """Return the recovery file that was named, or the newest of the place named, or of all places.

    raises  NotFound, Denied
    """
    if isinstance(named, Path) and not named.is_dir():
        if not named.exists():
            raise NotFound(f"{named} is not there", hint="is its disk connected and mounted?")
        return _read(named)
    looked = [named] if named is not None else _places(settings)
    found: list[tuple[str, Location, str]] = []
    for place in looked:
        try:
            found += [(name.rpartition("/")[2], place, name) for name in _names(place)]
        except AudobonError:
            if named is not None:
                raise
            # Another place may be there.
            continue
    if not found:
        where = ", ".join(map(str, looked)) or "no place for backups is known here"
        raise NotFound(f"no recovery file is found: {where}", hint="name the place of a backup, or the file")
    # Their names begin with the second in which each was made.
    _, place, name = max(found, key=lambda each: each[0])
    if isinstance(place, Path):
        return _read(place / name)
    from audobon.backup.locations import open_store

    with open_store(place, rights="read").open(name) as file:
        return RecoveryFile(f"{place / name}", file.read())


def known_recovery_file(settings: "Settings") -> RecoveryFile | None:
    """Return the newest recovery file of all places; None when there is none yet."""
    try:
        return recovery_file(None, settings)
    except NotFound:
        return None


def _names(place: "Location") -> list[str]:
    """Return the names of the recovery files at a place; of a folder also those right in it."""
    if isinstance(place, Path):
        files = (*place.glob(f"{_FOLDER}*{_ENDING}"), *place.glob(f"*{_ENDING}"))
        return [file.relative_to(place).as_posix() for file in files]
    from audobon.backup.locations import open_store

    listed = open_store(place, rights="read").list(_FOLDER)
    return [info.name for info in listed if info.name.endswith(_ENDING)]


def _places(settings: "Settings") -> "list[Location]":
    from audobon.backup.places import Places

    return [place.path for place in Places(settings.storage.folder, settings.backup.places).list()]


def _read(file: Path) -> RecoveryFile:
    from audobon.atomic import disk_errors

    with disk_errors(file):
        return RecoveryFile(str(file), file.read_bytes())
