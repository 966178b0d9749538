"""How long does erasing a person take, and does any older backup bring it back?

Each round, on a data folder with two places and some backups of each, erases a person with jobs and blobs,
and then restores an older backup into a new folder: with the recovery words alone, from an export of the
keystore that was made before the erasure, put back into the place by hand as a thief of old disks would. The
person has come back when the keyring of the restored folder opens its key, or a row or blob of it is left
after what `audobon` does when it opens a folder that was restored.
"""

import argparse
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from audobon.app import App
from audobon.backup.keyrings import from_words
from audobon.backup.repository import KEYSTORES, open_repository
from audobon.backup.restoring import Point, Restorer
from audobon.config import BackupSettings, Settings, StorageSettings, keyrings_folder
from audobon.errors import SubjectErased
from audobon.ids import new_id
from audobon.jobs.ingest import TakenEntry
from audobon.jobs.records import JobRecords
from audobon.keys.passphrase import Passphrase
from audobon.keys.unlocking import HereProtectors, open_keys
from audobon.pages.documents import Entry
from audobon.pages.picture_info import PictureInfo
from measuring import save, table, verdict

GOAL_SECONDS = 60.0
INFO = PictureInfo(width=8, height=8, mode="RGB", format="PNG")


@contextmanager
def opened(folder: Path, places: tuple[Path, ...]) -> Iterator[App]:
    settings = Settings(storage=StorageSettings(folder=folder), backup=BackupSettings(places=places))
    app = App(settings)
    try:
        yield app
    finally:
        app.log.close()
        app.cache.close()
        app.storage.close()
        app.keys.close()


def work_for(app: App, name: str, *, pages: int, page_bytes: int) -> None:
    """Put a job of a person on record, with its pages."""
    subject, job = app.keys.subject(name), new_id()
    with app.storage.batch(subject=subject, kind="page") as batch:
        entries = [
            TakenEntry(
                Entry(f"page{number}.png", True, page_bytes, 0.0),
                batch.put(random.randbytes(page_bytes)),
                page_bytes,
                INFO,
                None,
            )
            for number in range(pages)
        ]
    values = {
        "id": job,
        "key": job,
        "operation": "upscale",
        "settings": "{}",
        "source": f"/comics/{name}/book.cbz",
        "target": None,
        "document_kind": "book",
        "created_at": time.time(),
        "subject": subject,
    }
    with closing(app.database.open()) as connection:
        records = JobRecords(connection, app.keys)
        records.add(values, entries)
        records.set_state(job, "partial", at=time.time())


def one_round(folder: Path, *, pages: int, page_bytes: int) -> tuple[float, list[str]]:
    """Return how many seconds an erasure took, and how it came back; [] when it did not."""
    places = (folder / "near", folder / "far")
    with opened(folder / "data", places) as app:
        work_for(app, "ben", pages=2, page_bytes=page_bytes)
        backups = app.backups()
        for place in places:
            backups.add(place)
        for _ in range(2):
            work_for(app, "ana", pages=pages, page_bytes=page_bytes)
            backups.make()
        words = app.keys.recovery_words()
        place = random.choice(places)
        old_export = max((place / KEYSTORES).iterdir())
        stolen = shutil.copy2(old_export, folder / "old.age")
        subject = app.keys.find_subject("ana").id

        begun = time.perf_counter()
        erased = app.data.erase("ana")
        seconds = time.perf_counter() - begun
        assert not erased.pending

        for export in (place / KEYSTORES).iterdir():
            export.unlink()
        shutil.copy2(stolen, place / KEYSTORES / old_export.name)
        repository = open_repository(place, None, rights="read")
        stored = random.choice(repository.manifests())
        unlock = folder / "other home"
        restorer = Restorer(
            repository,
            from_words(repository, words, HereProtectors(unlock, Passphrase(), wanted="unlock-file")),
            lambda path: open_keys(path, unlock_folder=unlock),
            [repository.store],
            lambda progress: None,
        )
        restorer.restore(Point([stored]), folder / "restored")
    return seconds, traces(folder / "restored", subject, unlock)


def traces(folder: Path, subject: str, unlock: Path) -> list[str]:
    """Return what a restored folder still has of a subject, once it was opened to be worked in."""
    shutil.copytree(unlock, keyrings_folder(), dirs_exist_ok=True)
    found = []
    with opened(folder, ()) as app:
        app.data.settle_ledger()
        try:
            app.keys.new_data_key(subject)
            found.append("its key opens")
        except SubjectErased:
            pass
        with closing(app.database.open()) as connection:
            for table_name in ("job", "task"):
                count = connection.execute(
                    f"SELECT count(*) FROM {table_name} WHERE subject = ?",
                    (subject,),
                ).fetchone()[0]
                if count:
                    found.append(f"{count} rows of {table_name}")
        if list(app.storage.store.list(f"page/{subject}/")):
            found.append("packs")
        assert app.keys.find_subject("ben").erased_at is None
    return found


def main() -> None:
    """Measure, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--page-kib", type=int, default=200)
    asked = parser.parse_args()
    seconds: list[float] = []
    back: list[list[str]] = []
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory(prefix="audobon-bench-") as folder:
            took, found = one_round(Path(folder), pages=asked.pages, page_bytes=asked.page_kib << 10)
            seconds.append(took)
            back += [found] if found else []
    p95 = sorted(seconds)[max(0, round(0.95 * len(seconds)) - 1)]
    rows = [
        ("erase, median", f"{statistics.median(seconds):.2f} s", "", ""),
        ("erase, 95 of 100", f"{p95:.2f} s", f"≤ {GOAL_SECONDS:.0f} s", verdict(p95 <= GOAL_SECONDS)),
        ("came back", f"{len(back)} of {len(seconds)}", "0", verdict(not back)),
    ]
    table("Erasure, two places", ("figure", "measured", "goal", ""), rows)
    save(
        "erasure",
        {
            "rounds": len(seconds),
            "pages": asked.pages,
            "page_bytes": asked.page_kib << 10,
            "places": 2,
            "median_seconds": statistics.median(seconds),
            "p95_seconds": p95,
            "most_seconds": max(seconds),
            "came_back": back,
        },
    )


if __name__ == "__main__":
    main()
