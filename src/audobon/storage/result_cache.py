"""Results kept because making them again takes longer: tiles and pages, within a size."""

import shutil
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import blake3
import msgspec

from audobon.errors import AudobonError, SubjectErased, SubjectNotFound
from audobon.keys.service import PERSONAL, Keys
from audobon.sqlite import connect_to_look
from audobon.storage import cache_entries
from audobon.storage.cache_entries import Kept, New
from audobon.storage.cache_file import CacheFile, is_busy, is_damage

DISK_SHARE = 0.1
"""Of the free disk, our own file counted as free, is the most that the cache takes, whatever its budget."""

# After the disk was full, the cache keeps still for so long.
_SILENT_SECONDS = 60.0
_USES_TO_NOTE = 64

T = TypeVar("T")


class CacheFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the cache holds.

    size_bytes    of all entries, with the blobs that lie in storage for them
    budget_bytes  the most it may take now; 0: it is off
    """

    pages: int = 0
    tiles: int = 0
    size_bytes: int = 0
    budget_bytes: int = 0


class ResultCache:
    """Results by key, in one file that may be deleted at any time; for many threads and processes.

    Every result belongs to a subject, is sealed for it, and is found by it alone: so that what was made for
    one that is erased does not live on through another.
    It never fails: what cannot be read is not there, what cannot be written is not kept. A damaged value is
    not there, nor one whose subject was erased; a damaged file is begun anew; while the disk is full or
    refuses, or the keyring is lost, it keeps still.
    What goes first when it is full is what saves least: seconds × uses / bytes above a floor, which rises
    to the worth of what was last evicted, so that old uses count less and less.
    source  GreedyDual-Size with Frequency: Cherkasova, HPL-98-69, 1998
    """

    def __init__(
        self,
        folder: Path,
        keys: Keys,
        *,
        budget_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        disk_share: float = DISK_SHARE,
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._budget_bytes = budget_bytes
        self._clock = clock
        self._disk_share = disk_share
        self._file = CacheFile(folder)
        self._lock = threading.RLock()
        self._uses: dict[int, int] = {}
        self._silent_until = -1.0

    @property
    def is_on(self) -> bool:
        """Whether it may hold anything."""
        return self._budget_bytes > 0

    def of_subject(self, subject: str) -> "SubjectCache":
        """Return what is kept for a subject; what is kept for another is not found in it."""
        return SubjectCache(self, subject)

    def get(self, key: bytes, *, subject: str = PERSONAL) -> Kept | None:
        """Return what is kept under a key, as it was put; None when there is nothing, or it is damaged."""
        if not self.is_on or not self._file.exists:
            return None
        with self._lock:
            kept = self._attempt(lambda connection: self._get(connection, subject, key), None)
            if len(self._uses) >= _USES_TO_NOTE:
                self._attempt(self._note_uses, None)
        return kept

    def look(self, key: bytes, *, subject: str = PERSONAL) -> Kept | None:
        """Return what `get` would, but write nothing, and count it as no use."""
        if not self.is_on or not self._file.exists:
            return None
        try:
            subject = self._keys.id_of(subject)
            bound = self._bound(subject, key)
            with closing(connect_to_look(self._file.path)) as connection:
                found = cache_entries.find(connection, self._keys, subject, bound)
        except (sqlite3.Error, OSError, zlib.error, AudobonError):
            return None
        return None if found is None else found[1]

    def has_tiles(self) -> bool:
        """Tell whether tiles are kept; writes nothing."""
        if not self.is_on or not self._file.exists:
            return False
        try:
            with closing(connect_to_look(self._file.path)) as connection:
                return cache_entries.counts(connection).get("tile", 0) > 0
        except (sqlite3.Error, OSError):
            return False

    def put(
        self,
        key: bytes,
        value: bytes,
        *,
        kind: str,
        seconds: float,
        blob: str | None = None,
        blob_bytes: int = 0,
        subject: str = PERSONAL,
    ) -> None:
        """Keep a result, if it is worth more than what would have to go for it.

        kind     page or tile
        seconds  that making it took
        blob     bytes in storage that belong to it; `blobs` names them until it is evicted
        """
        if self.is_on:
            self._attempt(
                lambda connection: self._put(
                    connection, self._new(subject, key, value, kind, seconds, blob, blob_bytes)
                ),
                None,
            )

    def forget(self, keys: Collection[bytes], *, subject: str = PERSONAL) -> None:
        """Remove what is kept for a subject under some keys."""
        if keys and self._file.exists:
            self._attempt(
                lambda connection: cache_entries.remove(
                    connection, [self._bound(subject, key) for key in keys]
                ),
                None,
            )

    def forget_subject(self, subject: str) -> None:
        """Remove all that is kept for a subject, as when it was erased."""
        if self._file.exists:
            self._attempt(
                lambda connection: cache_entries.remove_of_subject(connection, self._keys.id_of(subject)),
                None,
            )

    def blobs(self) -> set[str]:
        """Return the keys of the blobs in storage that belong to what is kept."""
        return self._attempt(cache_entries.blobs, set()) if self._file.exists else set()

    def figures(self) -> CacheFigures:
        """Return what is kept."""
        nothing = CacheFigures(budget_bytes=self._budget_bytes)
        return self._attempt(self._figures, nothing) if self._file.exists else nothing

    def clear(self) -> bool:
        """Remove everything, and give its space back; False when somebody was in the way."""

        def remove(connection: sqlite3.Connection) -> bool:
            cache_entries.remove_all(connection)
            return True

        with self._lock:
            self._uses.clear()
            # Found damaged by the first, it is begun anew; then there is nothing to be in the way of.
            return not self._file.exists or self._attempt(remove, False) or self._attempt(remove, False)

    def close(self) -> None:
        """Note what was used, and let go of the file."""
        with self._lock:
            if self._uses and self._file.exists:
                self._attempt(self._note_uses, None)
            self._file.close()

    def _get(self, connection: sqlite3.Connection, subject: str, key: bytes) -> Kept | None:
        subject = self._keys.id_of(subject)
        try:
            bound = self._bound(subject, key)
        except (SubjectErased, SubjectNotFound):
            # Nobody can find any of it again.
            cache_entries.remove_of_subject(connection, subject)
            raise
        found = cache_entries.find(connection, self._keys, subject, bound)
        if found is None:
            return None
        entry_id, kept = found
        self._uses[entry_id] = self._uses.get(entry_id, 0) + 1
        return kept

    def _new(
        self,
        subject: str,
        key: bytes,
        value: bytes,
        kind: str,
        seconds: float,
        blob: str | None,
        blob_bytes: int,
    ) -> New:
        # The id: whoever the user is by another name tomorrow, it is this one's.
        subject = self._keys.id_of(subject)
        return New(subject, self._bound(subject, key), value, kind, seconds, blob, blob_bytes)

    def _put(self, connection: sqlite3.Connection, new: New) -> None:
        if self._uses:
            self._note_uses(connection)
        cache_entries.add(connection, self._keys, new, limit_bytes=self._limit_bytes(connection))

    def _bound(self, subject: str, key: bytes) -> bytes:
        """Return a key that is the subject's own; without the keyring nobody can tell what it was made of."""
        hash_key = blake3.blake3(b"cache", key=self._keys.blob_id_key(subject)).digest()
        return blake3.blake3(key, key=hash_key).digest()

    def _note_uses(self, connection: sqlite3.Connection) -> None:
        uses, self._uses = self._uses, {}
        cache_entries.note_uses(connection, uses)

    def _figures(self, connection: sqlite3.Connection) -> CacheFigures:
        counts = cache_entries.counts(connection)
        return CacheFigures(
            pages=counts.get("page", 0),
            tiles=counts.get("tile", 0),
            size_bytes=cache_entries.total_bytes(connection),
            budget_bytes=self._limit_bytes(connection) if self.is_on else 0,
        )

    def _limit_bytes(self, connection: sqlite3.Connection) -> int:
        free = shutil.disk_usage(self._folder).free + cache_entries.total_bytes(connection)
        return min(self._budget_bytes, int(free * self._disk_share))

    def _attempt(self, act: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Return what `act` gives, or `otherwise` when the cache cannot serve."""
        with self._lock:
            if self._clock() < self._silent_until:
                return otherwise
            try:
                return act(self._file.open())
            except (SubjectErased, SubjectNotFound):
                # Nothing is kept for one who is gone.
                return otherwise
            except sqlite3.Error as error:
                if not is_damage(error):
                    if not is_busy(error):
                        self._keep_still()
                    return otherwise
            except (OSError, MemoryError, AudobonError, zlib.error):
                self._keep_still()
                return otherwise
            try:
                self._uses.clear()
                self._file.throw_away()
            except (OSError, AudobonError):
                self._keep_still()
            return otherwise

    def _keep_still(self) -> None:
        self._silent_until = self._clock() + _SILENT_SECONDS


class SubjectCache:
    """The results of one subject; see `ResultCache`."""

    def __init__(self, cache: ResultCache, subject: str) -> None:
        self._cache = cache
        self._subject = subject

    def get(self, key: bytes) -> Kept | None:
        """Return what is kept under a key."""
        return self._cache.get(key, subject=self._subject)

    def look(self, key: bytes) -> Kept | None:
        """Return what `get` would, writing nothing."""
        return self._cache.look(key, subject=self._subject)

    def put(
        self,
        key: bytes,
        value: bytes,
        *,
        kind: str,
        seconds: float,
        blob: str | None = None,
        blob_bytes: int = 0,
    ) -> None:
        """Keep a result."""
        self._cache.put(
            key,
            value,
            kind=kind,
            seconds=seconds,
            blob=blob,
            blob_bytes=blob_bytes,
            subject=self._subject,
        )

    def forget(self, keys: Collection[bytes]) -> None:
        """Remove what is kept under some keys."""
        self._cache.forget(keys, subject=self._subject)
