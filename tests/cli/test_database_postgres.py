"""`audobon database postgres`: what a person sees, with a real server."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from queue_desk import Desk

sys.path.insert(0, str(Path(__file__).parents[1] / "queue"))

import psycopg
from postgres_server import PostgresServer

from audobon.errors import BackupNotFound, ForeignRepository, InvalidInput, Misconfigured


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that tells what changed."""
    with PostgresServer(durable=False, settings={"summarize_wal": "on", "wal_keep_size": "1GB"}) as started:
        yield started


@pytest.fixture
def postgres_desk(desk: Desk, server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("AUDOBON_DATABASE_POSTGRES_BINARIES", str(server.binaries))
    monkeypatch.setenv("AUDOBON_DATABASE_POSTGRES_URL", server.url)
    return desk


def type_in(desk: Desk, *arguments: str) -> tuple[int, str, str]:
    return desk._run(("database", "postgres", *arguments))


def test_backups_are_taken_listed_proved_and_pruned(postgres_desk: Desk) -> None:
    desk = postgres_desk
    assert type_in(desk, "list") == (
        0,
        "",
        "no base backup was taken yet: audobon database postgres backup\n",
    )
    status, _, err = type_in(desk, "backup")
    assert (status, err.endswith(": whole\n")) == (0, True)
    first = err.split()[1].rstrip(":")
    status, _, err = type_in(desk, "backup")
    assert (status, err.endswith(f": what changed since {first}\n")) == (0, True)
    status, out, _ = type_in(desk, "list")
    lines = out.splitlines()
    assert [line.split()[-1] for line in lines] == ["whole", first]
    assert [each["parent"] for each in json.loads(type_in(desk, "list", "--json")[1])] == [None, first]
    type_in(desk, "backup", "--whole")
    assert type_in(desk, "prune", "--keep", "1", "--dry-run")[2].startswith(
        "would remove 2 backups and 0 files"
    )
    assert type_in(desk, "prune", "--keep", "1")[2].startswith("removed 2 backups")
    assert len(type_in(desk, "list")[1].splitlines()) == 1


def test_a_restored_folder_is_told_and_waits_for_its_server(
    postgres_desk: Desk, server: PostgresServer, tmp_path: Path
) -> None:
    from audobon.database.postgres import Address
    from audobon.database.postgres_programs import Programs
    from audobon.database.postgres_wal import WalReceiver

    received = tmp_path / "received"
    with WalReceiver(Address(server.url), received, Programs(server.binaries), name="desk") as receiver:
        type_in(postgres_desk, "backup")
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("SELECT pg_switch_wal()")
            receiver.demand_alive()
    into = server.folder / "restored"
    status, out, err = type_in(
        postgres_desk, "restore", "--into", str(into), "--received", str(received), "--only-prepare", "--json"
    )
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["folder"] == str(into)
    assert (len(told["backups"]), told["log_files"] >= 1) == (1, True)
    assert (into / "recovery.signal").exists()
    shutil.rmtree(into)


def test_what_cannot_be_is_said(postgres_desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    into = ("restore", "--into", str(tmp_path / "new"))
    assert type_in(postgres_desk, *into)[0] == BackupNotFound.exit
    status, _, err = type_in(postgres_desk, *into, "--to", "yesterday")
    assert (status, "write it like 2026-11-25T02:30:00Z" in err) == (InvalidInput.exit, True)
    assert type_in(postgres_desk, *into, "--lsn", "7")[0] == InvalidInput.exit
    assert type_in(postgres_desk, *into, "--lsn", "0/7", "--transaction", "7")[0] == InvalidInput.exit
    assert type_in(postgres_desk, "verify")[0] == BackupNotFound.exit
    monkeypatch.delenv("AUDOBON_DATABASE_POSTGRES_URL")
    status, _, err = type_in(postgres_desk, "backup")
    assert (status, "set database.postgres_url" in err) == (Misconfigured.exit, True)
    monkeypatch.setenv("AUDOBON_DATABASE_POSTGRES_URL", "postgresql://me:secret@here/queue")
    status, _, err = type_in(postgres_desk, "backup")
    assert (status, "must not hold a password" in err, "secret" in err) == (Misconfigured.exit, True, False)


def test_the_place_of_another_server_is_refused(postgres_desk: Desk) -> None:
    assert type_in(postgres_desk, "backup")[0] == 0
    with PostgresServer(durable=False) as other:
        status, _, err = type_in(postgres_desk, "backup", "--url", other.url)
    assert status == ForeignRepository.exit
    assert "this place holds the copies of server" in err


def test_a_server_is_let_go_on(postgres_desk: Desk, server: PostgresServer) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
    assert type_in(postgres_desk, "release")[0] == 0
    with psycopg.connect(server.url, autocommit=True) as connection:
        assert connection.execute(
            "SELECT setting FROM pg_file_settings WHERE name = 'synchronous_standby_names'"
        ).fetchall() == [("",)]
