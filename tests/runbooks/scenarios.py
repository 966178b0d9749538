"""What each page of the runbooks is about: how it strikes, and how it is when the page is done."""

import os
import shutil
import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from runbook_desk import Desk, State, damage, database_revision, rows

from audobon.database import migrate
from audobon.database.precautions import kept_copies
from audobon.database.revisions import SCHEMA_REVISION
from audobon.errors import Denied
from audobon.storage.embedded import FolderObjectStore

OLD_SCHEMA = "0004"
# What the pages call it: each is another one at each desk.
BACKUP_ID, JOB_ID = "20260131-010203-3f9a1c", "20260131-174502-7c31d0"
BLOB, COMMIT, INSTANT = "4f1c66d0a9b1e23c", "4711", "2026-01-31T18:00:00"


class Scenario(ABC):
    """One failure."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        assert desk.state is not None
        self.before: State = desk.state

    @abstractmethod
    def strike(self) -> None:
        """Let it happen."""

    def check(self) -> None:
        """All is there again, byte for byte and row for row, and the places are sound and filled."""
        found = self.desk.look()
        assert found.jobs == self.before.jobs
        assert found.blobs == self.before.blobs
        assert found.rows == self.before.rows
        self.check_places(2)

    def check_places(self, count: int) -> None:
        verified = self.desk.told("backup", "verify")
        assert [each["faults"] for each in verified["places"]] == [[]] * count
        self.desk.audobon("database", "check")
        self.desk.audobon("backup", "status")


class DiskLost(Scenario):
    def strike(self) -> None:
        shutil.rmtree(self.desk.folder)


class DatabaseDamaged(Scenario):
    def strike(self) -> None:
        damage(self.desk.folder / "audobon.db")
        for end in ("-wal", "-shm"):
            Path(f"{self.desk.folder / 'audobon.db'}{end}").unlink(missing_ok=True)

    def check(self) -> None:
        super().check()
        assert len(list((self.desk.folder / "damaged").glob("*/audobon.db"))) == 1


class UnlockFileLost(Scenario):
    def strike(self) -> None:
        shutil.rmtree(self.desk.unlock)


class KeystoreDamaged(Scenario):
    def strike(self) -> None:
        damage(self.desk.folder / "keys" / "keystore.db")


class KeystoreLost(Scenario):
    def strike(self) -> None:
        shutil.rmtree(self.desk.folder / "keys")


class PassphraseForgotten(Scenario):
    def strike(self) -> None:
        file = self.desk.home / "passphrase"
        file.write_text("correct horse battery\n", encoding="utf-8")
        self.desk.audobon("keys", "protect", "--with", "passphrase", "--passphrase-file", file)
        file.unlink()


class RegionLost(Scenario):
    """The machine and the first place are gone; left are the second place, and the words on paper."""

    def strike(self) -> None:
        old = self.desk.home
        self.desk.move_to(self.desk.root / "new-home")
        shutil.rmtree(old)
        shutil.rmtree(self.desk.backup)


class Ransomware(Scenario):
    """Somebody has the machine, and with it all that makes backups: the writer's identity and the keys."""

    def strike(self) -> None:
        clean = self.desk.told("backup", "list", self.desk.offsite)["places"][0]["backups"][-1]
        self.desk.names[BACKUP_ID] = clean["id"]
        for job in self.before.jobs:
            self.desk.audobon("jobs", "discard", job["id"])
        noise = self.desk.home / "noise"
        noise.write_bytes(os.urandom(3 << 20))
        self.desk.audobon("storage", "put", noise)
        self.desk.audobon("backup", "now")
        self._attack_the_second_place()
        for folder in (self.desk.home, self.desk.backup):
            for path in folder.rglob("*"):
                if path.is_file() and path.name != "words.txt":
                    damage(path)
        old = self.desk.home
        self.desk.move_to(self.desk.root / "new-home")
        shutil.rmtree(old)

    def _attack_the_second_place(self) -> None:
        """Do the worst that whoever may only create can do."""
        store = FolderObjectStore({"standard": self.desk.offsite}, rights="create")
        for info in list(store.list("")):
            try:
                store.delete(info.name)
            except Denied:
                continue
            raise AssertionError(f"{info.name} could be removed")
        with store.create("manifests/000000000003.json") as file:
            file.write(os.urandom(500))

    def check(self) -> None:
        super().check()
        status = self.desk.told("keys", "status")
        assert int(status["kek_version"]) > 1
        assert status["tenant_version"] == 2


