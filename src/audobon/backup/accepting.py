"""Accepts that backups are lost, by a signed record, so that their absence is told no longer."""

import msgspec

from audobon.backup.manifest import Pruning, object_name
from audobon.backup.memory import Memory
from audobon.backup.repository import Repository, Stored, pruning_name
from audobon.backup.signed import signed
from audobon.clock import Clock
from audobon.errors import CorruptBackup, ObjectNotFound
from audobon.ids import new_id
from audobon.keys.service import Keys


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The backups of a place that are lost, by their numbers.

    missing  nothing lies there any more
    damaged  what lies there is no backup, with the reason; it is removed
    """

    place: str
    is_dry: bool
    missing: list[int]
    damaged: dict[int, str]


class LossAccepter:
    """Accepts losses of one place; what is damaged is removed, which needs full rights."""

    def __init__(self, repository: Repository, keys: Keys, memory: Memory, clock: Clock) -> None:
        self._repository = repository
        self._keys = keys
        self._memory = memory
        self._clock = clock

    def run(self, *, is_dry: bool) -> Accepted:
        """Record what is lost; the other backups, and what they need, stay as they are.

        is_dry  only tell
        raises  AlreadyRunning while a backup is made there, CorruptBackup, Denied
        """
        with self._repository.using(alone=True):
            stored, damaged = self._look()
            known = {number for each in self._repository.prunings() for number in each.removed}
            remembered = self._memory.of(self._repository.card.id)
            newest = max([*stored, *damaged, *known, remembered.number, 0])
            missing = [
                number
                for number in range(1, newest + 1)
                if number not in stored and number not in damaged and number not in known
            ]
            if not is_dry and (missing or damaged):
                self._record([*missing, *damaged], stored)
                for number in damaged:
                    self._remove(object_name(number))
            return Accepted(place=str(self._repository.path), is_dry=is_dry, missing=missing, damaged=damaged)

    def _look(self) -> tuple[dict[int, Stored], dict[int, str]]:
        stored: dict[int, Stored] = {}
        damaged: dict[int, str] = {}
        for number in self._repository.numbers():
            try:
                stored[number] = self._repository.manifest(number)
            except ObjectNotFound:
                continue
            except CorruptBackup as error:
                # A disk that cannot be read now, or a newer format, is no loss.
                damaged[number] = error.message
        return stored, damaged

    def _record(self, lost: list[int], stored: dict[int, Stored]) -> None:
        """Note what is lost before anything is removed, each with what its follower says that it was."""
        said = {
            each.manifest.previous.number: each.manifest.previous.digest
            for each in stored.values()
            if each.manifest.previous is not None
        }
        remembered = self._memory.of(self._repository.card.id)
        said.setdefault(remembered.number, remembered.digest)
        record = Pruning(
            repository=self._repository.card.id,
            at=self._clock(),
            removed={number: said.get(number, "") for number in sorted(lost)},
        )
        data = signed(record, self._keys)
        self._repository.write(pruning_name(new_id(), data), data)

    def _remove(self, name: str) -> None:
        try:
            self._repository.store.delete(name)
        except ObjectNotFound:
            return
