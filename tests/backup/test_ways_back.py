"""The ways back as a person types them: one file, one job, an instant, in place, a fresh machine, a loss."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from desk import DAY, Desk
from test_backup_commands import Command

from audobon.backup.repository import open_repository
from audobon.backup.restoring import choose_point, find_backup
from audobon.backup.restoring_pages import PageRestorer
from audobon.backup.rules import KeepRules
from audobon.backup.verifying import refuse
from audobon.compute.engine import engine_lock
from audobon.errors import BlobNotFound, CorruptBackup, InvalidInput, JobNotFound, NotFound, OutputExists
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Needs, NewTask


@pytest.fixture
def audobon(tmp_path: Path) -> Command:
    return Command(tmp_path / "old")


def pages_of(desk: Desk, *, at: str | None = None) -> PageRestorer:
    repository = desk.repository()
    return PageRestorer(repository, desk.restorer(), desk.keys, choose_point(repository, "latest", at))


@pytest.fixture
def two_jobs(desk: Desk) -> tuple[Desk, list[str]]:
    keys = [desk.put() for _ in range(3)]
    desk.add_job("older", keys[:1])
    desk.now += 10
    desk.add_job("newer", keys[1:])
    desk.backups.make()
    return desk, keys


def test_a_job_comes_back_file_by_file(two_jobs: tuple[Desk, list[str]], tmp_path: Path) -> None:
    desk, keys = two_jobs
    pages = pages_of(desk)
    written = pages.write(pages.job("newer"), tmp_path / "found")
    assert written == [str(tmp_path / "found" / "pages" / f"page0{number}.png") for number in range(2)]
    assert [Path(path).read_bytes() for path in written] == [desk.storage.get(key) for key in keys[1:]]
    with pytest.raises(OutputExists):
        pages.write(pages.job("newer"), tmp_path / "found")
    with pytest.raises(JobNotFound, match="the backup holds no job other"):
        pages.job("other")


def test_results_of_pages_that_differ_in_their_ending_alone_both_come_back(
    desk: Desk, tmp_path: Path
) -> None:
    keys = [desk.put() for _ in range(4)]
    desk.add_job("pair", keys[:2])
    with closing(desk.database.open()) as connection, SqliteQueue(connection) as queue:
        connection.execute("UPDATE entry SET name = 'page00.jpg' WHERE ordinal = 1")
        needs = Needs(kind="page", ram_bytes=1)
        queue.enqueue("batch", [NewTask(needs=needs, job_id="pair", ordinal=number) for number in range(2)])
        connection.executemany(
            "UPDATE task SET state = 'done', result_blob = ? WHERE ordinal = ?", [(keys[2], 0), (keys[3], 1)]
        )
    desk.backups.make()
    pages, into = pages_of(desk), tmp_path / "found"
    written = [Path(path) for path in pages.write(pages.job("pair"), into)]
    assert {path.relative_to(into).as_posix(): path.read_bytes() for path in written} == {
        "pages/page00.png": desk.storage.get(keys[0]),
        "pages/page00.jpg": desk.storage.get(keys[1]),
        "results/page00": desk.storage.get(keys[2]),
        "results/page00-2": desk.storage.get(keys[3]),
    }


def test_a_file_is_the_newest_of_its_name_or_of_the_job_that_is_named(
    two_jobs: tuple[Desk, list[str]],
) -> None:
    desk, keys = two_jobs
    pages = pages_of(desk)
    assert [each.key for each in pages.file("page00.png")] == [keys[1]]
    assert [each.key for each in pages.file("page00.png", job_id="older")] == [keys[0]]
    assert [each.key for each in pages.file("comic/page01.png")] == [keys[2]]
    assert [(each.path, each.key) for each in pages.file(keys[0][:12])] == [(keys[0], keys[0])]
    with pytest.raises(NotFound, match="no job in the backup has a file 'elsewhere"):
        pages.file("elsewhere/page01.png")
    with pytest.raises(JobNotFound):
        pages.file("page00.png", job_id="other")


def test_what_a_backup_names_and_keeps_no_longer_is_told(
    two_jobs: tuple[Desk, list[str]], tmp_path: Path
) -> None:
    pages = pages_of(two_jobs[0])
    with pytest.raises(BlobNotFound, match="keeps none of these files"):
        pages.write(pages.file("f" * 64), tmp_path / "found")


def test_an_instant_is_of_this_place_unless_it_names_another(desk: Desk) -> None:
    desk.backups.make()
    repository = desk.repository()
    with_zone = choose_point(repository, "latest", "2026-01-31T18:00:00+00:00").to
    assert with_zone == choose_point(repository, "latest", "2026-01-31T19:00:00+01:00").to
    here = choose_point(repository, "latest", "2026-01-31T18:00:00").to
    assert not isinstance(here, int)
    assert here is not None
    assert here.replace(tzinfo=None).isoformat() == "2026-01-31T18:00:00"
    with pytest.raises(InvalidInput, match="two answers to one question"):
        choose_point(repository, "20260131-180000-aaaaaa", "2026-01-31T18:00")
    with pytest.raises(InvalidInput, match="'monday' is not an instant"):
        choose_point(repository, "latest", "monday")


def test_a_spoiled_newest_backup_hides_no_older_one(desk: Desk, tmp_path: Path) -> None:
    key = desk.put()
    (made,) = desk.backups.make()
    with desk.repository("create").store.create("manifests/000000000002.json") as file:
        file.write(b"anything")
    repository = desk.repository()
    with pytest.raises(CorruptBackup) as caught:
        find_backup(repository, "latest")
    assert caught.value.hint == f"name an older backup; see: audobon backup list --from {desk.place}"
    found = find_backup(repository, str(made.id))
    desk.restorer().restore(choose_point(repository, found.manifest.id, None), tmp_path / "back")
    with closing(desk.open_keys(tmp_path / "back")) as keys:
        assert keys.id == desk.keys.id
    assert [
        stored.manifest.id for stored in open_repository(desk.place, None, rights="read").readable()[0]
    ] == [made.id]
    assert desk.storage.has(key)


def test_a_loss_is_told_until_the_place_is_repaired_and_a_later_one_again(desk: Desk) -> None:
    for _ in range(4):
        desk.backups.make()
        desk.now += DAY
    (desk.place / "manifests" / "000000000002.json").unlink()
    damaged = desk.place / "manifests" / "000000000004.json"
    damaged.chmod(0o600)
    damaged.write_bytes(b"noise")
    with pytest.raises(CorruptBackup):
        refuse(desk.backups.verify())

    (repaired,) = desk.backups.repair()
    assert repaired.given_up == ["manifests/000000000004.json", "manifests/000000000002.json"]
    assert not damaged.exists()
    refuse(desk.backups.verify())

    desk.backups.make()
    refuse(desk.backups.verify())
    rules = KeepRules(last=1, daily=0, weekly=0, monthly=0, days=0)
    assert len(desk.backups.prune(rules=rules, is_dry=False)[0].removed) == 3
    refuse(desk.backups.verify())
    (desk.place / "manifests" / "000000000006.json").unlink()
    with pytest.raises(CorruptBackup, match="and was not pruned"):
        refuse(desk.backups.verify())


def test_a_forged_record_of_a_loss_counts_for_nothing(desk: Desk) -> None:
    desk.backups.make()
    desk.backups.make()
    (desk.place / "manifests" / "000000000001.json").unlink()
    desk.backups.repair()
    (record,) = (desk.place / "prunings").iterdir()
    record.chmod(0o600)
    record.write_bytes(record.read_bytes().replace(b'"1"', b'"2"'))
    with pytest.raises(CorruptBackup):
        refuse(desk.backups.verify())


def test_nothing_is_replaced_while_an_engine_runs(audobon: Command) -> None:
    place, data = audobon.root / "disk", audobon.root / "data"
    audobon("backup", "add", place)
    audobon("backup", "now")
    before = sorted(path.name for path in audobon.root.iterdir())
    with engine_lock(data):
        for command in (("backup", "restore"), ("database", "restore")):
            refused = audobon(*command, "--in-place")
            assert (refused.returncode, "an engine for" in refused.stderr) == (5, True)
    assert sorted(path.name for path in audobon.root.iterdir()) == before
    assert not (data / "damaged").exists()
    done = audobon("backup", "restore", "--in-place")
    assert done.returncode == 0
    assert "look: audobon jobs list; when it is as it should be: audobon backup now\n" in done.stderr
    (kept,) = audobon.root.glob("data.before-*")
    assert f"what was there before is in {kept}; remove it when you are sure\n" in done.stderr


def test_a_fresh_machine_restores_in_place_and_keeps_what_it_began(audobon: Command, tmp_path: Path) -> None:
    place, words = tmp_path / "disk", tmp_path / "words"
    audobon("backup", "add", place)
    audobon("backup", "now")
    audobon("keys", "export-recovery", "--output", words)
    keyring = json.loads(audobon("keys", "status", "--json").stdout)["id"]

    fresh = Command(tmp_path / "new")
    listed = json.loads(fresh("backup", "list", "--from", place, "--json").stdout)["places"][0]
    assert (listed["place"], len(listed["backups"]), listed["damaged"]) == (str(place), 1, [])
    take = ("backup", "restore", "--from", place, "--recovery-words-file", words, "--in-place")
    done = fresh(*take)
    assert done.returncode == 0, done.stderr
    assert "backups go on in the places it knew: audobon backup status\n" in done.stderr
    # There was nothing to keep.
    assert list(fresh.root.glob("data.before-*")) == []
    assert json.loads(fresh("keys", "status", "--json").stdout)["id"] == keyring

    other = Command(tmp_path / "other")
    other("keys", "status")
    assert other(*take).returncode == 0
    assert len(list(other.root.glob("data.before-*"))) == 1
    assert json.loads(other("keys", "status", "--json").stdout)["id"] == keyring


def test_the_newest_recovery_file_of_the_places_is_found_by_itself(audobon: Command, tmp_path: Path) -> None:
    one, two, words = tmp_path / "one", tmp_path / "two", tmp_path / "words"
    audobon("keys", "export-recovery", "--output", words)
    check = ("keys", "check-recovery", "--words-file", words)
    # Without a place, the keyring itself is tried.
    assert audobon(*check).stderr.endswith("0 subjects, 0 keys\n")
    for place in (one, two):
        audobon("backup", "add", place)
        audobon("backup", "now", place)
    (file,) = (two / "keystores").iterdir()
    assert audobon(*check).stderr.endswith(
        f", in {max(file, *(one / 'keystores').iterdir(), key=lambda f: f.name)}\n"
    )
    assert audobon(*check, two).stderr.endswith(f", in {file}\n")
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1])
    assert audobon(*check, two).returncode == 9

    (audobon.root / "data" / "keys" / "keystore.db").unlink()
    for lost in (tmp_path / "nowhere", tmp_path / "old"):
        refused = audobon("keys", "import-recovery", lost, "--words-file", words)
        assert refused.returncode == 4, refused.stderr
    assert audobon("keys", "import-recovery", one, "--words-file", words).returncode == 0
    assert audobon("keys", "status").returncode == 0


def test_a_database_is_put_back_in_place_and_the_damaged_one_kept(audobon: Command) -> None:
    data, place = audobon.root / "data", audobon.root / "disk"
    audobon("queue", "pause", "batch")
    audobon("backup", "add", place)
    audobon("backup", "now")
    reached = json.loads(audobon("database", "status", "--json").stdout)
    (copy,) = reached["places"]
    assert (copy["place"], copy["failure"], copy["commit"]) == (
        str(place),
        None,
        reached["shipped"]["commit"],
    )
    noise = bytes(range(256)) * 100
    (data / "audobon.db").write_bytes(noise)
    for end in ("-wal", "-shm"):
        (data / f"audobon.db{end}").unlink(missing_ok=True)
    broken = audobon("queue", "list")
    assert broken.returncode == 9
    assert broken.stderr.endswith("hint: audobon recovery mend\n")
    assert audobon("database", "restore").returncode == 2
    assert audobon("database", "restore", "--in-place", "--overwrite").returncode == 2
    told = json.loads(audobon("database", "restore", "--in-place", "--json").stdout)
    assert told["restored"]["position"]["commit"] == reached["shipped"]["commit"]
    assert (Path(told["kept"]) / "audobon.db").read_bytes() == noise
    assert audobon("database", "check").returncode == 0
    missing = audobon("database", "restore", "--in-place", "--to", 999)
    assert missing.returncode == 4
    place.rename(audobon.root / "away")
    assert f"backup      {place}: it is not there\n" in audobon("database", "status").stdout


def test_the_copy_of_the_database_is_pruned_by_command(audobon: Command) -> None:
    audobon("queue", "pause", "batch")
    useless = audobon.root / "data" / "wal" / "000000000000-00000000" / "000000000002.segment"
    useless.parent.mkdir()
    useless.write_bytes(bytes(2000))
    assert audobon("database", "prune", "--dry-run").stderr == "1 object, 2 kB, would go\n"
    assert json.loads(audobon("database", "prune", "--json").stdout) == {
        "objects": 1,
        "size_bytes": 2000,
        "keep_days": 7.0,
        "is_dry_run": False,
    }
    assert audobon("database", "prune").stderr == "0 objects, 0 kB, went\n"
    assert not useless.exists()
