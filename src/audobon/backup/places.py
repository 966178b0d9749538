"""Where backups go: places named in the settings, and places added by command."""

from collections.abc import Iterable
from pathlib import Path

import blake3
import msgspec

from audobon.atomic import disk_errors, make_private_folder, write_bytes
from audobon.backup.locations import Location, parse_location
from audobon.errors import AudobonError, Conflict, Corrupt, NotFound

PLACES_FILE = "places.json"


class Place(msgspec.Struct, frozen=True):
    """Where backups go; `origin` is where it is named: "settings" or "added"."""

    path: Location
    origin: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """`check`: BLAKE3 of the places, in hexadecimal; empty where an earlier Audobon wrote it."""

    places: list[str] = []
    check: str = ""


class Places:
    """The places of a data folder; those added by command stand in places.json."""

    def __init__(self, folder: Path, configured: Iterable[str]) -> None:
        self._path = folder / PLACES_FILE
        self._configured = [parse_location(text).absolute() for text in configured]

    def add(self, path: Location) -> None:
        """Note a place for good; one that is known already stays as it is."""
        path = path.absolute()
        if all(place.path != path for place in self.list()):
            self._write([*self._added(), path])

    def remove(self, path: Location) -> None:
        """Forget a place; what lies there stays. raises NotFound, Conflict when the settings name it."""
        path = path.absolute()
        if path in self._configured:
            raise Conflict(f"{path} is named in the settings", hint="take it out of backup.places there")
        added = self._added()
        if path not in added:
            raise NotFound(f"{path} is no place for backups", hint="audobon backup list")
        self._write([each for each in added if each != path])

    def _added(self) -> list[Location]:
        with disk_errors(self._path):
            try:
                data = self._path.read_bytes()
            except FileNotFoundError:
                return []
        try:
            found = msgspec.json.decode(data, type=_File)
            if found.check not in ("", _check(found.places)):
                raise ValueError("another check")
            return [parse_location(text) for text in found.places]
        except (ValueError, AudobonError) as error:
            raise Corrupt(
                f"{self._path} is not as it was written",
                hint="move it away, and add the places again: audobon backup add PATH",
            ) from error

    def _write(self, paths: list[Location]) -> None:
        with disk_errors(self._path):
            make_private_folder(self._path.parent)
        texts = [str(path) for path in paths]
        write_bytes(self._path, msgspec.json.encode(_File(texts, _check(texts))))

    def list(self) -> list[Place]:
        """Return all places: those of the settings first, then in the order they were added."""
        found = {path: Place(path, "settings") for path in self._configured}
        for path in self._added():
            found.setdefault(path, Place(path, "added"))
        return list(found.values())


def _check(places: list[str]) -> str:
    return blake3.blake3(msgspec.json.encode(places)).hexdigest(16)
