"""A data folder with jobs, blobs and a place of backups, as a process of its own has it each time."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from audobon.app import App
from audobon.config import load
from audobon.recovery.recovery_words import NOBODY, Words
from audobon.recovery.told import Mended

_JOB = (
    "INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
    " VALUES (?, ?, 'upscale', '{}', ?, 'folder', 'interrupted', 1)"
)
_ENTRY = "INSERT INTO entry (job_id, ordinal, name, is_page, blob, size_bytes) VALUES (?, ?, ?, 1, ?, 1)"


class Home:
    """Everything a person has on one machine, and a disk for backups."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "data"
        self.place = root / "place"
        self.document = root / "comic"
        self.document.mkdir()
        self.database = self.folder / "audobon.db"
        self.chance = random.Random(11)
        settings = load()
        self._settings = msgspec.structs.replace(
            settings,
            storage=msgspec.structs.replace(settings.storage, folder=self.folder),
            database=msgspec.structs.replace(settings.database, shipping="sync"),
            keys=msgspec.structs.replace(settings.keys, protector="unlock-file"),
        )

    @contextmanager
    def app(self) -> Iterator[App]:
        """Open it all, as a command does, and close it."""
        app = App(self._settings)
        try:
            yield app
        finally:
            app.storage.close()
            app.log.close()
            app.keys.close()

    def add_job(self, name: str, pages: int = 2) -> None:
        with self.app() as app, closing(app.database.open()) as connection:
            keys = [app.storage.put(self.chance.randbytes(50_000), kind="page") for _ in range(pages)]
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_JOB, (name, name, str(self.document)))
            for ordinal, key in enumerate(keys):
                connection.execute(_ENTRY, (name, ordinal, f"page{ordinal}.png", key))
            connection.execute("COMMIT")

    def back_up(self) -> None:
        with self.app() as app:
            app.backups().add(self.place)
            app.backups().make()

    def words(self) -> Words:
        with self.app() as app:
            text = app.keys.recovery_words()
        return Words(lambda: text, are_given=True)

    def mend(self, *, words: Words = NOBODY, is_thorough: bool = True) -> list[Mended]:
        with self.app() as app:
            return app.recovery.mend(words=words, is_thorough=is_thorough)

    def mended(self, **options: bool) -> list[str]:
        return [each.what for each in self.mend(**options)]  # type: ignore[arg-type]

    def jobs(self) -> list[str]:
        with self.app() as app:
            return sorted(job.id for job in app.jobs.list())

    def lacking(self) -> int:
        """Return how many blobs that jobs need cannot be read whole."""
        with self.app() as app, closing(app.database.open()) as connection:
            keys = [row[0] for row in connection.execute("SELECT blob FROM entry WHERE blob IS NOT NULL")]
            return sum(not app.storage.is_intact(key) for key in keys)

    def restorable(self) -> set[str]:
        """Return the jobs in the newest that the own copy of the database restores to."""
        from audobon.database.copies import own_copy
        from audobon.database.restoring import restore_database

        target = self.folder.parent / "restored.db"
        with self.app() as app:
            restore_database(own_copy(self.folder), app.keys, target, overwrite=True)
        with closing(sqlite3.connect(target)) as connection:
            return {row[0] for row in connection.execute("SELECT id FROM job")}

    def packs(self) -> list[Path]:
        return sorted((self.folder / "blobs").glob("*/*/*/*.pack"))

    def kept(self) -> dict[str, bytes]:
        """Return what was kept of what was damaged, by name."""
        return {path.name: path.read_bytes() for path in (self.folder / "damaged").glob("*/audobon.db*")}
