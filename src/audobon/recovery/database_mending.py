"""Puts a database that was shipped in the place of one that is damaged or gone, which is kept."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from audobon.atomic import disk_errors, sync_folder, temporary_beside, write_bytes
from audobon.database.copies import own_copy
from audobon.database.generations import Generation, generations, newest_info
from audobon.database.pruning import copy_shipped
from audobon.database.restoring import Restored, restore_database
from audobon.database.service import damage_mark
from audobon.database.shipping import Shipper
from audobon.errors import AudobonError, CorruptBackup, Unavailable
from audobon.keys.service import Keys
from audobon.storage.port import ObjectStore

if sys.platform != "win32":
    import fcntl

# source  sqlite.org/walformat.html section 2.3: whoever has the database open holds this byte of the index.
_OPEN_BYTE = 128


class Source(msgspec.Struct, frozen=True):
    """Where a copy of the database lies; `name` is for people."""

    name: str
    store: ObjectStore
    is_own: bool = False

    def has_any(self) -> bool:
        """Tell whether anything can be restored from it."""
        return any(generation.snapshots for generation in generations(self.store))


class PutBack(msgspec.Struct, frozen=True):
    """What was put in place.

    kept  the folder where what was there before lies now; None when nothing was there
    """

    source: str
    restored: Restored
    kept: str | None = None


class _Way(msgspec.Struct, frozen=True):
    """Something to restore; `to` as for `restore_database`, `commit` what that comes to."""

    source: Source
    commit: int
    to: int | None


class _Intent(msgspec.Struct, frozen=True):
    """That a whole database, known by its inode, is about to take its place."""

    inode: tuple[int, int]
    put_back: PutBack
    why: str


class DatabaseMending:
    """Restores the database of a data folder in place; killed at any instant, the next call finishes it.

    Call it while holding the engine's lock.
    sources  asked when they are needed: the own copy first
    ships    whether what is put in place is shipped on at once, as a new generation
    """

    def __init__(
        self, folder: Path, keys: Keys, sources: Callable[[], Sequence[Source]], *, ships: bool
    ) -> None:
        self._folder = folder
        self._path = folder / "audobon.db"
        self._keys = keys
        self._sources = sources
        self._ships = ships
        self._scratch = folder / "restoring"
        self._intent = folder / "restoring.intent"

    def resume(self) -> "tuple[PutBack, str] | None":
        """Finish what was killed after it had begun to put a database in place; None when nothing was.

        Returns what was put in place, and why.
        """
        with disk_errors(self._intent):
            try:
                intent = msgspec.json.decode(self._intent.read_bytes(), type=_Intent)
            except (FileNotFoundError, msgspec.MsgspecError):
                return None
        new = self._scratch / self._path.name
        if _inode(self._path) == intent.inode:
            return self._ship_on(intent.put_back), intent.why
        if _inode(new) != intent.inode:
            return None
        self._demand_alone()
        return self._put_in_place(new, intent), intent.why

    def finish(self) -> None:
        """Note that nothing is left to do, and clear what is left of earlier tries."""
        with disk_errors(self._folder):
            damage_mark(self._path).unlink(missing_ok=True)
            self._intent.unlink(missing_ok=True)
            if self._scratch.exists():
                shutil.rmtree(self._scratch, ignore_errors=True)

    def newest(self, why: str) -> PutBack:
        """Put back the newest that any copy holds, as far as it can be read.

        raises  CorruptBackup when nothing can be restored, Unavailable while others have the database open
        """
        self._demand_alone()
        new = self._scratch / self._path.name
        source, restored = self._best(new)
        return self._put_in_place(new, _Intent(_inode(new), PutBack(source.name, restored), why), source)

    def without_log(self) -> str:
        """Go on with the file that lies there, without the log of another; return where that is kept.

        raises  Unavailable while others have the database open
        """
        self._demand_alone()
        with disk_errors(self._path):
            kept = self._keep_aside("-wal") or ""
            self._remove_log()
        self._ship_new()
        self.finish()
        return kept

    def exactly(
        self, source: Source, why: str, *, to: datetime | int | None, as_far_as_possible: bool
    ) -> PutBack:
        """Put back what one copy holds of an instant or a commit; raises as `restore_database`."""
        self._demand_alone()
        new = self._scratch / self._path.name
        restored = restore_database(
            source.store, self._keys, new, to=to, overwrite=True, as_far_as_possible=as_far_as_possible
        )
        return self._put_in_place(new, _Intent(_inode(new), PutBack(source.name, restored), why), source)

    def _best(self, new: Path) -> tuple[Source, Restored]:
        """Restore the newest way that is whole, or the longest that is not."""
        failures: list[str] = []
        broken_off: tuple[int, _Way] | None = None
        for way in self._ways():
            if broken_off is not None and way.commit <= broken_off[0]:
                # What was broken off reaches further.
                break
            try:
                return way.source, self._restored(way, new)
            except CorruptBackup as error:
                failures.append(f"{way.source.name}: {error.message}")
            with suppress(CorruptBackup):
                commit = self._restored(way, new, as_far_as_possible=True).position.commit
                if broken_off is None or commit > broken_off[0]:
                    broken_off = commit, way
        if broken_off is None:
            told = f": {failures[0]}" if failures else ""
            raise CorruptBackup(
                f"{self._path} cannot be used, and no copy of it can be restored{told}",
                hint="connect a place that holds backups; or begin anew: move audobon.db and wal/ away",
            )
        return broken_off[1].source, self._restored(broken_off[1], new, as_far_as_possible=True)

    def _restored(self, way: "_Way", new: Path, *, as_far_as_possible: bool = False) -> Restored:
        return restore_database(
            way.source.store,
            self._keys,
            new,
            to=way.to,
            overwrite=True,
            as_far_as_possible=as_far_as_possible,
        )

    def _ways(self) -> list["_Way"]:
        """Return the ends of all generations of all copies, the newest first, the own copy before others."""
        found = []
        for source in self._sources():
            # A place that cannot be listed has nothing to offer.
            with suppress(AudobonError):
                usable = [each for each in generations(source.store) if each.snapshots]
                for generation in usable:
                    commit = self._end_of(source, generation)
                    found.append(_Way(source, commit, None if generation is usable[-1] else commit))
        return sorted(found, key=lambda way: (-way.commit, not way.source.is_own))

    def _end_of(self, source: Source, generation: Generation) -> int:
        try:
            return newest_info(source.store, self._keys, generation).last
        except CorruptBackup:
            # Up to before its newest object, which cannot be read.
            return max((*generation.segments, *generation.snapshots)) - 1

    def _put_in_place(self, new: Path, intent: "_Intent", source: Source | None = None) -> PutBack:
        with disk_errors(self._path):
            kept = self._keep_aside("", "-wal", "-shm")
            put_back = msgspec.structs.replace(intent.put_back, kept=kept or intent.put_back.kept)
            # From here on the next who looks goes on: what follows is not whole at every instant.
            write_bytes(self._intent, msgspec.json.encode(msgspec.structs.replace(intent, put_back=put_back)))
            self._remove_log()
            new.replace(self._path)
            sync_folder(self._folder)
        if source is not None and not source.is_own:
            # So the counting of commits goes on where it was. One that is damaged stays as it is; a new
            # generation follows it.
            with suppress(AudobonError):
                copy_shipped(source.store, own_copy(self._folder), self._keys)
        return self._ship_on(put_back)

    def _ship_on(self, put_back: PutBack) -> PutBack:
        self._ship_new()
        self.finish()
        return put_back

    def _ship_new(self) -> None:
        if self._ships:
            with closing(Shipper(self._path, own_copy(self._folder), self._keys)) as shipper:
                shipper.ship()

    def _remove_log(self) -> None:
        for name in ("-wal", "-shm"):
            Path(f"{self._path}{name}").unlink(missing_ok=True)
        sync_folder(self._folder)

    def _keep_aside(self, *endings: str) -> str | None:
        """Give what is there a second name, so that nothing is lost whenever we are killed."""
        there = [path for ending in endings if (path := Path(f"{self._path}{ending}")).exists()]
        if not there:
            return None
        stamp = datetime.now(UTC)
        folder = self._folder / "damaged" / f"{stamp:%Y%m%dT%H%M%S}.{stamp.microsecond:06d}Z"
        folder.mkdir(parents=True, mode=0o700)
        for path in there:
            _keep(path, folder / path.name)
        sync_folder(folder)
        sync_folder(folder.parent)
        return str(folder)

    def _demand_alone(self) -> None:
        self._scratch.mkdir(exist_ok=True, mode=0o700)
        if is_open_elsewhere(self._path):
            raise Unavailable(
                f"{self._path} has to be put in place, and other commands have it open",
                hint="end them, and run the same command again",
            )


def is_open_elsewhere(path: Path) -> bool:
    """Tell whether another process has a database open; this one must not have it open."""
    if sys.platform == "win32":
        return False
    try:
        descriptor = os.open(f"{path}-shm", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _OPEN_BYTE)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _inode(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_dev, status.st_ino


def _keep(path: Path, kept: Path) -> None:
    try:
        os.link(path, kept)
    except OSError:
        temporary = temporary_beside(kept)
        shutil.copy2(path, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(kept)
