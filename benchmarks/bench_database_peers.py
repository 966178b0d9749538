"""What do Litestream and pgBackRest lose, and how soon is a database back with them? See README.md.

bench_database_peers.py [--quick] [--kills N] [--repeats N] [--only litestream,pgbackrest]

Audobon does the same work in the same run, each round in turns with the peer.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

import bench_database
from bench_postgres_recovery import ROW, ROW_BYTES, SETTINGS, WAL_BYTES
from measuring import ROOT, machine, save, table

sys.path.insert(0, str(ROOT / "tests" / "queue"))

from postgres_server import PostgresServer
from shipping_processes import shipper

from audobon.database.copies import own_copy
from audobon.database.restoring import restore_database
from audobon.keys.unlocking import open_keys
from audobon.sqlite import connect

LITESTREAM = ROOT / ".venv-peers" / "bin" / "litestream"
POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
PARTS = ("litestream", "pgbackrest")
_WAIT_SECONDS = 120.0


def main() -> None:
    """Measure those that are installed, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes; saves nothing")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args()
    if options.quick:
        options.kills, options.gigabytes, options.repeats = 5, 0.05, 1
    figures: dict[str, Any] = {"machine": machine()}
    measures: dict[str, Callable[[Path], dict[str, Any]]] = {
        "litestream": lambda folder: beside_litestream(
            folder, options.kills, options.gigabytes, options.repeats
        ),
        "pgbackrest": lambda folder: pgbackrest(folder, options.gigabytes, options.repeats),
    }
    for name in options.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = measures[name](Path(folder))
        table(name, ["figure", "value"], [[key, str(value)] for key, value in figures[name].items()])
    if not options.quick and options.only == ",".join(PARTS):
        save("database_peers", figures)


def beside_litestream(folder: Path, kills: int, gigabytes: float, repeats: int) -> dict[str, Any]:
    """Return what Litestream and Audobon lose in kills, and how long either takes to restore a database."""
    if not LITESTREAM.exists():
        return {"left_out": "litestream is not installed: make bench"}
    for name in ("peer", "large"):
        (folder / name).mkdir()
    version = subprocess.run([LITESTREAM, "version"], capture_output=True, text=True, check=True)
    return {
        "version": version.stdout.strip(),
        "loss": litestream_loss(folder / "peer", kills),
        "audobon_loss": bench_database.loss(folder / "ours", "async", kills),
        **restores_in_turns(folder / "large", gigabytes, repeats),
    }


class Litestream:
    """A Litestream that copies one database into a folder beside it ten times a second."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "audobon.db"
        self._configuration = folder / "litestream.yml"
        self._configuration.write_text(
            f"dbs:\n  - path: {self.database}\n    monitor-interval: 100ms\n"
            f"    replica:\n      path: {folder / 'replica'}\n      sync-interval: 100ms\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [LITESTREAM, "replicate", "-config", self._configuration],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def once(self) -> None:
        """Copy what is new, and end."""
        self._run("replicate", "-once", "-config", self._configuration)

    def restore(self, into: Path) -> None:
        """Restore, write through, and check as Audobon does before it tells that it is done."""
        self._run("restore", "-config", self._configuration, "-o", into, self.database)
        with into.open("rb") as file:
            os.fsync(file.fileno())
        with closing(connect(into)) as connection:
            if connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
                raise SystemExit("Litestream restored a damaged database")

    def _run(self, *arguments: str | Path) -> None:
        subprocess.run([LITESTREAM, *arguments], check=True, capture_output=True)


def litestream_loss(folder: Path, kills: int) -> dict[str, Any]:
    """Kill two writers and Litestream together, at random instants; return what the copy lacks."""
    peer, draw = Litestream(folder), random.Random(5)
    lost_rows, lost_seconds, acknowledged = 0, [], 0
    for turn in range(kills):
        acks = {name: folder / f"{name}{turn}.acknowledged" for name in "ab"}
        writers = []
        for name, ack in acks.items():
            command = [sys.executable, str(bench_database.PROCESSES), "write", str(folder), name, "off"]
            with ack.open("wb") as out:
                writers.append(subprocess.Popen(command, stdout=out))
        _wait_until(peer.database.exists)
        peer.start()
        _wait_until(lambda acks=acks: all(ack.stat().st_size >= 400 for ack in acks.values()))  # type: ignore[misc]
        # Its first round comes a while after its start; that is not held against it.
        time.sleep(1.0 + draw.random() * 0.6)
        for writer in writers:
            writer.kill()
        peer.kill()
        killed_at = time.time()
        for writer in writers:
            writer.wait()
        peer.restore(folder / "restored.db")
        for name, ack in acks.items():
            with closing(connect(folder / "restored.db")) as connection:
                row = connection.execute("SELECT max(number) FROM row WHERE writer = ?", (name,)).fetchone()
            lines = ack.read_text().split("\n")[:-1]
            acknowledged += len(lines)
            missing = [line for line in lines if int(line.split()[0]) > (row[0] or 0)]
            lost_rows += len(missing)
            lost_seconds.append(killed_at - float(missing[0].split()[1]) if missing else 0.0)
        (folder / "restored.db").unlink()
    lost_seconds.sort()
    return {
        "kills": kills,
        "acknowledged": acknowledged,
        "lost": lost_rows,
        "lost_s_median": round(statistics.median(lost_seconds), 3),
        "lost_s_most": round(lost_seconds[-1], 3),
    }


def restores_in_turns(folder: Path, gigabytes: float, repeats: int) -> dict[str, Any]:
    """Return the seconds a gigabyte of either's restore, its check included, of the same database."""
    path = bench_database.filled(folder, gigabytes)
    size = path.stat().st_size / 1e9
    keys = open_keys(folder, unlock_folder=folder / "keyrings")
    with closing(shipper(folder)) as ships:
        ships.ship()
    peer = Litestream(folder)
    begun = time.perf_counter()
    peer.once()
    snapshot = time.perf_counter() - begun
    target = folder / "restored.db"
    deeds = {
        "audobon": lambda: restore_database(own_copy(folder), keys, target),
        "litestream": lambda: peer.restore(target),
    }
    taken: dict[str, list[float]] = {name: [] for name in deeds}
    for turn in range(repeats):
        for name in deeds if turn % 2 == 0 else reversed(deeds):
            begun = time.perf_counter()
            deeds[name]()
            taken[name].append(time.perf_counter() - begun)
            target.unlink()
    keys.close()
    found: dict[str, Any] = {"size_gb": round(size, 3), "snapshot_s_per_gb": round(snapshot / size, 2)}
    for name, seconds in taken.items():
        found[f"{name}_restore_s_per_gb"] = [round(each / size, 2) for each in sorted(seconds)]
    return found


