"""Removes all that is stored of a subject whose key is gone: no blob of it can ever be read again."""

from collections.abc import Callable, Collection
from contextlib import suppress

import blake3

from audobon.errors import AudobonError, ObjectNotFound, SubjectErased
from audobon.keys.service import SYSTEM, Keys
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.facts import KINDS
from audobon.storage.index import Index
from audobon.storage.pack_reading import Ciphers
from audobon.storage.reading import key_bytes, not_found
from audobon.storage.seen_files import forget_files

_OF_SUBJECT = "(SELECT id FROM pack WHERE subject = ?)"

Mark = Callable[[bytes], bytes]
"""Makes of a blob's key what is kept of it once it is erased."""


class ErasedBlobs:
    """Knows the blobs that were erased by marks that nobody can make without the keyring."""

    def __init__(self, index: Index, keys: Keys) -> None:
        self._index = index
        self._keys = keys

    def mark(self, key: bytes) -> bytes:
        """Return what is kept of a blob's key once it is erased."""
        return blake3.blake3(key, key=self._keys.blob_id_key(SYSTEM)).digest()

    def missing(self, key: str) -> AudobonError:
        """Return the error for a key that nothing lies under: it may have been erased."""
        raw = key_bytes(key)
        if not self._index.rows("SELECT 1 FROM erased LIMIT 1"):
            # Then nothing need be unlocked to tell.
            return not_found(key)
        rows = self._index.rows("SELECT subject FROM erased WHERE mark = ?", self.mark(raw))
        if not rows:
            return not_found(key)
        subject = rows[0][0]
        return SubjectErased(
            f"blob {key[:12]}… was erased, with all of {subject}", hint=f"audobon data certificate {subject}"
        )


def erase_subject(
    index: Index,
    store: FolderObjectStore,
    ciphers: Ciphers,
    subject: str,
    *,
    known: Collection[bytes],
    mark: Mark,
) -> int:
    """Remove every pack of a subject, whatever holds its blobs and in whichever tier; return how many.

    known  keys of its blobs, besides those in the index: who asks for them is told that they were erased
    Broken off, the next call removes the rest: packs are found by their names as well as by the index.
    """
    with index.changing() as connection:
        found = connection.execute(f"SELECT key FROM blob WHERE pack IN {_OF_SUBJECT}", (subject,))  # noqa: S608
        connection.executemany(
            "INSERT OR IGNORE INTO erased VALUES (?, ?)",
            [(mark(key), subject) for key in {*known, *(row[0] for row in found)}],
        )
        for table in ("blob", "damaged", "note"):
            connection.execute(f"DELETE FROM {table} WHERE pack IN {_OF_SUBJECT}", (subject,))  # noqa: S608
        connection.execute("DELETE FROM pack WHERE subject = ?", (subject,))
        forget_files(connection)
    count = 0
    for kind in KINDS:
        for info in list(store.list(f"{kind}/{subject}/")):
            with suppress(ObjectNotFound):
                store.delete(info.name)
                count += 1
            ciphers.forget(info.name)
    return count


def held_blobs(index: Index, subject: str, *, now: float) -> list[str]:
    """Return the keys of a subject's blobs that a hold, or a term that is not over, forbids to remove."""
    rows = index.rows(
        "SELECT hex(blob.key) FROM blob JOIN pack ON pack.id = blob.pack"
        " WHERE pack.subject = ? AND blob.dead_at IS NULL"
        " AND (event_hold OR temporary_hold OR coalesce(kept_until, 0) > ?) ORDER BY blob.created_at",
        subject,
        now,
    )
    return [str(row[0]).lower() for row in rows]
