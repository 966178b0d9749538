"""Removes all that is stored of a subject whose key is gone: no blob of it can ever be read again."""

from contextlib import suppress

from audobon.errors import ObjectNotFound
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.facts import KINDS
from audobon.storage.index import Index
from audobon.storage.pack_reading import Ciphers

_OF_SUBJECT = "(SELECT id FROM pack WHERE subject = ?)"


def erase_subject(index: Index, store: FolderObjectStore, ciphers: Ciphers, subject: str) -> int:
    """Remove every pack of a subject, whatever holds its blobs and in whichever tier; return how many.

    Broken off, the next call removes the rest: packs are found by their names as well as by the index.
    """
    with index.changing() as connection:
        for table in ("blob", "damaged", "note"):
            connection.execute(f"DELETE FROM {table} WHERE pack IN {_OF_SUBJECT}", (subject,))  # noqa: S608
        connection.execute("DELETE FROM pack WHERE subject = ?", (subject,))
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
