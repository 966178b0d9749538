"""Faults planted in what victims do, to see that the storm notices them."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from audobon.backup.making import BackupMaker
from audobon.keys import erasure
from audobon.keys.ledger import Ledger, LedgerEntry
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.open_packs import OpenPacks
from audobon.storage.putting import Putting


def _dawdle(folder: Path) -> None:
    """Make the moment so long that blows fall into it."""
    for _ in range(300):
        with suppress(OSError):
            os.utime(folder)


def _index_before_pack() -> None:
    """Blobs stand in the index before the pack that holds them is in its place."""
    take_in = FolderObjectStore.take_in
    later: list[tuple[Any, ...]] = []
    inner = Putting._take_in

    def remember(self: FolderObjectStore, *arguments: Any) -> None:
        later.append((self, *arguments))

    def first_the_index(self: Putting, *arguments: Any, **named: Any) -> None:
        inner(self, *arguments, **named)
        _dawdle(self._store.folder)
        for each in later:
            take_in(*each)
        later.clear()

    FolderObjectStore.take_in = remember  # type: ignore[assignment,method-assign]
    Putting._take_in = first_the_index  # type: ignore[method-assign]


def _acknowledged_early() -> None:
    """Small blobs are acknowledged while their bytes still wait in memory."""
    later: list[tuple[Any, ...]] = []
    append = OpenPacks.append

    def soon(self: OpenPacks, *arguments: Any) -> None:
        later.append((self, *arguments))
        _dawdle(self._store.folder)
        if len(later) > 3:
            append(*later.pop(0))

    OpenPacks.append = soon  # type: ignore[method-assign]


def _ledger_after_keys() -> None:
    """Keys are destroyed before the ledger says so."""
    append = Ledger.append

    def late(self: Ledger, subject: str, *arguments: Any, **named: Any) -> LedgerEntry:
        keys = self._sign.__self__  # type: ignore[attr-defined]
        ring = keys._opened()
        entry = LedgerEntry(ring.resolve(subject), 0.0, "asked", "", "")
        erasure._destroy(ring, self, [entry])
        _dawdle(ring.store.folder)
        return append(self, subject, *arguments, **named)

    Ledger.append = late  # type: ignore[method-assign]


def _manifest_before_packs() -> None:
    """The manifest of a backup is in its place before the packs that it names."""
    bring = BackupMaker._bring
    conclude = BackupMaker._conclude
    later: list[tuple[Any, ...]] = []

    def remember(self: BackupMaker, entry: Any, present: Any) -> bool:
        later.append((self, entry, present))
        return False

    def first_the_manifest(self: BackupMaker, *arguments: Any) -> Any:
        stored = conclude(self, *arguments)
        _dawdle(self._sources.folder)
        for each in later:
            bring(*each)
        return stored

    BackupMaker._bring = remember  # type: ignore[method-assign]
    BackupMaker._conclude = first_the_manifest  # type: ignore[method-assign]


BREAKINGS: dict[str, Callable[[], None]] = {
    "index-before-pack": _index_before_pack,
    "acknowledged-early": _acknowledged_early,
    "ledger-after-keys": _ledger_after_keys,
    "manifest-before-packs": _manifest_before_packs,
}
