"""A full disk beside a PostgreSQL server: that is said, and nothing acknowledged is lost."""

import contextlib
import errno
import resource
import shutil
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
from postgres_site import WAIT_SECONDS, Site, restored_rows, wait_for_files

import faults
from audobon.errors import DiskFull

pytest_plugins = ("postgres_fixture", "postgres_site_fixture")

FEW_BYTES = 1 << 20


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_a_base_backup_without_room_is_refused_and_does_not_count(site_with_rows: Site, share: float) -> None:
    site = site_with_rows
    whole = site.backups.all()
    with faults.watching(below=site.place) as calls:
        site.backups.take(site.address)
    at = 1 + round(share * (len(calls) - 1))
    known = site.backups.all()
    with (
        faults.failing(errno.ENOSPC, at=at, below=site.place, lasting=True),
        pytest.raises(DiskFull, match="no room left for") as caught,
    ):
        site.backups.take(site.address)
    assert caught.value.hint == "free some space and run the same command again"
    assert site.backups.all() == known
    # With room again, all goes on, and what there was can be restored still.
    newest = site.backups.take(site.address, since=whole[0].id)
    assert site.backups.all() == [*known, newest]
    assert site.recovery.verify() != []
    assert restored_rows(site) == [1]


def test_without_room_for_what_the_server_has_to_know_of_the_backup_before_that_is_said(
    site_with_rows: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = site_with_rows
    (whole,) = site.backups.all()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with faults.failing(errno.ENOSPC, at=2, below=scratch), pytest.raises(DiskFull, match=str(scratch)):
        site.backups.take(site.address, since=whole.id)
    assert list(scratch.iterdir()) == []
    assert site.backups.all() == [whole]


def test_log_that_cannot_be_sealed_stays_where_it_was_received(site_with_rows: Site) -> None:
    site, rows = site_with_rows, [1]
    for number in range(2, 6):
        site.execute(f"INSERT INTO note VALUES ({number}, 'word')", "SELECT pg_switch_wal()")
        rows.append(number)
    wait_for_files(site, 4)
    at, is_full = 0, True
    while is_full:
        at += 1
        with (
            faults.failing(errno.ENOSPC, at=at, below=site.place, lasting=True) as calls,
            contextlib.suppress(DiskFull),
        ):
            site.ship(partial=True)
        is_full = len(calls) >= at
    assert at > 4
    shutil.rmtree(site.received)
    assert restored_rows(site) == rows


@pytest.mark.skipif(sys.platform != "linux", reason="the bounds of another process are set on Linux only")
@pytest.mark.parametrize("in_new_file", [False, True])
def test_a_commit_that_finds_no_room_at_the_receiver_waits_and_counts_once_there_is_room(
    site_with_rows: Site, *, in_new_file: bool
) -> None:
    site, acknowledged = site_with_rows, [1]
    if in_new_file:
        site.execute("SELECT pg_switch_wal()")
        wait_for_files(site, 2)
    unbound = resource.prlimit(site.receiver.pid, resource.RLIMIT_FSIZE, (FEW_BYTES, resource.RLIM_INFINITY))
    if not in_new_file:
        site.execute("SELECT pg_switch_wal()")

    def insert() -> None:
        # A server that is stopped takes its connections with it.
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(site.server.url, autocommit=True) as connection,
        ):
            for number in range(2, 5):
                connection.execute("INSERT INTO note VALUES (%s, 'word')", (number,))
                acknowledged.append(number)

    inserting = threading.Thread(target=insert)
    inserting.start()
    heard: list[str] = []
    until = time.monotonic() + WAIT_SECONDS
    while not any("File too large" in words for words in heard):
        assert time.monotonic() < until, heard
        heard += site.receiver.attend()
        time.sleep(0.01)
    # It tries on, and says so to whoever asks; meanwhile nothing is acknowledged.
    site.receiver.demand_alive()
    assert acknowledged == [1]

    resource.prlimit(site.receiver.pid, resource.RLIMIT_FSIZE, unbound)
    while inserting.is_alive():
        assert time.monotonic() < until + WAIT_SECONDS, heard
        heard += site.receiver.attend()
        inserting.join(0.01)
    assert acknowledged == [1, 2, 3, 4]
    site.server.kill9()
    shutil.rmtree(site.server.folder / "data")
    assert restored_rows(site) == acknowledged
