"""Knows files by how they looked when they were read, so that unchanged ones are not read again.

The index holds no name of a file: a row is found by a keyed hash of the path, and proved by one of all
that it says.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import blake3

from audobon.atomic import disk_errors
from audobon.clock import utc_now
from audobon.keys.service import Keys
from audobon.storage.index import FOUND_COLUMNS, Found, Index
from audobon.storage.looking import look as look_up

# A file system may give two changes within so long one and the same time: FAT counts in steps of two seconds.
_SETTLED_SECONDS = 2.0
# Then it is read again, whatever it looks like.
TRUSTED_SECONDS = 30 * 86400.0
_ASKED_AT_ONCE = 500
_HASH_BYTES = 16


class Look(NamedTuple):
    """How a file looked at an instant.

    path               absolute
    inode, size_bytes  as the file system tells them
    changed_ns         when its bytes changed, and when anything of it did; who sets the first back cannot set
                       back the second
    looked_at          UTC seconds, then or a moment before
    """

    path: str
    inode: int
    size_bytes: int
    changed_ns: tuple[int, int]
    looked_at: float

    @property
    def is_settled(self) -> bool:
        """Whether a change after this look could not go unseen."""
        return max(self.changed_ns) < (self.looked_at - _SETTLED_SECONDS) * 1e9


def look_at(paths: Iterable[Path]) -> list[Look]:
    """Return how files look now. raises NotFound, Denied."""
    looked_at = utc_now()
    looks = []
    for path in paths:
        with disk_errors(path):
            status = path.stat()
        changed_ns = (status.st_mtime_ns, status.st_ctime_ns)
        looks.append(Look(str(path.absolute()), status.st_ino, status.st_size, changed_ns, looked_at))
    return looks


class SeenFiles:
    """Remembers which blob a file was read as, until its blob or its subject is gone, or it is long ago."""

    def __init__(self, index: Index, keys: Keys) -> None:
        self._index = index
        self._keys = keys

    def find(self, looks: Sequence[Look], subject: str) -> dict[Look, Found]:
        """Return the blobs of those files that look as they did when they were read; they may be dead."""
        hash_key = self._hash_key(subject)
        now = utc_now()
        found: dict[Look, Found] = {}
        remaining = iter(looks)
        while asked := {_name(look, hash_key): look for look in islice(remaining, _ASKED_AT_ONCE)}:
            marks = ", ".join("?" * len(asked))
            rows = look_up(
                self._index,
                f"SELECT file, proof, read_at, {FOUND_COLUMNS} FROM seen_file"  # noqa: S608
                " JOIN blob ON blob.key = seen_file.key JOIN pack ON pack.id = blob.pack"
                f" WHERE file IN ({marks})",
                *asked,
            )
            for row in rows:
                look, blob = asked[row["file"]], Found._make(row[3:])
                if row["proof"] == _proof(look, blob.key, row["read_at"], hash_key) and (
                    0 <= now - row["read_at"] <= TRUSTED_SECONDS
                ):
                    found[look] = blob
        return found

    def note(self, read: Iterable[tuple[Look, str]], subject: str) -> None:
        """Remember files that were read after the look, and the keys of what they held."""
        rows = list(self._rows(read, subject))
        if rows:
            # What a power cut takes back is read again.
            with self._index.changing(is_hasty=True) as connection:
                connection.executemany("INSERT OR REPLACE INTO seen_file VALUES (?, ?, ?, ?)", rows)

    def _rows(
        self, read: Iterable[tuple[Look, str]], subject: str
    ) -> Iterator[tuple[bytes, bytes, bytes, float]]:
        hash_key = self._hash_key(subject)
        for look, key in read:
            if look.is_settled:
                raw = bytes.fromhex(key)
                proof = _proof(look, raw, look.looked_at, hash_key)
                yield _name(look, hash_key), raw, proof, look.looked_at

    def _hash_key(self, subject: str) -> bytes:
        own = self._keys.blob_id_key(subject)
        return blake3.blake3(own, derive_key_context="audobon 2026 files that were read").digest()


def forget_files(connection: sqlite3.Connection) -> None:
    """Forget the files whose blob is gone, and those that were read long ago, within `changing`."""
    connection.execute(
        "DELETE FROM seen_file WHERE read_at < ?"
        " OR NOT EXISTS (SELECT 1 FROM blob WHERE blob.key = seen_file.key)",
        (utc_now() - TRUSTED_SECONDS,),
    )


def _name(look: Look, hash_key: bytes) -> bytes:
    return _hashed(("path", look.path), hash_key)


def _proof(look: Look, key: bytes, read_at: float, hash_key: bytes) -> bytes:
    said = ("look", look.path, look.inode, look.size_bytes, look.changed_ns, key, read_at)
    return _hashed(said, hash_key)


def _hashed(said: tuple[object, ...], hash_key: bytes) -> bytes:
    # What is damaged in a row may be of any type: it is written out, and does not match.
    return blake3.blake3(ascii(said).encode(), key=hash_key).digest(_HASH_BYTES)
