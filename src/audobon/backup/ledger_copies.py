"""Copies of the erasure ledger at a place: each is whole and never changes; the longest tells most."""

from contextlib import suppress

from audobon.backup.repository import LEDGER
from audobon.errors import CorruptKeyring, ObjectExists
from audobon.keys.ledger import FIRST, LedgerEntry, encode, hash_of
from audobon.keys.service import Keys
from audobon.storage.port import ObjectStore


def read_ledgers(store: ObjectStore, keys: Keys) -> list[list[LedgerEntry]]:
    """Return the copies at a place, the longest first, each proved.

    One that is damaged is passed over as long as another is whole.
    raises  CorruptKeyring when there are copies, and none is as it was written
    """
    found: list[list[LedgerEntry]] = []
    failure: CorruptKeyring | None = None
    for info in store.list(LEDGER):
        with store.open(info.name) as file:
            data = file.read()
        try:
            found.append(keys.ledger.decode(data))
        except CorruptKeyring as error:
            failure = error
    if failure is not None and not found:
        raise failure
    return sorted(found, key=len, reverse=True)


def learn_erasures(store: ObjectStore, keys: Keys) -> list[str]:
    """Erase here whoever a place knows to be erased; return the ids of those this keyring still held."""
    return [subject for entries in read_ledgers(store, keys) for subject in keys.replay(entries)]


def bring_ledger(store: ObjectStore, keys: Keys) -> str:
    """Have this keyring's ledger at a place, and learn what only the place knows; return its head.

    raises  Denied, DiskFull, Unavailable, CorruptKeyring
    """
    learn_erasures(store, keys)
    entries = keys.ledger.entries()
    head = hash_of(entries[-1]) if entries else FIRST
    # It may lie there since an earlier backup, or another process may be quicker.
    with suppress(ObjectExists), store.create(f"{LEDGER}{len(entries):012d}-{head[:16]}.jsonl") as file:
        file.write(b"".join(map(encode, entries)))
    return head
