"""Removes backups that the rules no longer keep, and what only they needed; needs full rights."""

from collections.abc import Iterable

import msgspec

from audobon.backup.manifest import Manifest, Pruning, object_name
from audobon.backup.repository import FILES, KEYSTORES, PACKS, Repository, Stored, pruning_name
from audobon.backup.rules import KeepRules, kept
from audobon.backup.signed import signed
from audobon.backup.sources import Progress, Tell
from audobon.backup.verifying import needed_objects
from audobon.clock import Clock
from audobon.database.pruning import Pruned as Shipped
from audobon.database.pruning import prune_shipped
from audobon.errors import ClockBehind, CorruptBackup, ObjectNotFound
from audobon.ids import new_id
from audobon.keys.service import Keys

KEYSTORE_DAYS = 30
_DAY_SECONDS = 86_400.0


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What pruning a place came to, or would come to.

    kept     the id of each backup that stays, with the rules that say so
    removed  the ids of those that went
    objects  packs and files removed besides
    """

    place: str
    kept: dict[str, list[str]]
    removed: list[str]
    objects: int
    keystores: int
    freed_bytes: int


class Pruner:
    """Prunes one place by rules."""

    def __init__(
        self, repository: Repository, keys: Keys, rules: KeepRules, tell: Tell, clock: Clock
    ) -> None:
        self._repository = repository
        self._keys = keys
        self._rules = rules
        self._tell = tell
        self._clock = clock
        self._sizes: dict[str, int] = {}

    def run(self, *, is_dry: bool) -> Pruned:
        """Remove what the rules do not keep; never the last whole backup.

        is_dry  only tell
        raises  AlreadyRunning while a backup is made there, CorruptBackup, ClockBehind, Denied
        """
        with self._repository.using(alone=True):
            now = self._clock()
            stored = self._repository.manifests()
            if stored and stored[-1].manifest.at > now + 1:
                raise ClockBehind(
                    "the clock is behind the newest backup, so no age is certain", hint="set the clock"
                )
            store = self._repository.store
            present = [info for prefix in (PACKS, FILES) for info in store.list(prefix)]
            self._sizes = {info.name: info.size_bytes for info in present}
            reasons = kept(stored, self._rules, now=now, is_whole=self._is_whole)
            staying = [each for each in stored if each.number in reasons]
            leaving = [each for each in stored if each.number not in reasons]
            needed = needed_objects(staying, _refuse)
            doomed = sorted(self._sizes.keys() - needed.keys())
            freed_bytes = sum(self._sizes[name] for name in doomed)
            keystores = self._old_keystores(now)
            if not is_dry:
                self._record(leaving, now)
                self._remove([object_name(each.number) for each in leaving], "manifests")
                self._remove(doomed, "packs")
                self._remove(keystores, "keystores")
            shipped = self._prune_database(staying, now, is_dry=is_dry)
            return Pruned(
                place=str(self._repository.path),
                kept={each.manifest.id: reasons[each.number] for each in staying},
                removed=[each.manifest.id for each in leaving],
                objects=len(doomed) + shipped.objects,
                keystores=len(keystores),
                freed_bytes=freed_bytes + shipped.size_bytes,
            )

    def _prune_database(self, staying: list[Stored], now: float, *, is_dry: bool) -> Shipped:
        """Remove what leads to no backup that stays; each commit since the oldest can be restored."""
        if not staying:
            return Shipped(0, 0)
        age_days = (now - staying[0].manifest.database.at) / _DAY_SECONDS
        return prune_shipped(
            self._repository.store,
            self._keys,
            keep_days=max(0.0, age_days) + 1,
            is_dry_run=is_dry,
            clock=self._clock,
        )

    def _is_whole(self, stored: Stored) -> bool:
        manifest: Manifest = stored.manifest
        wanted = needed_objects([stored], _refuse)
        return manifest.is_whole and all(
            self._sizes.get(name) == entry.size_bytes for name, entry in wanted.items()
        )

    def _old_keystores(self, now: float) -> list[str]:
        """Return exports so old that keys destroyed since then would live on in them."""
        newest = self._repository.newest_keystore()
        return [
            info.name
            for info in self._repository.store.list(KEYSTORES)
            if info.name != newest and now - info.created_at > KEYSTORE_DAYS * _DAY_SECONDS
        ]

    def _record(self, leaving: list[Stored], now: float) -> None:
        """Note what is removed before it is, so that its absence is no loss."""
        if leaving:
            pruning = Pruning(
                repository=self._repository.card.id,
                at=now,
                removed={each.number: each.digest for each in leaving},
            )
            data = signed(pruning, self._keys)
            self._repository.write(pruning_name(new_id(), data), data)

    def _remove(self, names: Iterable[str], step: str) -> None:
        for name in names:
            self._tell(Progress(str(self._repository.path), step))
            try:
                self._repository.store.delete(name)
            except ObjectNotFound:
                # A prune that was broken off had removed it.
                continue


def _refuse(name: str, what: str) -> None:
    raise CorruptBackup(f"{name}: {what}", hint="audobon backup verify")
