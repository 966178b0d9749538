"""What is backed up comes back: all of it, from any place, from the words alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from desk import DAY, HOUR, Desk, files_below

from audobon.backup.drill import DrillReport
from audobon.backup.keyrings import from_words
from audobon.backup.repository import open_repository
from audobon.backup.restoring import Point, Restorer
from audobon.backup.sources import tell_nobody
from audobon.backup.verifying import refuse
from audobon.errors import (
    BelowThreshold,
    BlobNotFound,
    ClockBehind,
    Conflict,
    ForeignRepository,
    NewerFormat,
    OutputExists,
    PartlyFailed,
    Unavailable,
    WrongPassphrase,
)
from audobon.keys.passphrase import Passphrase
from audobon.keys.unlocking import HereProtectors, open_keys
from audobon.storage.service import Storage


def _jobs(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "audobon.db")) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM job ORDER BY id")]


def test_everything_comes_back(desk: Desk) -> None:
    small, large = desk.put(10_000), desk.put(3 << 20)
    desk.add_job("one", [small, large])
    (desk.folder / "user-models" / "mine").mkdir(parents=True)
    (desk.folder / "user-models" / "mine" / "model.onnx").write_bytes(b"weights" * 1000)
    (desk.root / "audobon.toml").write_text('[memory]\nbudget = "2GB"\n')
    expected = {key: desk.storage.get(key) for key in (small, large)}

    (made,) = desk.backups.make()
    assert (made.packs, made.new_packs, made.lacking) == (2, 2, {})
    into = desk.root / "restored"
    desk.restore(into)

    assert _jobs(into) == ["one"]
    with closing(open_keys(into, unlock_folder=desk.unlock)) as keys, closing(Storage(into, keys)) as storage:
        assert {key: storage.get(key) for key in expected} == expected
    assert (into / "user-models" / "mine" / "model.onnx").read_bytes() == b"weights" * 1000
    assert (into / "audobon.toml").read_text() == '[memory]\nbudget = "2GB"\n'


def test_nothing_a_user_made_lies_readable_in_a_place(desk: Desk) -> None:
    desk.storage.put(b"a secret page of the comic" * 10, kind="page")
    (desk.root / "audobon.toml").write_text("# a secret page of the comic\n")
    desk.backups.make()

    for path in desk.place.rglob("*"):
        assert not path.is_file() or b"a secret page" not in path.read_bytes()


def test_a_second_backup_copies_only_what_is_new(desk: Desk) -> None:
    desk.put(3 << 20)
    desk.backups.make()
    before = files_below(desk.place)
    desk.now += HOUR

    (unchanged,) = desk.backups.make()
    desk.put(2 << 20)
    (more,) = desk.backups.make()

    assert (unchanged.packs, unchanged.new_packs, more.packs, more.new_packs) == (1, 0, 2, 1)
    after = files_below(desk.place)
    assert {name: after[name] for name in before} == before


def test_a_dry_run_writes_nothing(desk: Desk) -> None:
    desk.put(2 << 20)
    before = files_below(desk.place)
    (made,) = desk.backups.make(is_dry=True)
    assert (made.id, made.new_packs) == (None, 1)
    assert files_below(desk.place) == before


def test_a_place_that_is_not_there_does_not_stop_another(desk: Desk) -> None:
    second = desk.root / "second"
    desk.backups.add(second)
    desk.put()
    desk.place.rename(desk.root / "unplugged")

    (made,) = desk.backups.make()
    assert made.place == str(second)
    with pytest.raises(PartlyFailed, match=f"the place {desk.place} is not there"):
        desk.backups.raise_failures()
    assert not desk.place.exists()


def test_the_only_place_missing_is_told_as_what_it_is(desk: Desk) -> None:
    desk.place.rename(desk.root / "unplugged")
    with pytest.raises(Unavailable, match=f"the place {desk.place} is not there"):
        desk.backups.make()
    desk.place.mkdir()
    with pytest.raises(Unavailable, match="holds no backups"):
        desk.backups.make()
    assert list(desk.place.iterdir()) == []


def test_a_folder_with_other_files_is_no_place(desk: Desk) -> None:
    (desk.root / "home").mkdir()
    (desk.root / "home" / "letter.txt").write_text("dear")
    with pytest.raises(Conflict, match="holds other files"):
        desk.backups.add(desk.root / "home")


def test_a_place_of_another_keyring_is_refused(desk: Desk, tmp_path: Path) -> None:
    other = Desk(tmp_path / "other")
    try:
        with pytest.raises(ForeignRepository, match="belongs to the keyring"):
            other.backups.add(desk.place)
    finally:
        other.close()


def test_a_place_of_a_newer_audobon_is_refused(desk: Desk) -> None:
    card = desk.place / "repository.json"
    envelope = msgspec.json.decode(card.read_bytes())
    envelope["body"]["format"] = 2
    card.write_bytes(msgspec.json.encode(envelope))
    with pytest.raises(NewerFormat, match="newer Audobon"):
        desk.backups.make()


def test_a_clock_that_was_set_back_stops_a_backup(desk: Desk) -> None:
    desk.backups.make()
    before = files_below(desk.place)
    desk.now -= DAY
    with pytest.raises(ClockBehind, match="86400 seconds behind the newest backup"):
        desk.backups.make()
    assert files_below(desk.place) == before


def test_an_earlier_backup_can_be_gone_back_to(desk: Desk) -> None:
    desk.add_job("one", [desk.put()])
    desk.backups.make()
    desk.now += DAY
    desk.add_job("two", [desk.put()])
    desk.backups.make()

    desk.restore(desk.root / "early", number=1)
    desk.restore(desk.root / "late")
    assert (_jobs(desk.root / "early"), _jobs(desk.root / "late")) == (["one"], ["one", "two"])


def test_a_folder_with_files_is_never_restored_into(desk: Desk) -> None:
    desk.backups.make()
    into = desk.root / "full"
    into.mkdir()
    (into / "letter.txt").write_text("dear")
    with pytest.raises(OutputExists, match="exists and is not empty"):
        desk.restore(into)
    assert [path.name for path in into.iterdir()] == ["letter.txt"]


def test_restoring_in_place_keeps_what_was_there(desk: Desk) -> None:
    desk.add_job("one", [desk.put()])
    desk.backups.make()
    desk.add_job("two", [desk.put()])
    desk.close()
    stored = desk.repository().newest()
    assert stored is not None
    restored = desk.restorer().replace(Point([stored]), desk.folder)

    assert restored.kept_aside is not None
    assert (_jobs(desk.folder), _jobs(Path(restored.kept_aside))) == (["one"], ["one", "two"])
    # Backups go on from there, and the counting of commits with them.
    again = Desk(desk.root)
    again.now = desk.now + DAY
    again.add_job("three", [])
    again.backups.make()
    refuse(again.backups.verify())
    again.restore(again.root / "later")
    assert _jobs(again.root / "later") == ["one", "three"]
    again.close()


def test_a_fresh_machine_is_restored_from_a_place_and_the_words_alone(desk: Desk, tmp_path: Path) -> None:
    key = desk.put()
    desk.add_job("one", [key])
    data = desk.storage.get(key)
    desk.backups.make()
    words = desk.keys.recovery_words()

    unlock, into = tmp_path / "new-home" / "keyrings", tmp_path / "new-home" / "data"
    repository = open_repository(desk.place, None, rights="read")
    protectors = HereProtectors(unlock, Passphrase(), wanted="unlock-file")

    def restorer(said: str) -> Restorer:
        return Restorer(
            repository,
            from_words(repository, said, protectors),
            lambda folder: open_keys(folder, unlock_folder=unlock),
            [repository.store],
            tell_nobody,
        )

    stored = repository.newest()
    assert stored is not None
    wrong = " ".join(["abandon"] * 23 + ["art"])
    with pytest.raises(WrongPassphrase):
        restorer(wrong).restore(Point([stored]), into)
    assert not into.exists()
    restorer(words).restore(Point([stored]), into)
    assert _jobs(into) == ["one"]
    with closing(open_keys(into, unlock_folder=unlock)) as keys, closing(Storage(into, keys)) as storage:
        assert storage.get(key) == data


def test_who_was_erased_stays_erased_after_an_older_backup_is_restored(desk: Desk) -> None:
    ada = desk.keys.subject("Ada")
    hers, mine = desk.put(subject=ada), desk.put()
    desk.backups.make()
    old_keys = (desk.folder / "keys" / "keystore.db").read_bytes()
    desk.keys.erase(ada)
    desk.now += HOUR
    desk.backups.make()
    # The keystore of before comes back as well, as from a copy of the disk.
    desk.keys.close()
    (desk.folder / "keys" / "keystore.db").write_bytes(old_keys)
    (desk.folder / "keys" / "ledger.jsonl").unlink()

    desk.restore(desk.root / "old", number=1)
    with closing(desk.open_keys(desk.root / "old")) as keys:
        with closing(Storage(desk.root / "old", keys)) as storage:
            assert len(storage.get(mine)) == 10_000
            with pytest.raises(BlobNotFound):
                storage.get(hers)
        assert [subject.erased_at is not None for subject in keys.subjects() if subject.id == ada] == [True]


def test_a_drill_proves_a_place_and_tells_how_long_it_took(desk: Desk) -> None:
    for each in range(3):
        desk.add_job(f"job{each}", [desk.put(), desk.put(2 << 20)])
        desk.backups.make()
        desk.now += HOUR
    (report,) = desk.backups.drill()

    assert [(step.name, step.is_well) for step in report.steps] == [
        ("restore from the words alone", True),
        ("counts and sentinel", True),
        ("nothing left out", True),
        ("random blobs", True),
        ("an older point", True),
        ("how far back", True),
    ]
    assert report.steps[2].told == "6 blobs are needed, and there"
    assert report.steps[3].told == "6 of 6 read and hashed"
    assert report.rpo_seconds is not None
    assert report.rto_seconds is not None
    assert [path.name for path in (desk.folder / "drills").iterdir()] == [f"{report.id}.json"]
    assert desk.objects("drills/") == [f"drills/{report.id}.json"]
    assert list(desk.root.glob(".drill*")) == []


def test_a_drill_fails_loudly_when_a_pack_is_gone(desk: Desk) -> None:
    desk.put(2 << 20)
    desk.backups.make()
    (pack,) = desk.objects("packs/")
    (desk.place / pack).unlink()
    (report,) = desk.backups.drill()
    assert not report.is_well
    assert report.steps[0].told == f"{desk.place / pack} is missing"
    assert isinstance(report, DrillReport)


def test_late_backups_and_drills_raise_the_alarm(desk: Desk) -> None:
    from audobon.backup.service import refuse_late

    assert desk.backups.standings()[0].alarms == ["there is no backup yet"]
    desk.backups.make()
    desk.backups.drill()
    assert desk.backups.standings()[0].alarms == []
    desk.now += 27 * HOUR
    assert desk.backups.standings()[0].alarms == [
        "the newest backup is 27 hours old, and 26 are allowed",
        "the last drill is 27 hours old, and 26 are allowed",
    ]
    with pytest.raises(BelowThreshold, match="27 hours old, and 26 are allowed, and 1 more"):
        refuse_late(desk.backups.check())
    desk.place.rename(desk.root / "unplugged")
    assert desk.backups.standings()[0].alarms == [f"the place {desk.place} is not there"]


def test_a_damaged_pack_here_is_told_and_the_rest_is_kept(desk: Desk) -> None:
    good, bad = desk.put(2 << 20), desk.put(3 << 20)
    pack = desk.storage.store.path(desk.storage.stat(bad).pack)
    data = bytearray(pack.read_bytes())
    data[1 << 20] ^= 1
    pack.write_bytes(data)

    (made,) = desk.backups.make()
    assert list(made.lacking) == [desk.storage.stat(bad).pack]
    assert desk.objects("packs/") == [f"packs/{desk.storage.stat(good).pack}"]
    refuse(desk.backups.verify())
