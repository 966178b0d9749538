"""A PostgreSQL server that is lost comes back from its copies: to the last commit, or to an instant."""

import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
import psycopg
import pytest
from postgres_server import PostgresServer
from postgres_site import SETTINGS, WAIT_SECONDS, Site, restored_rows, wait_for_files

from audobon.database import postgres_recovery
from audobon.database.postgres import Address
from audobon.database.postgres_backups import BaseBackups
from audobon.database.postgres_lsn import SEGMENT_BYTES, Segment, parse_lsn
from audobon.database.postgres_objects import PostgresObjects
from audobon.database.postgres_places import ask_server
from audobon.database.postgres_programs import Programs
from audobon.database.postgres_recovery import Target
from audobon.database.postgres_starting import carry_out
from audobon.database.postgres_wal import received
from audobon.errors import (
    BackupNotFound,
    CorruptBackup,
    Denied,
    ForeignRepository,
    Misconfigured,
    OutputExists,
    Unavailable,
)
from audobon.storage.embedded import FolderObjectStore

pytest_plugins = ("postgres_fixture", "postgres_site_fixture")


def test_nothing_acknowledged_is_lost_when_the_server_is_killed_and_its_disk_with_it(
    site_with_rows: Site,
) -> None:
    site, acknowledged = site_with_rows, [1]
    for _ in range(3):
        with psycopg.connect(site.server.url, autocommit=True) as connection:
            for number in range(len(acknowledged) + 1, len(acknowledged) + 40):
                connection.execute("INSERT INTO note VALUES (%s, 'word')", (number,))
                acknowledged.append(number)
            site.server.kill9()
        site.receiver.stop()
        shutil.rmtree(site.server.folder / "data")
        done = site.recovery.restore(site.server.folder / "data")
        carry_out(done.folder, site.programs, user=done.user)
        shutil.rmtree(site.received)
        site.server.start()
        assert [number for (number,) in site.execute("SELECT id FROM note ORDER BY id")] == acknowledged
        # The log goes on in a timeline of its own, and so do the copies.
        site.begin()
        site.backups.take(site.address)
    assert {backup.timeline for backup in site.backups.all()} == {1, 2, 3, 4}


def test_an_instant_is_hit_the_row_after_it_is_absent_and_a_dropped_table_is_back(
    site_with_rows: Site,
) -> None:
    site = site_with_rows
    site.execute("INSERT INTO note VALUES (2, 'two')", "CREATE TABLE precious (id integer)")
    before = ask_server(site.address)
    site.execute("INSERT INTO note VALUES (3, 'three')", "DROP TABLE precious")
    assert site.ship(partial=True) != []
    folder = site.server.folder / "beside"
    done = site.recovery.restore(folder, Target(at=before.now))
    found: list[Any] = []

    def look(connection: Any) -> None:
        found.extend(connection.execute("SELECT id FROM note ORDER BY id").fetchall())
        found.extend(connection.execute("SELECT to_regclass('precious')::text").fetchall())

    carry_out(folder, site.programs, user=done.user, look=look)
    assert found == [(1,), (2,), ("precious",)]
    assert "recovery_target" not in (folder / "postgresql.auto.conf").read_text()


def test_a_place_in_the_log_and_a_transaction_are_hit(site_with_rows: Site) -> None:
    site = site_with_rows
    ((transaction,),) = site.execute(
        "INSERT INTO note VALUES (2, 'two') RETURNING pg_current_xact_id()::text"
    )
    ((lsn,),) = site.execute("SELECT pg_current_wal_lsn()::text")
    site.execute("INSERT INTO note VALUES (3, 'three')")
    assert restored_rows(site, Target(lsn=parse_lsn(lsn))) == [1, 2]
    assert restored_rows(site, Target(transaction=int(transaction))) == [1, 2]
    assert restored_rows(site) == [1, 2, 3]