class BadDeploy(Scenario):
    """A new version brought the schema up to date, and then wrote nonsense."""

    def strike(self) -> None:
        self.path = self.desk.folder / "audobon.db"
        set_back(self.path, OLD_SCHEMA)
        self.old_rows = rows(self.path)
        self.desk.audobon("database", "migrate")
        # A command of every day, so that the schema and what it wrote are shipped.
        self.desk.audobon("jobs", "list")
        self.new_rows = rows(self.path)
        self.desk.names[COMMIT] = str(self.desk.told("database", "status")["shipped"]["commit"])
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("UPDATE job SET state = 'failed', operation = 'nonsense'")
            connection.commit()

    def check(self) -> None:
        assert database_revision(self.path) == OLD_SCHEMA
        assert rows(self.path) == self.old_rows
        copies = [copy for copy in kept_copies(self.path) if copy.revision == SCHEMA_REVISION]
        assert [rows(copy.path) for copy in copies] == [self.new_rows]
        # The new version, mended, takes it up again.
        super().check()


def set_back(path: Path, revision: str) -> None:
    """Put a database with the same rows, but of an older schema, in the place of one."""
    older = path.with_name("older.db")
    migrate.upgrade(older, revision)
    with closing(sqlite3.connect(older)) as connection:
        connection.execute("ATTACH ? AS newer", (str(path),))
        tables = connection.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for (table,) in tables:
            if table in ("alembic_version", "schema_floor"):
                continue
            columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"DELETE FROM main.{table}")
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}")
        connection.commit()
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
        Path(f"{older}{end}").unlink(missing_ok=True)
    older.replace(path)


class WrongDelete(Scenario):
    """A job is discarded, a file of one's own deleted, a page overwritten."""

    def strike(self) -> None:
        desk = self.desk
        (self.job,) = [each for each in self.before.jobs if each["state"] == "partial"]
        (stored,) = [each for each in desk.told("storage", "list") if each["kind"] == "user"]
        self.stored = stored["key"]
        desk.names |= {
            JOB_ID: self.job["id"],
            BLOB: self.stored[:16],
            INSTANT: datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00"),
        }
        desk.audobon("jobs", "discard", self.job["id"])
        desk.audobon("storage", "delete", self.stored)
        (desk.home / "heron" / "page-1.png").write_bytes(b"overwritten")

    def check(self) -> None:
        """The file is there again, the pages are found, the page is mended, and then lies beside now."""
        home = self.desk.home
        found = {path.name: path.read_bytes() for path in (home / "found" / "pages").iterdir()}
        assert sorted(found) == ["page-1.png", "page-2.png", "page-3.png"]
        assert set(found.values()) <= set(self.before.blobs.values())
        assert (home / "heron" / "page-1.png").read_bytes() == found["page-1.png"]
        now, then = self.desk.look(), self.desk.look(home / "then")
        assert now.jobs == [each for each in self.before.jobs if each != self.job]
        assert now.blobs[self.stored] == self.before.blobs[self.stored]
        assert (then.jobs, then.blobs, then.rows) == (self.before.jobs, self.before.blobs, self.before.rows)
        self.check_places(2)


SCENARIOS: dict[str, tuple[type[Scenario], ...]] = {
    "disk-lost": (DiskLost,),
    "database-damaged": (DatabaseDamaged,),
    "key-lost": (UnlockFileLost, PassphraseForgotten, KeystoreDamaged, KeystoreLost),
    "region-lost": (RegionLost,),
    "ransomware": (Ransomware,),
    "bad-deploy": (BadDeploy,),
    "wrong-delete": (WrongDelete,),
}
