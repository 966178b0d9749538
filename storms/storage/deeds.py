"""What victims do: every command of storage, backups, keys and data that changes something."""

import random
import secrets
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

import blake3
import msgspec
from world import KEPT, PASSPHRASE, World

from audobon.app import App, keyring_protectors
from audobon.backup.keyrings import from_folder
from audobon.backup.restoring import Restorer, choose_point
from audobon.backup.swapping import finish_swap
from audobon.compute.engine import engine_lock
from audobon.data.erasure_notes import NoteBook
from audobon.database import migrate
from audobon.database.copies import own_copy
from audobon.database.restoring import faults_of, restore_database
from audobon.database.revisions import SCHEMA_REVISION
from audobon.database.service import Database
from audobon.errors import AudobonError, KeyringLost
from audobon.ids import new_id
from audobon.jobs.ingest import TakenEntry
from audobon.jobs.lifecycle import needed_by_jobs, run_lifecycle
from audobon.jobs.records import JobRecords
from audobon.keys.importing import import_recovery
from audobon.keys.passphrase import Passphrase
from audobon.keys.service import PERSONAL, SYSTEM, Keys
from audobon.pages.documents import Entry
from audobon.pages.picture_info import PictureInfo
from audobon.storage.data_keys import data_keys

Acknowledge = Callable[..., None]

_INFO = PictureInfo(width=8, height=8, mode="RGB", format="PNG")
_LARGE_BYTES = 1_200_000


class Deed(msgspec.Struct, frozen=True):
    """Something that a victim does.

    act      does it; what is left undone is done by calling it again, unless `again` says how
    alone    nobody else works on the data folder meanwhile
    prepare  makes, undisturbed, what it needs
    prove    looks, once it was done undisturbed, for what the check of the whole machine does not see
    """

    act: Callable[[World, random.Random, Acknowledge], object]
    alone: bool = False
    prepare: Callable[[World, random.Random], object] | None = None
    again: Callable[[World, random.Random, Acknowledge], object] | None = None
    prove: Callable[[World, Acknowledge], object] | None = None
    weight: int = 2


def add_job(
    app: App, subject: str, draw: random.Random, acknowledge: Acknowledge, *, is_shipped: bool = False
) -> None:
    """Take the pages of a job in, of all sizes, and put it on record; acknowledge it then."""
    hashes: dict[str, str] = {}
    with app.storage.sharing():

        def small() -> bytes:
            return draw.randbytes(draw.randint(10, 9000))

        with app.storage.batch(subject=subject, kind="page") as batch:
            for _ in range(draw.randint(1, 8)):
                data = small()
                hashes[batch.put(data)] = blake3.blake3(data).hexdigest()
        data = small()
        hashes[app.storage.put(data, subject=subject, kind="page")] = blake3.blake3(data).hexdigest()
        if draw.random() < 0.4:
            data = draw.randbytes(_LARGE_BYTES)
            with app.storage.writing(subject=subject, kind="page") as writer:
                for at in range(0, len(data), 300_000):
                    writer.write(data[at : at + 300_000])
            hashes[writer.key] = blake3.blake3(data).hexdigest()
        # What nobody will need is for the sweep.
        app.storage.put(small(), subject=subject, kind="result")
        job = _record(app, subject, list(hashes))
    acknowledge(job=job, subject=subject, blobs=hashes, is_shipped=is_shipped)


def _record(app: App, subject: str, blobs: list[str]) -> str:
    job = new_id()
    values = {
        "id": job,
        "key": job,
        "operation": "upscale",
        "settings": "{}",
        "source": "/comics/book.cbz",
        "target": None,
        "document_kind": "book",
        "created_at": 0.0,
        "subject": subject,
    }
    entries = [
        TakenEntry(Entry(f"{number}.png", True, 1, 0.0), key, 1, _INFO, None)
        for number, key in enumerate(blobs)
    ]
    with closing(app.database.open()) as connection, app.database.errors():
        records = JobRecords(connection, app.keys)
        records.add(values, entries)
        records.set_state(job, "interrupted", at=0.0)
    return job


def _living(app: App, draw: random.Random) -> str:
    alive = [
        subject.id
        for subject in app.keys.subjects()
        if subject.erased_at is None and subject.id not in (SYSTEM, PERSONAL)
    ]
    return draw.choice(alive) if alive else app.keys.subject(secrets.token_hex(4))