def pgbackrest(folder: Path, gigabytes: float, repeats: int) -> dict[str, Any]:
    """Lose a PostgreSQL 15 and restore it with pgBackRest, as bench_postgres_recovery.py does with 18."""
    program = shutil.which("pgbackrest")
    if program is None or not POSTGRES_15.exists():
        return {"left_out": "pgbackrest and postgresql-15 are not installed: apt install pgbackrest"}
    folder.chmod(0o755)
    rest = folder / "pgbackrest"
    settings: Mapping[str, str] = {
        name: value for name, value in SETTINGS.items() if name != "summarize_wal"
    } | {
        "archive_mode": "on",
        "archive_command": f"{program} --config={rest}/rest.conf --stanza=page archive-push %p",
    }
    rows = int(gigabytes * 1e9 / ROW_BYTES)
    with PostgresServer(settings=settings, binaries=POSTGRES_15) as server:
        owner = (server.folder / "data").stat().st_uid
        _configure(rest, server.folder, owner)

        def run(*arguments: str) -> float:
            begun = time.perf_counter()
            done = subprocess.run(
                [program, f"--config={rest}/rest.conf", "--stanza=page", *arguments],
                capture_output=True,
                text=True,
                user=owner if os.getuid() == 0 else None,
            )
            if done.returncode:
                raise SystemExit(f"pgbackrest {arguments} ended with {done.returncode}: {done.stdout}")
            return time.perf_counter() - begun

        def execute(*statements: str) -> list[tuple[Any, ...]]:
            with psycopg.connect(server.url, autocommit=True) as connection:
                for statement in statements:
                    found = connection.execute(statement.encode())
                return found.fetchall() if found.description else []

        run("stanza-create")
        execute(
            "CREATE TABLE page (id bigint PRIMARY KEY, words text)",
            f"INSERT INTO page {ROW} FROM generate_series(1, {rows}) i",
            "VACUUM (FREEZE) page",
            "CHECKPOINT",
        )
        whole = run("--type=full", "backup")
        execute("UPDATE page SET words = reverse(words) WHERE id % 200 = 0", "CHECKPOINT")
        changed = run("--type=incr", "backup")
        ((start,),) = execute("SELECT pg_current_wal_lsn()::text")
        done = 0.0
        while done < WAL_BYTES:
            execute(f"UPDATE page SET words = reverse(words) WHERE id % 997 = {int(done) % 997}")
            ((done,),) = execute(f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{start}')::float8")
        check = "SELECT count(*), sum(hashtext(words)::bigint) FROM page"
        expected = execute(check)
        run("check")  # switches to a new segment of the log, and waits until the last is archived
        size = sum(path.stat().st_size for path in (server.folder / "data").rglob("*") if path.is_file())
        seconds = []
        for _ in range(repeats):
            server.kill9()
            for path in (server.folder / "data").iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            begun = time.perf_counter()
            run("restore")
            os.sync()
            server.start()
            _wait_until(lambda: execute("SELECT pg_is_in_recovery()") == [(False,)])
            seconds.append(time.perf_counter() - begun)
            if execute(check) != expected:
                raise SystemExit("what pgBackRest restored is not what was there")
    version = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "version": version,
        "server_bytes": size,
        "log_bytes": done,
        "whole_seconds": round(whole, 1),
        "changed_seconds": round(changed, 1),
        "restore_seconds": [round(each, 1) for each in sorted(seconds)],
        "restore_s_per_gb": round(statistics.median(seconds) / (size / 1e9), 1),
    }


def _configure(rest: Path, server: Path, owner: int) -> None:
    """Encrypted, compressed as lightly as it can, on both cores: its fastest honest way."""
    rest.mkdir()
    for name in ("repository", "log", "lock", "spool"):
        (rest / name).mkdir()
    (rest / "rest.conf").write_text(
        f"[global]\nrepo1-path={rest}/repository\nrepo1-cipher-type=aes-256-cbc\n"
        "repo1-cipher-pass=no secret: it guards made-up rows\nrepo1-retention-full=2\n"
        f"compress-type=lz4\nprocess-max=2\nstart-fast=y\nlog-path={rest}/log\nlock-path={rest}/lock\n"
        f"spool-path={rest}/spool\n[page]\npg1-path={server}/data\npg1-socket-path={server}/s\npg1-user=postgres\npg1-database=postgres\n"
    )
    for path in (rest, *rest.rglob("*")):
        os.chown(path, owner, owner)


def _wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + _WAIT_SECONDS
    while not is_so():
        if time.monotonic() > until:
            raise SystemExit("the peer did not get ready")
        time.sleep(0.01)


if __name__ == "__main__":
    main()
