"""Whoever can write to a place, and whatever histories meet there: a restore is right, or refused."""

import json
import random
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from desk import DAY, HOUR, Desk

from audobon.backup.keyrings import from_words
from audobon.backup.manifest import Manifest, PackEntry, object_name
from audobon.backup.marking import has_mark
from audobon.backup.places import Places
from audobon.backup.repository import CARD, PACKS, RepositoryCard, open_repository
from audobon.backup.restoring import Point, Restorer
from audobon.backup.signed import signed
from audobon.backup.sources import tell_nobody
from audobon.backup.verifying import refuse
from audobon.errors import AudobonError, Conflict, CorruptBackup, ForeignRepository
from audobon.keys.passphrase import Passphrase
from audobon.keys.unlocking import HereProtectors, open_keys
from audobon.sqlite import connect_to_look


def _fresh_restore(desk: Desk, place: Path, into: Path, *, number: int | None = None) -> None:
    """Restore as a machine does that has the place and the words alone."""
    unlock = desk.unlock if into.name == "again" else into.with_name(f"{into.name}-unlock")
    protectors = HereProtectors(unlock, Passphrase(), wanted="unlock-file")
    repository = open_repository(place, None, rights="read")
    stored = repository.newest() if number is None else repository.manifest(number)
    assert stored is not None
    Restorer(
        repository,
        from_words(repository, desk.keys.recovery_words(), protectors),
        lambda folder: open_keys(folder, unlock_folder=unlock),
        [repository.store],
        tell_nobody,
    ).restore(Point([stored]), into)


def _has_sentinel(folder: Path, manifest: Manifest) -> bool:
    with closing(connect_to_look(folder / "audobon.db")) as connection:
        return has_mark(connection, manifest.counts.sentinel)


def test_a_backup_is_restored_from_its_own_history_when_two_met_in_its_place(desk: Desk) -> None:
    stale = desk.root / "stale"
    desk.backups.add(stale)
    desk.add_job("first", [desk.put()])
    desk.backups.make()
    for number in range(3):
        desk.now += DAY
        desk.add_job(f"second{number}", [desk.put()])
        desk.backups.make(place=desk.place)
    abandoned = desk.repository().manifest(3).manifest

    _fresh_restore(desk, stale, desk.root / "again")
    desk.close()
    again = Desk(desk.root, name="again")
    again.now = desk.now + DAY
    again.backups.add(desk.place)
    for number in range(9):
        again.add_job(f"other{number}", [again.put()])
        again.backups.make()
    newest = again.repository().newest()
    assert newest is not None and newest.manifest.database.commit > abandoned.database.commit

    again.restore(desk.root / "old-history", number=3)
    assert _has_sentinel(desk.root / "old-history", abandoned)
    again.restore(desk.root / "new-history")
    assert _has_sentinel(desk.root / "new-history", newest.manifest)
    refuse(again.backups.verify(place=desk.place))
    for _ in range(5):
        (report,) = again.backups.drill(place=desk.place)
        assert [step.told for step in report.steps if not step.is_well] == []
    again.close()