def _put(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    with world.app() as app:
        for _ in range(2):
            add_job(app, _living(app, draw), draw, acknowledge)


def _write(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    """Commit under shipping before each answer: what is acknowledged is in the copy as well."""
    with world.app(shipping="sync") as app:
        for _ in range(4):
            subject = _living(app, draw)
            job = _record(app, subject, [])
            acknowledge(job=job, subject=subject, blobs={}, is_shipped=True)


def _lifecycle(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    with world.app() as app, closing(app.database.open()) as connection:
        run_lifecycle(app.storage, needed_by_jobs(connection, app.keys))


def _collect(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    with world.app() as app:
        app.jobs.sweep()
        app.storage.seal_open_packs()
        app.storage.collect()


def _rebuild(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    with world.app() as app:
        app.storage.rebuild()


def _back_up(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    before = list(world.model.jobs)
    with world.app() as app:
        backups = app.backups()
        for made in backups.make():
            acknowledge(backup=made.id, before=before)
        backups.raise_failures()


def _prune(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    with world.app() as app:
        app.backups().prune(rules=KEPT, is_dry=False)


def _restorer(app: App, stack: ExitStack) -> tuple[Restorer, Any]:
    backups = app.backups()
    repository, _ = stack.enter_context(backups.holding(None, "latest"))
    protectors = keyring_protectors(app.settings)
    restorer = Restorer(
        repository,
        from_folder(app.folder),
        lambda folder: Keys(folder, protectors),
        backups.ledgers(),
        lambda progress: None,
    )
    return restorer, choose_point(repository, "latest", None)


def _restore_into(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    into = world.root / "into"
    if into.exists():
        return
    with world.app() as app, ExitStack() as stack:
        restorer, point = _restorer(app, stack)
        restorer.restore(point, into)


def _prove_into(world: World, acknowledge: Acknowledge) -> None:
    """What appeared is whole; then it is thrown away."""
    into = world.root / "into"
    with world.app(folder=into) as app:
        _prove_jobs(app, world, acknowledge)
        app.keys.abandon()
    shutil.rmtree(into)


def _prove_jobs(app: App, world: World, acknowledge: Acknowledge) -> None:
    newest = list(world.model.before.values())[-1]
    with closing(app.database.open()) as connection:
        rows = connection.execute(
            "SELECT job.id, job.subject, entry.blob FROM job LEFT JOIN entry ON entry.job_id = job.id"
        ).fetchall()
    there = {row[0] for row in rows}
    for job in newest:
        facts = world.model.jobs.get(job)
        if job not in there and facts is not None and facts["subject"] not in world.model.erasing:
            acknowledge(fault="lost", words=f"job {job} in a restore")
    for job, subject, blob in rows:
        if blob is not None and subject not in world.model.erasing:
            try:
                app.storage.get(blob)
            except AudobonError as error:
                acknowledge(fault="half", words=f"blob {blob} of job {job} in a restore: {error.message}")


def _restore_in_place(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    """As the command; what it brings back is what must be there from then on."""
    with world.app() as app, ExitStack() as stack:
        restorer, point = _restorer(app, stack)
        with engine_lock(app.folder):
            app.storage.close()
            app.keys.close()
            restorer.replace(point, app.folder)


def _restore_in_place_again(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    """Go on with any command: the folder is the old one or the new one, by now as a whole."""
    with world.app():
        pass
    finish_swap(world.data)
    if not list(world.root.glob("data.before-*")):
        _restore_in_place(world, draw, acknowledge)


def _prove_in_place(world: World, acknowledge: Acknowledge) -> None:
    """What was acknowledged after the backup is in the folder that was put aside; and that one opens."""
    kept = sorted(world.root.glob("data.before-*"))[-1]
    with world.app() as app:
        # As the engine does when it starts: who was erased since is in the database of the backup.
        app.data.settle_ledger()
        _prove_jobs(app, world, acknowledge)
        with closing(app.database.open()) as connection:
            now = {row[0] for row in connection.execute("SELECT id FROM job")}
    with world.app(folder=kept) as app:
        with closing(app.database.open()) as connection:
            then = {row[0] for row in connection.execute("SELECT id FROM job")}
        for job, facts in world.model.jobs.items():
            if facts["subject"] in world.model.erasing:
                continue
            if job not in then:
                acknowledge(fault="lost", words=f"job {job} in the folder put aside")
                continue
            blobs = facts["blobs"]
            assert isinstance(blobs, dict)
            for key in blobs:
                try:
                    app.storage.get(key)
                except AudobonError as error:
                    acknowledge(fault="lost", words=f"blob {key} in the folder put aside: {error.message}")
        app.keys.abandon()
    for replaced in kept.rglob("keystore.db.replaced-*"):
        # A person who throws the folder away throws away what unlocked its older keystores.
        with closing(sqlite3.connect(replaced)) as connection:
            name = connection.execute("SELECT value FROM meta WHERE name = 'lock'").fetchone()[0].decode()
        for path in world.keyrings.glob(f"{name}.*"):
            path.unlink()
    shutil.rmtree(kept)
    acknowledge(kept=sorted(now))


def _rotate(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    with world.app() as app:
        acknowledge(tenant=app.keys.rotate().tenant_version)


def _rewrap(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    with world.app() as app:
        app.keys.rewrap(data_keys(app.storage))


def _protect(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    with world.app() as app:
        if app.keys.status().protector == "passphrase":
            app.keys.protect("unlock-file")
        else:
            app.keys.protect("passphrase", passphrase=Passphrase(given=PASSPHRASE))


def _import(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    """Make the keyring anew from an export, over the one that is there."""
    export, words = world.root / "export.age", world.root / "words"
    acknowledge(tenant=0)
    with world.app() as app:
        try:
            data, said = app.keys.export_for_recovery(), app.keys.recovery_words()
        except KeyringLost:
            # As a person has them who goes on with the command that was killed.
            data, said = export.read_bytes(), words.read_text()
        protectors = keyring_protectors(app.settings)
        app.keys.close()
        import_recovery(world.data, said, data, protectors, replace=True)


def _erase(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    with world.app() as app:
        subject = _living(app, draw)
        acknowledge(erasing=subject)
        app.data.erase(subject)
        acknowledge(erased=subject)


def _erase_again(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    with world.app() as app:
        app.data.resume_erasures()
        if unfinished := NoteBook(app.folder).unfinished():
            acknowledge(fault="stuck", words=f"the erasure of {unfinished[0].subject}")
        erased = {subject.id for subject in app.keys.subjects() if subject.erased_at is not None}
        for subject in world.model.erasing:
            if subject not in erased:
                app.data.erase(subject)
            if subject not in world.model.erased:
                acknowledge(erased=subject)


_ROWS = """
INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)
VALUES ('job', 'key', 'upscale', '{}', 'book.cbz', 'book', 'interrupted', 0);
INSERT INTO entry (job_id, ordinal, name, is_page, size_bytes) VALUES ('job', 0, 'page.png', 1, 7);
"""


def make_old_database(world: World, draw: random.Random) -> None:
    """Put a database of an older schema, with rows to lose, into a folder of its own."""
    folder = world.root / "old"
    folder.mkdir()
    revisions = [script.revision for script in migrate.revisions()]
    migrate.upgrade(folder / "audobon.db", revisions[0])
    with closing(sqlite3.connect(folder / "audobon.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_ROWS)
    migrate.upgrade(folder / "audobon.db", draw.choice(revisions[:-1]))


def _migrate(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    Database(world.root / "old").open().close()


def _prove_migrated(world: World, acknowledge: Acknowledge) -> None:
    folder = world.root / "old"
    path = folder / "audobon.db"
    with closing(Database(folder).open()) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM entry WHERE job_id = 'job'")]
        revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    if names != ["page.png"]:
        acknowledge(fault="lost", words=f"rows of a database that was migrated: {names}")
    if revision != SCHEMA_REVISION or faults_of(path):
        acknowledge(fault="half", words=f"a migration: {revision}, {faults_of(path)}")
    for copy in folder.rglob("*.db"):
        if copy != path and faults_of(copy):
            acknowledge(fault="half", words=f"the copy {copy.name} from before a migration")
    shutil.rmtree(folder)


def _restore_database(world: World, draw: random.Random, acknowledge: Acknowledge) -> None:
    with world.app() as app:
        restore_database(own_copy(app.folder), app.keys, world.root / "restored.db", overwrite=True)


def _prove_database(world: World, acknowledge: Acknowledge) -> None:
    if faults := faults_of(world.root / "restored.db"):
        acknowledge(fault="half", words=f"a restored database: {faults}")


DEEDS = {
    "put": Deed(_put, weight=6),
    "write and ship": Deed(_write, weight=3),
    "lifecycle run": Deed(_lifecycle, weight=3),
    "gc": Deed(_collect, weight=4),
    "rebuild": Deed(_rebuild),
    "backup now": Deed(_back_up, weight=4),
    "backup prune": Deed(_prune, weight=3),
    "restore --into": Deed(_restore_into, prove=_prove_into, weight=3),
    "restore --in-place": Deed(
        _restore_in_place, alone=True, again=_restore_in_place_again, prove=_prove_in_place
    ),
    "rotate": Deed(_rotate),
    "rewrap": Deed(_rewrap),
    "protect": Deed(_protect),
    "import-recovery": Deed(_import, alone=True),
    "erase": Deed(_erase, again=_erase_again),
    "migrate": Deed(_migrate, prepare=make_old_database, prove=_prove_migrated, alone=True),
    "database restore": Deed(_restore_database, prove=_prove_database),
}
