"""A PostgreSQL server, a receiver of its log, and the place of its copies, for tests to damage."""

import shutil
import time
from pathlib import Path
from typing import Any

import psycopg
from postgres_server import PostgresServer

from audobon.database.postgres import Address
from audobon.database.postgres_backups import BaseBackups
from audobon.database.postgres_objects import PostgresObjects
from audobon.database.postgres_places import owner
from audobon.database.postgres_programs import Programs
from audobon.database.postgres_recovery import NEWEST, Recovery, Target
from audobon.database.postgres_starting import carry_out
from audobon.database.postgres_wal import WalArchive, WalReceiver
from audobon.keys.unlocking import open_keys
from audobon.storage.embedded import FolderObjectStore

SETTINGS = {"wal_level": "replica", "summarize_wal": "on", "max_wal_senders": "5"}
WAIT_SECONDS = 30.0


class Site:
    """A server, a receiver of its log, and the place of its copies."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server = server
        self.address = Address(server.url)
        self.programs = Programs(server.binaries)
        self.received = folder / "received"
        self.place = folder / "place"
        self.store = FolderObjectStore({"standard": self.place})
        self.keys = open_keys(folder / "data", unlock_folder=folder / "unlock")
        self.objects = PostgresObjects(self.store, self.keys)
        self.backups = BaseBackups(self.objects, self.programs)
        self.receiver = WalReceiver(self.address, self.received, self.programs)
        self.archive = WalArchive(self.objects, self.received)
        self.recovery = Recovery(self.objects, self.programs, received_in=self.received)

    def begin(self) -> None:
        """Start the receiver and have the server wait for it."""
        self.receiver.start()
        self.receiver.require()
        until = time.monotonic() + WAIT_SECONDS
        while not self.receiver.is_synchronous():
            assert time.monotonic() < until
            time.sleep(0.01)

    def ship(self, **options: Any) -> list[str]:
        return self.archive.ship(system_identifier=owner(self.objects), **options).names

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            for statement in statements:
                found = connection.execute(statement)  # type: ignore[call-overload]
            return found.fetchall() if found.description else []  # type: ignore[no-any-return]


def restored_rows(site: Site, target: Target = NEWEST) -> list[int]:
    """Restore beside the server, have it recover, and return the rows it has."""
    rows: list[int] = []
    folder = site.server.folder / "beside"
    done = site.recovery.restore(folder, target)

    def look(connection: Any) -> None:
        rows.extend(number for (number,) in connection.execute("SELECT id FROM note ORDER BY id"))

    carry_out(folder, site.programs, user=done.user, look=look)
    shutil.rmtree(folder)
    return rows


def wait_for_files(site: Site, count: int) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while sum(len(path.name) == 24 for path in site.received.iterdir()) < count:
        assert time.monotonic() < until
        time.sleep(0.01)
