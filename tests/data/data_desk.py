"""A data folder with everything that the room of data works on; and places for its copies."""

import shutil
from contextlib import closing
from pathlib import Path

import msgspec

from audobon.app import App
from audobon.backup.ledger_copies import learn_erasures
from audobon.backup.repository import KEYSTORES, PACKS, initialise, open_repository
from audobon.data.certificate import KeepTimes
from audobon.data.service import DataRoom
from audobon.ids import new_id
from audobon.jobs.ingest import TakenEntry
from audobon.jobs.records import JobRecords
from audobon.pages.documents import Entry
from audobon.pages.picture_info import PictureInfo
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Claimant, Needs, NewTask
from audobon.settings import Settings, StorageSettings

START = 1_767_225_600.0
"""1 January 2026, UTC."""

PNG = b"\x89PNG\r\n\x1a\n"
INFO = PictureInfo(width=8, height=8, mode="RGB", format="PNG")


class DataDesk:
    """An Audobon in a folder of its own, with a clock that tests turn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.now = START
        self.places: list[Path] = []
        self.app = App(Settings(storage=StorageSettings(folder=self.folder)))
        self.room = self._room()

    def _room(self) -> DataRoom:
        app = self.app
        return DataRoom(
            app.folder,
            app.database,
            app.jobs,
            app.storage,
            app.cache,
            app.keys,
            lambda: self.places,
            KeepTimes(copy_days=37.0, place_days=372.0),
            clock=lambda: self.now,
        )

    def open_anew(self) -> None:
        """Go on as another process would."""
        self.close()
        self.app = App(self.app.settings)
        self.room = self._room()

    def close(self) -> None:
        self.app.log.close()
        self.app.cache.close()
        self.app.storage.close()
        self.app.keys.close()

    def add_place(self, path: Path) -> Path:
        """Make a folder a place, with a copy of what there is now."""
        initialise(path, self.app.keys, at=self.now)
        self.places.append(path)
        self.back_up(path)
        return path

    def back_up(self, path: Path) -> None:
        """Copy the packs and the keystore to a place, as a backup does."""
        repository = open_repository(path, self.app.keys, rights="create")
        for info in self.app.storage.store.list():
            name = PACKS + info.name
            if not (path / name).exists():
                with self.app.storage.store.open(info.name) as file, repository.store.create(name) as copy:
                    shutil.copyfileobj(file, copy)
        repository.write(f"{KEYSTORES}{new_id()}.age", self.app.keys.export_for_recovery())

    def job(
        self,
        name: str,
        pages: dict[str, bytes],
        *,
        state: str = "partial",
        result: bytes = PNG + b"made of it",
        at: float | None = None,
    ) -> str:
        """Put a job of a person on record with its pages; all are done when it has results."""
        app, subject = self.app, self.app.keys.subject(name)
        job_id = new_id()
        with (
            closing(app.database.open()) as connection,
            SqliteQueue(connection, keys=app.keys, clock=lambda: at or self.now) as queue,
        ):
            entries = [
                TakenEntry(
                    Entry(page, True, len(data), START),
                    app.storage.put(data, subject=subject, kind="page"),
                    len(data),
                    INFO,
                    None,
                )
                for page, data in pages.items()
            ]
            values = {
                "id": job_id,
                "key": job_id,
                "operation": "upscale",
                "settings": '{"scale":2}',
                "source": f"/comics/{name}/secret.cbz",
                "target": None,
                "document_kind": "book",
                "created_at": at or self.now,
                "subject": subject,
            }
            records = JobRecords(connection, app.keys)
            records.add(values, entries)
            queue.enqueue(
                "batch",
                [
                    NewTask(
                        needs=Needs(kind="page"),
                        payload='{"of":"the page"}',
                        job_id=job_id,
                        ordinal=ordinal,
                        subject=subject,
                    )
                    for ordinal in range(len(entries))
                ],
            )
            for lease in queue.claim(Claimant(owner="w"), limit=len(entries)):
                blob = app.storage.put(result + b"%d" % (lease.ordinal or 0), subject=subject, kind="result")
                queue.finish(lease, blob=blob, result='{"findings":["a balloon"]}')
            records.set_state(job_id, state, at=at or self.now)
        app.cache.of_subject(subject).put(job_id.encode(), b"a tile", kind="tile", seconds=1.0)
        app.log.write("page", "page done", subject=subject, job=job_id, page=next(iter(pages)))
        return job_id

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with closing(self.app.database.open()) as connection:
            return [tuple(row) for row in connection.execute(sql)]

    def log_text(self) -> str:
        return (self.folder / "logs" / "audobon.jsonl").read_text()

    def learn(self, place: Path) -> list[str]:
        """Do what a restore from a place does before anything is opened to work on."""
        return learn_erasures(open_repository(place, self.app.keys, rights="read").store, self.app.keys)


def as_json(path: Path) -> object:
    return msgspec.json.decode(path.read_bytes())
