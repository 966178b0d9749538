"""Whoever can write to a place, and whatever histories meet there: a restore is right, or refused."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from desk import DAY, HOUR, Desk, flip

from audobon.backup.keyrings import from_folder, from_words
from audobon.backup.manifest import Manifest, PackEntry, object_name
from audobon.backup.marking import has_mark
from audobon.backup.places import Places
from audobon.backup.repository import CARD, RepositoryCard, open_repository
from audobon.backup.restoring import Point, Restorer
from audobon.backup.restoring_pages import Found, PageRestorer
from audobon.backup.rules import KeepRules
from audobon.backup.signed import signed
from audobon.backup.sources import tell_nobody
from audobon.backup.verifying import refuse
from audobon.errors import AudobonError, Conflict, CorruptBackup, DiskFull, ForeignRepository
from audobon.keys.passphrase import Passphrase
from audobon.keys.unlocking import HereProtectors, open_keys
from audobon.sqlite import connect_to_look
from audobon.storage.service import Storage


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
    assert newest is not None
    assert newest.manifest.database.commit > abandoned.database.commit

    again.restore(desk.root / "old-history", number=3)
    assert _has_sentinel(desk.root / "old-history", abandoned)
    again.restore(desk.root / "new-history")
    assert _has_sentinel(desk.root / "new-history", newest.manifest)
    refuse(again.backups.verify(place=desk.place))
    for _ in range(5):
        (report,) = again.backups.drill(place=desk.place)
        assert [step.told for step in report.steps if not step.is_well] == []
    again.close()


def _as_of(thief: Desk, place: Path, **changes: object) -> None:
    """Write the card and the newest manifest of a place anew, signed by another keyring."""
    repository = open_repository(place, None, rights="read")
    newest = repository.newest()
    assert newest is not None
    card = RepositoryCard(
        id=repository.card.id,
        keystore_id=repository.card.keystore_id,
        public_key=thief.keys.public_signing_key,
        created_at=0.0,
    )
    (place / CARD).write_bytes(signed(card, thief.keys))
    body = json.loads((place / object_name(newest.number)).read_bytes())["body"]
    manifest = msgspec.convert({**body, **changes}, Manifest)
    (place / object_name(newest.number)).write_bytes(signed(manifest, thief.keys))


@pytest.fixture
def thief(tmp_path: Path) -> Iterator[Desk]:
    """Somebody else, who can write to the place."""
    desk = Desk(tmp_path / "thief")
    yield desk
    desk.close()


def test_a_place_signed_by_others_restores_nothing_on_a_fresh_machine(desk: Desk, thief: Desk) -> None:
    desk.add_job("job", [desk.put()])
    desk.backups.make()
    _as_of(thief, desk.place, packs=[])
    with pytest.raises(ForeignRepository, match="bears a signature that is not of its keyring"):
        _fresh_restore(desk, desk.place, desk.root / "fresh")
    assert not (desk.root / "fresh").exists()
    assert list(desk.root.glob(".fresh*")) == []
    with pytest.raises(ForeignRepository):
        desk.backups.make()
    assert "bears a signature" in desk.backups.standings()[0].alarms[0]


def test_an_export_of_keys_that_others_plant_is_passed_over(desk: Desk, thief: Desk) -> None:
    desk.add_job("job", [desk.put()])
    desk.backups.make()
    newest = desk.repository().newest()
    assert newest is not None
    planted = desk.place / "keystores" / "29990101-000000-ffffff.age"
    planted.write_bytes(thief.keys.export_for_recovery())
    _fresh_restore(desk, desk.place, desk.root / "fresh")
    assert _has_sentinel(desk.root / "fresh", newest.manifest)


def test_a_record_of_pruning_from_another_place_excuses_nothing(desk: Desk) -> None:
    other = desk.root / "other"
    desk.backups.add(other)
    for _ in range(3):
        desk.put()
        desk.backups.make()
        desk.now += DAY
    rules = KeepRules(last=1, daily=0, weekly=0, monthly=0, days=0)
    desk.backups.prune(place=other, rules=rules, is_dry=False)
    shutil.copytree(other / "prunings", desk.place / "prunings")
    (desk.place / object_name(1)).unlink()
    (verified,) = desk.backups.verify(place=desk.place, is_fast=True)
    assert [fault.what for fault in verified.faults if fault.object == object_name(1)] == [
        "the manifest of this backup is missing, and was not pruned"
    ]


def test_a_small_file_that_was_harmed_is_kept_anew_by_the_next_backup(desk: Desk) -> None:
    settings = desk.root / "audobon.toml"
    settings.write_text("# mine\n")
    desk.backups.make()
    (name,) = desk.objects("files/")[:1]
    (desk.place / name).write_bytes(b"planted")
    desk.backups.make()
    newest = desk.repository().newest()
    assert newest is not None
    assert name not in [file.object for file in newest.manifest.files]
    _fresh_restore(desk, desk.place, desk.root / "fresh")
    # And what is whole again is not written again and again.
    before = desk.objects("files/")
    desk.backups.make()
    assert [each for each in desk.objects("files/") if each.startswith(name)] == [
        each for each in before if each.startswith(name)
    ]


@pytest.mark.parametrize("name", ["../../escaped", "/etc/passwd", "page/../../../x", ".hidden"])
def test_names_that_lead_out_of_the_folder_are_refused(desk: Desk, name: str) -> None:
    desk.add_job("job", [desk.put()])
    desk.backups.make()
    newest = desk.repository().newest()
    assert newest is not None
    newest.manifest.packs.append(PackEntry(name, 1, "00"))
    with pytest.raises(AudobonError):
        desk.restorer().restore(Point([newest]), desk.root / "into")
    with pytest.raises(AudobonError):
        PageRestorer(desk.repository(), desk.restorer(), desk.keys, Point([newest])).write(
            [Found("x", "0" * 64)], desk.root / "into"
        )
    assert sorted(each.name for each in desk.root.iterdir() if not each.name.startswith(".")) == [
        "data",
        "keyrings",
        "place",
        *(["thief"] if (desk.root / "thief").exists() else []),
    ]


def test_a_place_is_another_disk_and_counts_once(desk: Desk) -> None:
    with pytest.raises(Conflict, match="lies in the data folder, and would be lost with it"):
        desk.backups.add(desk.folder / "copies")
    (desk.root / "link").symlink_to(desk.place)
    with pytest.raises(Conflict, match=f"link is {desk.place} by another name"):
        desk.backups.add(desk.root / "link")
    desk.backups.places.add(desk.root / "link")
    desk.backups.make(place=desk.place)
    assert desk.backups.standings()[1].alarms == [
        f"it is {desk.place} by another name, so there is one copy less"
    ]


def test_every_place_is_known_again_after_a_restore(desk: Desk) -> None:
    second = desk.root / "second"
    desk.backups.add(second)
    desk.backups.make()
    _fresh_restore(desk, second, desk.root / "fresh")
    known = [place.path for place in Places(desk.root / "fresh", []).list()]
    assert sorted(known) == [desk.place, second]

    third = desk.root / "third"
    desk.backups.add(third)
    desk.restorer(place=second).replace(Point([desk.repository(place=second).manifest(1)]), desk.folder)
    assert sorted(place.path for place in desk.backups.places.list()) == [desk.place, second, third]


def test_a_drill_fails_when_a_backup_lacks_what_its_database_needs(desk: Desk) -> None:
    key = desk.put(2 << 20)
    desk.add_job("job", [key])
    desk.add_job("other", [desk.put()])
    desk.storage.seal_open_packs()
    desk.storage.store.delete(desk.storage.stat(key).pack)
    desk.backups.make()
    (report,) = desk.backups.drill()
    assert [(step.name, step.is_well) for step in report.steps if not step.is_well] == [
        ("nothing left out", False)
    ]
    assert desk.backups.standings()[0].drilled_at is None


def test_a_clock_set_back_is_an_alarm_and_a_week_asleep_is_another(desk: Desk) -> None:
    desk.backups.make()
    desk.now -= HOUR
    assert desk.backups.check()[0].alarms == ["the clock is behind the newest backup, so no age is certain"]
    desk.now += HOUR + 7 * DAY
    (late,) = desk.backups.check()
    assert late.alarms == [
        "the newest backup is 168 hours old, and 26 are allowed",
        "no drill was ever done; the place is 168 hours old, and 26 are allowed",
    ]
    assert late.hint == "audobon backup now"


def test_what_a_killed_drill_left_is_gone_with_the_next(desk: Desk) -> None:
    desk.backups.make()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = desk.root / f".drill.{dead.pid}-0123abcd.part"
    (left / "unlock").mkdir(parents=True)
    (left / "unlock" / "key.json").write_text("{}")
    desk.backups.drill()
    assert sorted(each.name for each in desk.root.iterdir()) == ["data", "keyrings", "place"]


def test_a_drill_without_room_says_so_and_blames_no_backup(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.put(2 << 20)
    desk.backups.make()

    def full(*_: object, **__: object) -> None:
        raise DiskFull("no room left")

    monkeypatch.setattr("audobon.backup.restoring.copy_object", full)
    with pytest.raises(DiskFull):
        desk.backups.drill()
    assert desk.objects("drills/") == []


def test_a_pack_that_rotted_is_restored_from_another_place_or_left_out_when_asked(desk: Desk) -> None:
    second = desk.root / "second"
    desk.backups.add(second)
    keys = [desk.put(2 << 20), desk.put(2 << 20)]
    desk.backups.make()
    (name,) = [each for each in desk.objects("packs/") if desk.storage.stat(keys[0]).pack in each]
    flip(desk.place / name, random.Random(1))

    desk.restore(desk.root / "from-both")
    with closing(Storage(desk.root / "from-both", desk.keys)) as storage:
        assert [storage.has(key) for key in keys] == [True, True]

    flip(second / name, random.Random(2))
    with pytest.raises(CorruptBackup, match=f"{desk.place / name} cannot be used") as caught:
        desk.restore(desk.root / "whole")
    assert caught.value.hint == "restore from another place; or all the rest with --as-far-as-possible"
    newest = desk.repository().newest()
    assert newest is not None
    lenient = Restorer(
        desk.repository(), from_folder(desk.folder), desk.open_keys, [], tell_nobody, is_lenient=True
    )
    restored = lenient.restore(Point([newest]), desk.root / "rest")
    assert list(restored.lacking) == [name.removeprefix("packs/")]
    with closing(Storage(desk.root / "rest", desk.keys)) as storage:
        assert [storage.has(key) for key in keys] == [False, True]


def test_damage_that_was_found_stays_an_alarm_until_a_place_is_proved_again(desk: Desk) -> None:
    desk.put(2 << 20)
    desk.backups.make()
    name = desk.objects("packs/")[0]
    whole = (desk.place / name).read_bytes()
    flip(desk.place / name, random.Random(1))
    desk.backups.verify()
    assert desk.backups.standings()[0].alarms == [
        f"verify found damage: {name}: its bytes are not those that were written"
    ]
    desk.backups.drill()
    desk.backups.make()
    (standing,) = desk.backups.standings()
    assert [alarm.partition(":")[0] for alarm in standing.alarms] == ["the last drill failed"]
    (desk.place / name).write_bytes(whole)
    desk.backups.drill()
    assert desk.backups.standings()[0].alarms == []


def test_who_was_erased_does_not_come_back_when_the_ledger_and_old_keys_are_planted(desk: Desk) -> None:
    ada = desk.keys.subject("Ada")
    desk.put(2 << 20, subject=ada)
    desk.backups.make()
    (old_keys,) = (path.read_bytes() for path in (desk.place / "keystores").iterdir())
    desk.keys.erase(ada)
    desk.backups.make()
    shutil.rmtree(desk.place / "ledger")
    (desk.place / "keystores" / "29990101-000000-ffffff.age").write_bytes(old_keys)
    with pytest.raises(CorruptBackup, match="somebody who was erased might come back"):
        _fresh_restore(desk, desk.place, desk.root / "fresh", number=1)
    assert not (desk.root / "fresh").exists()