def test_a_target_beyond_the_log_is_an_error_and_not_something_less(site_with_rows: Site) -> None:
    site = site_with_rows
    folder = site.server.folder / "beside"
    done = site.recovery.restore(folder, Target(at=time.time() + 3600))
    with pytest.raises(CorruptBackup, match="recovery ended before configured recovery target was reached"):
        carry_out(folder, site.programs, user=done.user)


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_restore_goes_on_when_the_receiver_finishes_a_file_meanwhile(
    site_with_rows: Site, monkeypatch: pytest.MonkeyPatch, is_sealed: bool
) -> None:
    site = site_with_rows
    site.execute("INSERT INTO note VALUES (2, 'two')")

    def received_and_finished(folder: Path) -> tuple[dict[Segment, Path], Path | None]:
        listed = received(folder)
        for number in (3, 4):
            site.execute("SELECT pg_switch_wal()", f"INSERT INTO note VALUES ({number}, 'later')")
        wait_for_files(site, 2)
        if is_sealed:
            site.ship()
        assert listed[1] is not None
        assert not listed[1].exists()
        return listed

    monkeypatch.setattr(postgres_recovery, "received", received_and_finished)
    assert restored_rows(site)[:2] == [1, 2]


def test_what_lies_before_the_first_backup_cannot_be_restored(site_with_rows: Site) -> None:
    with pytest.raises(BackupNotFound, match="no base backup ended before that point"):
        site_with_rows.recovery.restore(site_with_rows.server.folder / "beside", Target(at=1.0))


@pytest.fixture
def chain(site_with_rows: Site) -> Site:
    """A whole backup, and two more of what changed."""
    site = site_with_rows
    for number in (2, 3):
        newest = site.backups.all()[-1]
        site.execute(
            f"INSERT INTO note SELECT i, 'many' FROM generate_series({number * 1000}, {number * 1000 + 99}) i"
        )
        site.backups.take(site.address, since=newest.id)
    return site


def test_a_chain_of_three_is_combined_and_holds_everything(chain: Site) -> None:
    backups = chain.backups.all()
    assert [backup.parent for backup in backups] == [None, backups[0].id, backups[1].id]
    stored = [chain.store.stat(f"postgres/base/{backup.id}/data").size_bytes for backup in backups]
    assert stored[1] < stored[0] / 4
    assert stored[2] < stored[0] / 4
    done = chain.recovery.restore(chain.server.folder / "beside")
    assert done.backups == [backup.id for backup in backups]
    shutil.rmtree(done.folder)
    assert restored_rows(chain) == [1, *range(2000, 2100), *range(3000, 3100)]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("part", ["data", "manifest", "record"])
