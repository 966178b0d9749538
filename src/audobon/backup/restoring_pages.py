"""Restores single files: the pages and results of a job, or one file by its name or key."""

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

import msgspec

from audobon.atomic import disk_errors, writing
from audobon.backup.copying import at_once, copy_object
from audobon.backup.manifest import PackEntry
from audobon.backup.repository import PACKS, Repository
from audobon.backup.restoring import Point, Restorer
from audobon.backup.sealed_files import plain_path
from audobon.errors import BlobNotFound, JobNotFound, NotFound, ObjectNotFound, OutputExists
from audobon.jobs.records import JobRecords
from audobon.keys.service import Keys
from audobon.sqlite import connect_to_look
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.service import Storage

# Each file is waited for until the disk has it; the disk serves those who wait together.
_THREADS = 8
_KEY = re.compile(r"[0-9a-f]{64}")
_SHORT_KEY = re.compile(r"[0-9a-f]{8,63}")
_ENDINGS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp"}


class Found(msgspec.Struct, frozen=True):
    """A file that a backup holds; `path` is relative to where it is written."""

    path: str
    key: str


class PageRestorer:
    """Finds and writes single files of a backup, read where they lie in the place."""

    def __init__(self, repository: Repository, restorer: Restorer, keys: Keys, point: Point) -> None:
        self._repository = repository
        self._restorer = restorer
        self._keys = keys
        self._point = point

    def job(self, job_id: str) -> list[Found]:
        """Return the pages, other files and results of a job. raises JobNotFound."""
        with self._records() as (records, connection):
            if records.find(job_id) is None:
                raise JobNotFound(f"the backup holds no job {job_id}", hint="audobon jobs list")
            entries = records.entries(job_id)
            results = connection.execute(
                "SELECT ordinal, result_blob FROM task WHERE job_id = ? AND result_blob IS NOT NULL",
                (job_id,),
            ).fetchall()
        found = [Found(f"pages/{each.entry.name}", each.blob) for each in entries if each.blob is not None]
        taken: set[str] = set()
        for ordinal, key in results:
            path = f"results/{PurePosixPath(entries[ordinal].entry.name).with_suffix('')}"
            # 1.png and 1.jpg may be two pages.
            while path in taken:
                path = f"{path}-{ordinal + 1}"
            taken.add(path)
            found.append(Found(path, key))
        return found

    def file(self, name: str, *, job_id: str | None = None) -> list[Found]:
        """Return the newest file of a name, or a blob by its key, which may be cut short.

        name    the end of its path: page-1.png, or heron/page-1.png
        job_id  look in this job alone
        raises  NotFound, JobNotFound
        """
        if _KEY.fullmatch(name):
            return [Found(name, name)]
        wanted = PurePosixPath(name).parts
        with self._records() as (records, _):
            if job_id is not None and records.find(job_id) is None:
                raise JobNotFound(f"the backup holds no job {job_id}", hint="audobon jobs list")
            for job in records.list():
                if job_id not in (None, job.id):
                    continue
                for each in records.entries(job.id):
                    path = PurePosixPath(job.source) / each.entry.name
                    if each.blob is not None and path.parts[-len(wanted) :] == wanted:
                        return [Found(path.name, each.blob)]
        if job_id is None and _SHORT_KEY.fullmatch(name):
            with self._storage() as storage:
                keys = [key for key in storage.keys() if key.startswith(name)]  # noqa: SIM118
            if len(keys) == 1:
                return [Found(keys[0], keys[0])]
        raise NotFound(
            f"no job in the backup has a file {name!r}", hint="name it as the document has it, or by its key"
        )

    def write(self, found: list[Found], into: Path) -> list[str]:
        """Write files below a folder, each proved against its key; return their paths.

        Those whose blobs are no longer kept, as of jobs that have ended, are left out.
        raises  OutputExists before anything is written, BlobNotFound when nothing is kept
        """
        if into.exists() and (not into.is_dir() or any(into.iterdir())):
            raise OutputExists(f"{into} exists and is not empty", hint="name a new folder")
        with (
            self._storage() as storage,
            closing(at_once(_writer(storage, into), found, threads=_THREADS)) as done,
        ):
            written = [str(path) for path in done if path is not None]
        if not written:
            raise BlobNotFound("the backup keeps none of these files any more", hint="look into an older one")
        return written

    @contextmanager
    def _records(self) -> Iterator[tuple[JobRecords, sqlite3.Connection]]:
        with tempfile.TemporaryDirectory(prefix="audobon-") as scratch:
            path = Path(scratch) / "audobon.db"
            self._restorer.database(self._keys, path, self._point)
            with closing(connect_to_look(path)) as connection:
                yield JobRecords(connection, self._keys), connection

    @contextmanager
    def _storage(self) -> Iterator[Storage]:
        """Open the packs where they lie, through links, so that nothing can be written there.

        Those of a bucket are brought here first.
        """
        scratch = Path(tempfile.mkdtemp(prefix="audobon-"))
        try:
            for pack in self._point.packs:
                # Asked for first: names that would lead elsewhere are refused by the store.
                try:
                    source = self._repository.file_of(PACKS + pack.name)
                    if source is None:
                        self._bring(pack, scratch / "blobs")
                        continue
                except ObjectNotFound:
                    # What was asked for may lie in another.
                    continue
                link = scratch / "blobs" / pack.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(source)
            with closing(Storage(scratch, self._keys, follows_links=True)) as storage:
                storage.rebuild()
                yield storage
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _bring(self, pack: PackEntry, folder: Path) -> None:
        copy_object(
            self._repository.store,
            PACKS + pack.name,
            FolderObjectStore({"standard": folder}),
            pack.name,
            digest=pack.digest,
            size_bytes=pack.size_bytes,
        )


def _writer(storage: Storage, into: Path) -> Callable[[Found], Path | None]:
    """Return what writes a file below a folder, and returns its path; None when it is kept no more."""

    def write(each: Found) -> Path | None:
        if not storage.has(each.key):
            return None
        target = plain_path(into, each.path)
        if not target.suffix:
            with storage.open(each.key) as file:
                target = target.with_name(target.name + _ending(file.read(8)))
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        with writing(target) as file:
            storage.copy_to(each.key, file)
        return target

    return write


def _ending(start: bytes) -> str:
    return next((ending for magic, ending in _ENDINGS.items() if start.startswith(magic)), "")
