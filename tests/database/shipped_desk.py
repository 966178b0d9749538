"""A database that is shipped, and what was in it after each commit."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

from audobon.database.generations import Generation, Position, generations
from audobon.database.restoring import restore_database
from audobon.database.shipping import Shipper
from audobon.keys.service import Keys
from audobon.keys.unlocking import open_keys
from audobon.sqlite import Connection, connect, transaction
from audobon.storage.embedded import FolderObjectStore

Content = list[tuple[object, ...]]


class Desk:
    """A database, its shipper and its copy.

    seen  what was in it after each commit, by the number the commit wrote into it
    """

    def __init__(self, folder: Path, *, is_new: bool = True) -> None:
        self.folder = folder
        self.path = folder / "audobon.db"
        self.keys: Keys = open_keys(folder, unlock_folder=folder / "keyrings")
        self.store = FolderObjectStore({"standard": folder})
        self.now = 1_000_000.0
        self.connection: Connection = connect(self.path, grouped=True, keeps_log=True)
        self.shipper = self.new_shipper()
        self.seen: dict[int, Content] = {}
        self.number = 0
        if not is_new:
            return
        self.write("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)", "CREATE TABLE mark (number)")

    def new_shipper(self) -> Shipper:
        return Shipper(self.path, self.store, self.keys, clock=lambda: self.now)

    def write(self, *statements: str) -> None:
        """Commit statements, with the number of this commit, and note what is there then."""
        self.number += 1
        with transaction(self.connection):
            for statement in statements:
                self.connection.execute(statement)
            self.connection.execute("DELETE FROM mark")
            self.connection.execute("INSERT INTO mark VALUES (?)", (self.number,))
        self.seen[self.number] = content(self.connection)

    def write_many(self, count: int) -> None:
        for _ in range(count):
            self.write(f"INSERT INTO note (text) VALUES ('{self.number:04d}')")

    def ship(self) -> Position:
        self.now += 1
        return self.shipper.ship()

    def restored(self, to: int | None = None) -> Content:
        """Return what is in the database restored to a commit, or the last."""
        into = self.folder / "restored.db"
        restore_database(self.store, self.keys, into, to=to, overwrite=True)
        with closing(sqlite3.connect(f"file:{into}?immutable=1", uri=True)) as connection:
            return content(connection)

    def generations(self) -> list[Generation]:
        return generations(self.store)

    def objects(self) -> list[str]:
        return [entry.name for entry in self.store.list("wal/")]

    def reopen(self) -> None:
        """Close everything, as when the last process ends, and begin again."""
        self.shipper.close()
        self.connection.close()
        self.connection = connect(self.path, grouped=True, keeps_log=True)
        self.shipper = self.new_shipper()

    def close(self) -> None:
        self.shipper.close()
        self.connection.close()
        self.keys.close()


def content(connection: sqlite3.Connection) -> Content:
    """Return all rows of all tables, and the schema."""
    tables = [
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
    ]
    found: Content = [tuple(row) for row in connection.execute("SELECT sql FROM sqlite_master ORDER BY 1")]
    for table in tables:
        rows = [tuple(row) for row in connection.execute(f'SELECT * FROM "{table}"')]
        found += [(table, *row) for row in sorted(rows, key=repr)]
    return found


def number_in(found: Content) -> int:
    """Return the number of the commit that wrote it."""
    return next(int(str(row[1])) for row in found if row[0] == "mark")


def random_deed(draw: random.Random, number: int) -> list[str]:
    """Return the statements of one commit: rows, many rows, schema, or nothing but its number."""
    kind = draw.random()
    if kind < 0.5:
        return [f"INSERT INTO note (text) VALUES ('{number:06d}{'x' * draw.randrange(2000)}')"]
    if kind < 0.7:
        return [f"UPDATE note SET text = '{number}' WHERE id % {draw.randrange(1, 9)} = 0"]
    if kind < 0.85:
        return [f"DELETE FROM note WHERE id % {draw.randrange(2, 9)} = 0"]
    if kind < 0.9:
        return [f"CREATE TABLE more_{number} (x)", f"INSERT INTO more_{number} VALUES (randomblob(9000))"]
    return []
