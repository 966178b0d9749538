"""Whatever happens to an object in a place, verifying notices it; and places are only ever added to."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
from desk import DAY, HOUR, Desk, files_below, flip

from audobon.backup.repository import CARD, export_name
from audobon.backup.rules import KeepRules
from audobon.backup.service import Backups
from audobon.backup.verifying import refuse
from audobon.errors import (
    AlreadyRunning,
    AudobonError,
    CorruptBackup,
    Denied,
    ObjectExists,
    Unavailable,
)

KINDS = ("packs", "files", "manifests", "keystores", "ledger", "wal", "drills", "prunings")


@pytest.fixture
def full(desk: Desk) -> Desk:
    """A desk whose place holds two objects and more of every kind."""
    ada = desk.keys.subject("Ada")
    (desk.root / "audobon.toml").write_text("# settings\n")
    for day in range(4):
        desk.add_job(f"job{day}", [desk.put(), desk.put(2 << 20, subject=ada)])
        desk.backups.make()
        desk.now += DAY
        if day == 1:
            desk.keys.erase(ada)
            ada = desk.keys.subject("Ada")
    desk.backups.prune(rules=KeepRules(last=2, daily=0, weekly=0, monthly=0, days=0), is_dry=False)
    desk.backups.make()
    desk.now += HOUR
    desk.backups.drill()
    desk.backups.prune(rules=KeepRules(last=2, daily=0, weekly=0, monthly=0, days=0), is_dry=False)
    desk.backups.drill()
    refuse(desk.backups.verify())
    return desk


def _objects(desk: Desk) -> list[Path]:
    return [
        path
        for path in sorted(desk.place.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(desk.place).parts)
        and path.stat().st_size
    ]


def _status(backups: Backups) -> str:
    """Return how `audobon backup verify` would end: the code of its error, or "well"."""
    try:
        refuse(backups.verify())
        backups.raise_failures()
    except AudobonError as error:
        return error.code
    return "well"


def test_a_flipped_bit_is_noticed_in_every_object(full: Desk) -> None:
    chance = random.Random(1)
    missed = []
    for path in _objects(full):
        whole = path.read_bytes()
        flip(path, chance)
        if _status(full.backups) not in ("corrupt_backup", "foreign_repository", "newer_format"):
            missed.append(str(path))
        path.write_bytes(whole)
    assert missed == []
    assert _status(full.backups) == "well"


def test_a_flip_anywhere_in_an_export_that_no_backup_names_is_noticed(desk: Desk) -> None:
    desk.backups.make()
    (named,) = (desk.place / "keystores").iterdir()
    data = desk.keys.export_for_recovery()
    path = desk.place / export_name(data)
    path.write_bytes(data)
    heading_bytes = data.index(b"\n") + 1
    mac_at = data.index(b'"mac":"') + 7
    places = {*range(0, heading_bytes, 9), *range(mac_at, mac_at + 64, 5), heading_bytes - 1}
    places |= {*range(heading_bytes, len(data), len(data) // 20), len(data) - 1}
    missed = []
    for at in sorted(places):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        faults = desk.backups.verify(is_fast=True)[0].faults
        if [fault.object for fault in faults] != [f"keystores/{path.name}"]:
            missed.append(at)
    assert missed == []
    # What a backup names by its digest is proved so; an older name tells no bytes, and is no fault.
    path.unlink()
    (desk.place / "keystores" / f"{named.name[:22]}.age").write_bytes(data)
    refuse(desk.backups.verify())


def test_a_truncated_object_is_noticed(full: Desk) -> None:
    chance = random.Random(2)
    missed = []
    for path in _objects(full):
        whole = path.read_bytes()
        path.write_bytes(whole[: chance.randrange(len(whole))])
        if _status(full.backups) != "corrupt_backup":
            missed.append(str(path))
        path.write_bytes(whole)
    assert missed == []


def test_an_object_that_is_gone_is_noticed(full: Desk) -> None:
    missed = []
    newest = full.repository().newest()
    assert newest is not None
    needed = {newest.manifest.keystore.name}
    for path in _objects(full):
        name = path.relative_to(full.place).as_posix()
        # Reports of drills, and what a newer export of the keystore replaces, may go.
        if name.startswith("drills/") or (name.startswith("keystores/") and name not in needed):
            continue
        aside = path.with_name(".aside")
        path.rename(aside)
        if _status(full.backups) == "well":
            missed.append(name)
        aside.rename(path)
    assert missed == []


def test_an_object_in_the_place_of_another_is_noticed(full: Desk) -> None:
    missed = []
    for kind in KINDS:
        paths = [path for path in _objects(full) if path.relative_to(full.place).parts[0] == kind]
        for path, other in pairwise(paths):
            if path.read_bytes() == other.read_bytes() or path.suffix != other.suffix:
                continue
            whole = path.read_bytes()
            path.write_bytes(other.read_bytes())
            if _status(full.backups) == "well":
                missed.append(f"{other.name} as {path.name}")
            path.write_bytes(whole)
    assert missed == []


def test_a_place_put_back_in_time_is_noticed(full: Desk) -> None:
    newest = full.repository().numbers()[-1]
    (full.place / f"manifests/{newest:012d}.json").unlink()
    found = full.backups.verify(is_fast=True)[0].faults
    assert [(fault.object, fault.what) for fault in found] == [
        (f"manifests/{newest:012d}.json", "the manifest of this backup is missing, and was not pruned")
    ]
    assert "newer backups that were here are gone" in full.backups.standings()[0].alarms


def test_the_card_of_a_place_is_proved(full: Desk) -> None:
    (full.place / CARD).unlink()
    with pytest.raises(Unavailable, match="holds no backups"):
        full.backups.verify()


def test_looking_fast_reads_no_packs_but_misses_none(full: Desk) -> None:
    (verified,) = full.backups.verify(is_fast=True)
    assert (verified.faults, verified.is_fast) == ([], True)
    pack = full.place / full.objects("packs/")[0]
    pack.unlink()
    (verified,) = full.backups.verify(is_fast=True)
    assert [fault.what for fault in verified.faults] == ["it is missing"]
    with pytest.raises(CorruptBackup, match=f"{pack}: it is missing"):
        refuse([verified])


def test_making_backups_never_changes_or_removes_an_object(full: Desk) -> None:
    before = files_below(full.place)
    full.put(2 << 20)
    full.now += HOUR
    full.backups.make()
    full.backups.drill()
    full.backups.verify()
    after = files_below(full.place)
    assert {name: after[name] for name in before} == before


def test_the_identity_that_makes_backups_may_not_remove_or_replace(full: Desk) -> None:
    repository = full.repository("create")
    name = full.objects("packs/")[0]
    with pytest.raises(Denied):
        repository.store.delete(name)
    with pytest.raises(ObjectExists):
        repository.write(name, b"other bytes")


def test_pruning_keeps_what_the_rules_say_and_what_stays_can_be_restored(desk: Desk) -> None:
    for day in range(5):
        desk.add_job(f"job{day}", [desk.put(2 << 20)])
        desk.backups.make()
        desk.now += DAY
    rules = KeepRules(last=1, daily=3, weekly=0, monthly=0, days=0)

    before = files_below(desk.place)
    (shown,) = desk.backups.prune(rules=rules)
    assert (len(shown.removed), files_below(desk.place)) == (2, before)
    (pruned,) = desk.backups.prune(rules=rules, is_dry=False)
    assert pruned.removed == shown.removed
    assert sorted(pruned.kept.values()) == [["daily"], ["daily"], ["last", "daily", "last whole one"]]
    assert desk.repository().numbers() == [3, 4, 5]
    refuse(desk.backups.verify())
    desk.restore(desk.root / "oldest", number=3)


def test_the_last_whole_backup_is_never_pruned(desk: Desk) -> None:
    desk.put(2 << 20)
    desk.backups.make()
    desk.now += 40 * DAY
    bad = desk.put(3 << 20)
    desk.storage.seal_open_packs()
    pack = desk.storage.store.path(desk.storage.stat(bad).pack)
    flip(pack, random.Random(3))
    desk.backups.make()
    desk.now += DAY
    rules = KeepRules(last=1, daily=0, weekly=0, monthly=0, days=0)
    desk.backups.prune(rules=rules, is_dry=False)
    assert desk.repository().numbers() == [1, 2]


def test_a_pack_that_no_backup_needs_goes(desk: Desk) -> None:
    key = desk.put(2 << 20)
    desk.backups.make()
    desk.now += DAY
    desk.storage.sweep(lambda: set(), broken_before=0)
    assert not desk.storage.has(key)
    desk.backups.make()
    desk.now += DAY
    rules = KeepRules(last=1, daily=0, weekly=0, monthly=0, days=0)
    desk.backups.prune(rules=rules, is_dry=False)
    assert desk.objects("packs/") == []
    refuse(desk.backups.verify())


def test_nothing_is_pruned_while_a_backup_is_made(desk: Desk) -> None:
    desk.backups.make()
    with desk.repository().using(), pytest.raises(AlreadyRunning):
        desk.backups.prune(is_dry=False)
