"""Where recovery files lie: one that was named, or the newest of the places for backups."""

from pathlib import Path
from typing import TYPE_CHECKING

from audobon.errors import NotFound

if TYPE_CHECKING:
    from audobon.settings import Settings

_FOLDER = "keystores"


def recovery_file(named: Path | None, settings: "Settings") -> Path:
    """Return the recovery file that was named, or the newest of the place named, or of all places.

    raises  NotFound
    """
    if named is not None and not named.is_dir():
        if not named.exists():
            raise NotFound(f"{named} is not there", hint="is its disk connected and mounted?")
        return named
    looked = [named] if named is not None else _places(settings)
    # Their names begin with the second in which each was made.
    found = [file for place in looked for file in (*place.glob(f"{_FOLDER}/*.age"), *place.glob("*.age"))]
    if not found:
        where = ", ".join(map(str, looked)) or "no place for backups is known here"
        raise NotFound(f"no recovery file is found: {where}", hint="name the place of a backup, or the file")
    return max(found, key=lambda file: file.name)


def known_recovery_file(settings: "Settings") -> Path | None:
    """Return the newest recovery file of all places; None when there is none yet."""
    try:
        return recovery_file(None, settings)
    except NotFound:
        return None


def _places(settings: "Settings") -> list[Path]:
    from audobon.backup.places import Places

    return [place.path for place in Places(settings.storage.folder, settings.backup.places).list()]
