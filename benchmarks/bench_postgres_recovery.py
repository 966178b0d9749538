"""How soon is a lost PostgreSQL server back, and with what? See the section in README.md.

bench_postgres_recovery.py [--quick] [--rounds N] [--kills N]
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from measuring import ROOT, machine, save, table, verdict

sys.path.insert(0, str(ROOT / "tests" / "queue"))

from postgres_server import PostgresServer

from audobon.database.postgres import Address
from audobon.database.postgres_backups import BaseBackup, BaseBackups
from audobon.database.postgres_objects import PostgresObjects
from audobon.database.postgres_places import owner
from audobon.database.postgres_programs import Programs
from audobon.database.postgres_recovery import Recovery
from audobon.database.postgres_starting import carry_out
from audobon.database.postgres_wal import WalArchive, WalReceiver
from audobon.keys.unlocking import open_keys
from audobon.storage.embedded import FolderObjectStore

SETTINGS = {
    "wal_level": "replica",
    "summarize_wal": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
}
ROW = "SELECT i, " + " || ".join(f"encode(sha512((i * 8 + {part})::text::bytea), 'hex')" for part in range(8))
ROW_BYTES = 1170
WAL_BYTES = 100_000_000
RTO_GOAL = 8.0
WAIT_SECONDS = 60.0


class Site:
    """A server that syncs, a receiver of its log, and the place of its copies."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server, self.address = server, Address(server.url)
        self.programs = Programs(server.binaries)
        self.received = folder / "received"
        self.store = FolderObjectStore({"standard": folder / "place"})
        self.objects = PostgresObjects(
            self.store, open_keys(folder / "data", unlock_folder=folder / "unlock")
        )
        self.backups = BaseBackups(self.objects, self.programs)
        self.receiver = WalReceiver(self.address, self.received, self.programs)
        self.archive = WalArchive(self.objects, self.received)
        self.recovery = Recovery(self.objects, self.programs, received_in=self.received)

    def begin(self) -> None:
        """Start the receiver; return when the server waits for it."""
        self.receiver.start()
        self.receiver.require()
        until = time.monotonic() + WAIT_SECONDS
        while not self.receiver.is_synchronous():
            if time.monotonic() > until:
                raise SystemExit("the receiver never became synchronous")
            time.sleep(0.01)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements; return the rows of the last."""
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            for statement in statements:
                found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    def recover(self) -> float:
        """Restore in place of the lost folder until the server writes again; return the seconds."""
        return sum(self.recover_by_steps())

    def recover_by_steps(self) -> tuple[float, float]:
        """Do the same; return the seconds of making the folder, and of the server's way through its log."""
        begun = time.perf_counter()
        done = self.recovery.restore(self.server.folder / "data")
        made = time.perf_counter()
        carry_out(done.folder, self.programs, user=done.user)
        return made - begun, time.perf_counter() - made

    def floor(self) -> tuple[float, float]:
        """Do it with nothing packed, sealed or proved: copy the made folder, and start the server on it."""
        made, copy = self.server.folder / "made", self.server.folder / "copied"
        done = self.recovery.restore(made)
        begun = time.perf_counter()
        # Of the same owner, as `restore` gives it.
        subprocess.run(["cp", "-a", made, copy], check=True)
        copied = time.perf_counter()
        carry_out(copy, self.programs, user=done.user)
        seconds = copied - begun, time.perf_counter() - copied
        shutil.rmtree(made)
        shutil.rmtree(copy)
        return seconds

    def stored_bytes(self, backup: str) -> int:
        """Return what a backup takes in its place."""
        return self.store.stat(f"postgres/base/{backup}/data").size_bytes