@pytest.mark.parametrize("deed", ["missing", "flipped", "swapped", "cut"])
def test_a_link_that_is_missing_changed_or_exchanged_is_named_and_nothing_is_restored(
    chain: Site, deed: str, part: str
) -> None:
    whole, link, newest = chain.backups.all()
    path = chain.place / f"postgres/base/{link.id}/{part}"
    if deed == "missing":
        path.unlink()
    elif deed == "flipped":
        flip(path, path.stat().st_size // 2)
    elif deed == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        shutil.copy(chain.place / f"postgres/base/{whole.id}/{part}", path)
    with pytest.raises(CorruptBackup, match=link.id):
        chain.recovery.restore(chain.server.folder / "beside")
    with pytest.raises(CorruptBackup, match=link.id):
        chain.recovery.verify()
    assert not (chain.server.folder / "beside").exists()
    assert newest.parent == link.id


def test_a_part_of_the_log_that_is_missing_or_changed_is_named(site_with_rows: Site) -> None:
    site = site_with_rows
    for number in range(2, 5):
        site.execute(f"INSERT INTO note VALUES ({number}, 'word')", "SELECT pg_switch_wal()")
    site.execute("INSERT INTO note VALUES (9, 'word')")
    wait_for_files(site, 4)
    names = site.ship(partial=True)
    assert len(list(site.received.glob("0*0"[:1] + "*"))) <= 2
    shutil.rmtree(site.received)
    assert restored_rows(site) == [1, 2, 3, 4, 9]
    proved = site.recovery.verify()
    segment = next(name for name in names if name.endswith(proved[-2]))
    path = site.place / segment
    data = path.read_bytes()
    flip(path, len(data) // 2)
    with pytest.raises(CorruptBackup, match=segment):
        site.recovery.verify()
    path.unlink()
    with pytest.raises(CorruptBackup, match=f"{segment} is missing"):
        site.recovery.restore(site.server.folder / "beside")
    assert not (site.server.folder / "beside").exists()


def test_copies_of_another_server_are_refused(site_with_rows: Site, postgres_server: PostgresServer) -> None:
    with pytest.raises(ForeignRepository, match=r"this place holds the copies of server \d+, not of \d+"):
        site_with_rows.backups.take(Address(postgres_server.url))
    with pytest.raises(ForeignRepository):
        site_with_rows.archive.claim(Address(postgres_server.url))
    with pytest.raises(CorruptBackup, match="is of another server"):
        site_with_rows.archive.ship(system_identifier=7, partial=True)


def test_who_may_only_create_can_copy_and_not_prune(site_with_rows: Site) -> None:
    site = site_with_rows
    store = FolderObjectStore({"standard": site.place}, rights="create")
    backups = BaseBackups(PostgresObjects(store, site.keys), site.programs)
    for _ in range(2):
        backups.take(site.address)
    with pytest.raises(Denied):
        backups.prune(keep=1)
    assert len(backups.all()) == 3


def test_pruning_keeps_the_newest_chains_and_the_log_they_need(chain: Site) -> None:
    site = chain
    site.execute("SELECT pg_switch_wal()", "INSERT INTO note VALUES (7, 'seven')")
    whole = site.backups.take(site.address)
    site.execute("INSERT INTO note VALUES (8, 'eight')")
    wait_for_files(site, 2)
    site.ship(partial=True)
    old = [backup.id for backup in site.backups.all()[:3]]
    assert site.backups.prune(keep=1, is_dry=True).backups == old
    assert len(site.backups.all()) == 4
    pruned = site.backups.prune(keep=1)
    assert pruned.backups == old
    assert pruned.log_files >= 1
    assert [backup.id for backup in site.backups.all()] == [whole.id]
    assert 8 in restored_rows(site)


def test_nothing_of_the_users_lies_in_the_place_in_clear(site_with_rows: Site) -> None:
    site = site_with_rows
    site.execute("INSERT INTO note VALUES (2, 'a very secret word')", "CHECKPOINT")
    site.backups.take(site.address)
    site.ship(partial=True)
    files = [path for path in site.place.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not any(b"a very secret word" in path.read_bytes() for path in files)


def test_a_folder_in_use_is_not_restored_over(site_with_rows: Site) -> None:
    with pytest.raises(OutputExists):
        site_with_rows.recovery.restore(site_with_rows.server.folder / "data")


RECEIVE = """
import sys, time
from pathlib import Path
from audobon.database.postgres import Address
from audobon.database.postgres_programs import Programs
from audobon.database.postgres_wal import WalReceiver

receiver = WalReceiver(Address(sys.argv[1]), Path(sys.argv[2]), Programs(Path(sys.argv[3])))
receiver.start()
print(receiver.pid)
sys.stdin.read()
"""


def test_a_receiver_dies_with_its_command_and_the_next_takes_the_log_up(
    site: Site, start_python: Callable[..., "Popen[str]"]
) -> None:
    command = start_python(RECEIVE, site.server.url, site.received, site.server.binaries)
    assert command.stdout is not None
    receiver = psutil.Process(int(command.stdout.readline()))
    command.kill()
    command.wait()
    psutil.wait_procs([receiver], timeout=WAIT_SECONDS)
    assert not receiver.is_running() or receiver.status() == psutil.STATUS_ZOMBIE
    site.begin()
    site.execute("CREATE TABLE note (id integer)")


def test_programs_that_are_not_there_are_named(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="pg_basebackup of PostgreSQL 17") as caught:
        BaseBackups(site.objects, Programs(tmp_path)).take(site.address)
    assert caught.value.hint is not None
    assert "database.postgres_binaries" in caught.value.hint


def test_a_server_without_summaries_says_so(tmp_path: Path) -> None:
    with PostgresServer(durable=False, settings=SETTINGS | {"summarize_wal": "off"}) as server:
        site = Site(server, tmp_path)
        whole = site.backups.take(site.address)
        with pytest.raises(Unavailable, match="summar"):
            site.backups.take(site.address, since=whole.id)
        assert [backup.id for backup in site.backups.all()] == [whole.id]
        with closing(site.keys):
            assert parse_lsn("1/0") == 256 * SEGMENT_BYTES
