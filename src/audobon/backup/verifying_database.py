"""Looks whether the database as it was shipped can be restored to every backup, object by object."""

from collections.abc import Callable, Iterable

from audobon.backup.repository import WAL, Stored
from audobon.backup.restoring import position_of
from audobon.database.generations import Generation, Position, check_follows, choose, generations
from audobon.database.shipped import Info, ShippedObject
from audobon.errors import AudobonError, CorruptBackup
from audobon.keys.service import Keys
from audobon.storage.port import ObjectStore


class ShippedVerifier:
    """Verifies what a store holds of the shipped database.

    fault  told the name of an object, what is wrong with it, and the error that reading it ended with
    read   told how many bytes were read
    """

    def __init__(
        self,
        store: ObjectStore,
        keys: Keys,
        fault: Callable[[str, str, AudobonError | None], None],
        read: Callable[[int], None],
        *,
        is_fast: bool,
    ) -> None:
        self._store = store
        self._keys = keys
        self._fault = fault
        self._read = read
        self._is_fast = is_fast
        self._infos: dict[str, Info] = {}

    def run(self, stored: Iterable[Stored]) -> int:
        """Look at everything; return how many objects there are."""
        count = 0
        for generation in generations(self._store):
            count += len(generation.snapshots) + len(generation.segments)
            self._verify(generation)
        for each in stored:
            try:
                self._check_reaches(position_of(each.manifest))
            except AudobonError as error:
                self._fault(
                    WAL,
                    f"commit {each.manifest.database.commit}, of backup {each.manifest.id},"
                    f" cannot be restored: {error.message}",
                    error,
                )
        return count

    def _check_reaches(self, position: Position) -> None:
        """Raise CorruptBackup unless a snapshot and all segments after it lead to a position."""
        chosen = choose(self._store, self._keys, position)
        before = self._infos.get(chosen.snapshot)
        for name in chosen.segments:
            info = self._infos.get(name)
            if info is not None and before is not None:
                check_follows(info, before)
            before = info
        if before is not None and before.last < position.commit:
            raise CorruptBackup(f"the last commit before it is {before.last}")

    def _verify(self, generation: Generation) -> None:
        for _, entry in sorted(generation.snapshots.items()):
            self._whole(entry.name, entry.size_bytes)
        before: Info | None = None
        for _, entry in sorted(generation.segments.items()):
            info = self._whole(entry.name, entry.size_bytes)
            if info is not None and before is not None:
                try:
                    check_follows(info, before)
                except AudobonError as error:
                    self._fault(
                        entry.name, f"what comes before it is missing, or another: {error.message}", None
                    )
            before = info

    def _whole(self, name: str, size_bytes: int) -> Info | None:
        try:
            with self._store.open(name) as file:
                shipped = ShippedObject(file, self._keys, name)
                if not self._is_fast:
                    for _ in shipped.plain():
                        pass
                    self._read(size_bytes)
                self._infos[name] = shipped.info
                return shipped.info
        except AudobonError as error:
            self._fault(name, error.message, error)
            return None
