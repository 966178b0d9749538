"""A database that is brought up to date, or back, goes on being shipped: nothing of its history is lost."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from old_databases import REVISIONS, contents, make_file
from shipping_processes import shipper

from audobon.database.continuous import ContinuousShipping
from audobon.database.copies import own_copy
from audobon.database.generations import Generation, generations
from audobon.database.restoring import restore_database
from audobon.database.service import Database
from audobon.keys.unlocking import open_keys
from audobon.sqlite import connect, keeping_log, transaction


class Folder:
    """A data folder whose database is of the first schema, and shipped up to `old_commit`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "audobon.db"
        make_file(self.file, REVISIONS[0])
        with closing(shipper(path)) as first:
            self.old_commit = first.ship().commit
        self.old = self.restored()

    def database(self, *, migrates_apart: bool = False) -> Database:
        shipping = ContinuousShipping(self.file, lambda: shipper(self.path), seconds=0.02)
        return Database(self.path, shipping=shipping, migrates_apart=migrates_apart)

    def restored(self, to: int | None = None) -> list[str]:
        target = self.path / "restored.db"
        with closing(open_keys(self.path, unlock_folder=self.path / "keyrings")) as keys:
            restore_database(own_copy(self.path), keys, target, to=to, overwrite=True)
        return contents(target)

    def held(self) -> list[str]:
        with keeping_log(str(self.file)):
            return contents(self.file)

    def generations(self) -> list[Generation]:
        return generations(own_copy(self.path))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    return Folder(tmp_path)


@pytest.mark.parametrize("migrates_apart", [False, True])
def test_a_migration_is_shipped_like_any_commit(folder: Folder, *, migrates_apart: bool) -> None:
    folder.database(migrates_apart=migrates_apart).open().close()
    assert len(folder.generations()) == 1
    assert folder.restored(folder.old_commit) == folder.old
    assert folder.restored() == folder.held()
    assert folder.restored() != folder.old


def test_what_was_committed_just_before_a_migration_is_a_point_of_its_own(folder: Folder) -> None:
    with closing(connect(folder.file, keeps_log=True)) as connection, transaction(connection):
        connection.execute("UPDATE job SET source = 'another.cbz'")
    folder.database().open().close()
    assert len(folder.generations()) == 1
    assert [line for line in folder.restored(folder.old_commit + 1) if line not in folder.old] == [
        line.replace("book.cbz", "another.cbz") for line in folder.old if "book.cbz" in line
    ]


def test_undoing_a_migration_is_shipped_like_any_commit(folder: Folder) -> None:
    database = folder.database()
    database.open().close()
    new = folder.held()
    with closing(shipper(folder.path)) as ships:
        last = ships.ship().commit
        database.undo_migration()
        ships.ship()
    assert len(folder.generations()) == 1
    assert folder.restored(last) == new
    assert folder.restored() == folder.old == folder.held()


def test_a_migration_whose_log_outgrows_its_bounds_begins_a_generation_and_loses_none(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audobon.sqlite._LOG_LIMIT_BYTES", 40_000)
    with closing(connect(folder.file, keeps_log=True)) as connection, transaction(connection):
        connection.execute("UPDATE job SET source = 'another.cbz'")
    folder.database().open().close()
    assert len(folder.generations()) == 2
    assert folder.restored(folder.old_commit) == folder.old
    assert any("another.cbz" in line for line in folder.restored(folder.old_commit + 1))
    assert folder.restored() == folder.held()
    with closing(sqlite3.connect(folder.file)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISIONS[-1],)]