def main() -> None:
    """Measure, judge, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a trial on 0.1 GB; saves nothing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    gigabytes = 0.1 if options.quick else 1.0
    rounds = 1 if options.quick else options.rounds
    kills = 5 if options.quick else options.kills
    figures = {"machine": machine(), "restore": restore_times(gigabytes, rounds), "loss": losses(kills)}
    report(figures)
    if not options.quick:
        save("postgres_recovery", figures)


def restore_times(gigabytes: float, rounds: int) -> dict[str, Any]:
    """Back up and restore a large server; every round loses it anew."""
    rows = int(gigabytes * 1e9 / ROW_BYTES)
    with (
        PostgresServer(settings=SETTINGS) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        site = Site(server, Path(folder))
        site.execute(
            "CREATE TABLE page (id bigint PRIMARY KEY, words text)",
            f"INSERT INTO page {ROW} FROM generate_series(1, {rows}) i",
            # Else the first reading would change every page, and count as a change of them all.
            "VACUUM (FREEZE) page",
            "CHECKPOINT",
        )
        site.begin()
        copies = [_copy_seconds(server.folder)]
        whole, whole_seconds = _timed(lambda: site.backups.take(site.address))
        step = 200
        site.execute(f"UPDATE page SET words = reverse(words) WHERE id % {step} = 0", "CHECKPOINT")
        changed, changed_seconds = _timed(lambda: site.backups.take(site.address, since=whole.id))
        ((start,),) = site.execute("SELECT pg_current_wal_lsn()::text")
        done = 0.0
        while done < WAL_BYTES:
            site.execute(f"UPDATE page SET words = reverse(words) WHERE id % 997 = {int(done) % 997}")
            ((done,),) = site.execute(f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{start}')::float8")
        site.archive.ship(system_identifier=owner(site.objects), partial=True)
        # The log was received on the way; only what came after the last backup is gone through.
        check = "SELECT count(*), sum(hashtext(words)::bigint) FROM page"
        expected = site.execute(check)
        copies.append(_copy_seconds(server.folder))
        stored = [site.stored_bytes(backup.id) for backup in (whole, changed)]
        steps, floors = [], []
        proving = _proving_seconds(site, whole)
        for _ in range(rounds):
            server.kill9()
            site.receiver.stop()
            shutil.rmtree(server.folder / "data")
            floors.append(site.floor())
            steps.append(site.recover_by_steps())
            server.start()
            if site.execute(check) != expected:
                raise SystemExit("what was restored is not what was there")
    return {
        "server_bytes": whole.size_bytes,
        "raw_copy_seconds": copies,
        "whole_seconds": whole_seconds,
        "whole_stored_bytes": stored[0],
        "changed_seconds": changed_seconds,
        "changed_stored_bytes": stored[1],
        "log_bytes": done,
        "restore_seconds": [sum(each) for each in steps],
        "restore_made_and_recovered_seconds": steps,
        "floor_copied_and_recovered_seconds": floors,
        "whole_proving_seconds": proving,
    }


def losses(kills: int) -> dict[str, Any]:
    """Kill a server that is written to, remove its folder, restore it, and count what is missing."""
    acknowledged, lost, unasked, seconds = 1, 0, 0, []
    draw = random.Random(4)
    with PostgresServer(settings=SETTINGS) as server, tempfile.TemporaryDirectory() as folder:
        site = Site(server, Path(folder))
        site.begin()
        site.execute("CREATE TABLE note (id bigint PRIMARY KEY)", "INSERT INTO note VALUES (1)")
        site.backups.take(site.address)
        for _ in range(kills):
            timer = threading.Timer(draw.uniform(0.05, 0.5), server.kill9)
            timer.start()
            try:
                with psycopg.connect(server.url, autocommit=True) as connection:
                    while True:
                        connection.execute("INSERT INTO note VALUES (%s)", (acknowledged + 1,))
                        acknowledged += 1
            except psycopg.Error:
                timer.join()
            site.receiver.stop()
            shutil.rmtree(server.folder / "data")
            seconds.append(site.recover())
            shutil.rmtree(site.received)
            server.start()
            ((newest, count),) = site.execute("SELECT max(id), count(*) FROM note")
            lost += acknowledged - min(acknowledged, count)
            # A commit that arrived and was not acknowledged in time may be there too.
            unasked += max(0, newest - acknowledged)
            acknowledged = max(newest, 1)
            site.begin()
            site.backups.take(site.address)
    return {
        "kills": kills,
        "acknowledged": acknowledged,
        "lost": lost,
        "arrived_unacknowledged": unasked,
        "restore_seconds_median": statistics.median(seconds),
    }


def report(figures: dict[str, Any]) -> None:
    """Print what was measured, and whether the goals are met."""
    found, loss = figures["restore"], figures["loss"]
    gigabytes = found["server_bytes"] / 1e9
    per_gigabyte = statistics.median(found["restore_seconds"]) / gigabytes
    copy = statistics.median(found["raw_copy_seconds"])
    times = ", ".join(f"{each:.1f}" for each in found["restore_seconds"])
    table(
        f"a server of {gigabytes:.2f} GB; cp -r and sync of it takes {copy:.1f} s",
        ("what", "measured", "goal", ""),
        [
            (
                "whole backup",
                f"{found['whole_seconds']:.1f} s, {found['whole_stored_bytes'] / 1e6:.0f} MB",
                "",
                "",
            ),
            (
                "what changed, 0.5 % of rows",
                f"{found['changed_seconds']:.1f} s, {found['changed_stored_bytes'] / 1e6:.0f} MB",
                "",
                "",
            ),
            (
                f"restore, with {found['log_bytes'] / 1e6:.0f} MB of log",
                f"{per_gigabyte:.1f} s/GB ({times} s)",
                f"<= {RTO_GOAL:.0f} s/GB",
                verdict(per_gigabyte <= RTO_GOAL),
            ),
            ("of it, making the folder", _halves(found["restore_made_and_recovered_seconds"], 0), "", ""),
            ("of it, the server's own way", _halves(found["restore_made_and_recovered_seconds"], 1), "", ""),
            ("proving the whole backup alone", f"{found['whole_proving_seconds']:.1f} s", "", ""),
            ("floor: cp -a of the folder", _halves(found["floor_copied_and_recovered_seconds"], 0), "", ""),
            ("floor: the server's own way", _halves(found["floor_copied_and_recovered_seconds"], 1), "", ""),
            (
                f"acknowledged rows lost in {loss['kills']} kills",
                f"{loss['lost']} of {loss['acknowledged']}",
                "0",
                verdict(loss["lost"] == 0),
            ),
        ],
    )


def _halves(pairs: list[tuple[float, float]], which: int) -> str:
    return f"{statistics.median(pair[which] for pair in pairs):.1f} s"


def _proving_seconds(site: Site, backup: BaseBackup) -> float:
    begun = time.perf_counter()
    site.backups.unpack(backup, None)
    return time.perf_counter() - begun


def _timed(deed: Callable[[], BaseBackup]) -> tuple[BaseBackup, float]:
    begun = time.perf_counter()
    done = deed()
    return done, time.perf_counter() - begun


def _copy_seconds(folder: Path) -> float:
    begun = time.perf_counter()
    copy = folder / "copy"
    shutil.copytree(folder / "data", copy, ignore=shutil.ignore_patterns("pg_wal", "postmaster.pid"))
    os.sync()
    seconds = time.perf_counter() - begun
    shutil.rmtree(copy)
    return seconds


if __name__ == "__main__":
    main()
