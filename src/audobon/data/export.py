"""Hands out everything that is kept of somebody, in files that anyone can read and check."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from audobon import __version__
from audobon.data.bundle import Bundle, WrittenFile, bundle_at
from audobon.data.checking import FORMAT, MANIFEST, SUMS
from audobon.data.holdings import Holdings, task_json
from audobon.data.names import SafeNames
from audobon.errors import BlobNotFound
from audobon.jobs.ingest import TakenEntry
from audobon.keys.service import Keys, Subject
from audobon.queue.tasks import TaskRecord
from audobon.storage.service import Storage
from audobon.telemetry.log_reading import read_log

_INDEX = "README.txt"
_HEAD_BYTES = 16
# How the results of pages begin, and the ending each gets.
_ENDINGS = (
    (b"\x89PNG", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"PK", ".zip"),
)


class ExportReport(msgspec.Struct, frozen=True):
    """What an export holds.

    missing  files that the database names, but that are kept no longer
    """

    output: str
    subject: str
    jobs: int
    files: int
    size_bytes: int
    missing: int


class _Blob(msgspec.Struct, frozen=True):
    key: str
    path: str
    modified_at: float | None


class Export:
    """Writes one export.

    on_file  called after each file, with how many there are by now
    """

    def __init__(
        self,
        folder: Path,
        storage: Storage,
        keys: Keys,
        subject: Subject,
        *,
        on_file: Callable[[int], None],
        made_at: float,
    ) -> None:
        self._folder = folder
        self._storage = storage
        self._keys = keys
        self._subject = subject
        self._on_file = on_file
        self._made_at = made_at
        self._names = SafeNames()
        self._jobs: list[str] = []
        self._missing: list[str] = []
        self._count = 0
        self._size_bytes = 0

    def write(self, target: Path, reading: Callable[[], Any]) -> ExportReport:
        """Write the export to a folder or ZIP file; whole, or not at all.

        reading  gives a context with the `Holdings`, all of one state of the database; it ends before the
                 pages are copied, so that a long export is in nobody's way
        raises   OutputExists, NotFound, DiskFull, Denied
        """
        # Lists that may be long lie in files: memory does not grow with the export.
        with bundle_at(target) as bundle, tempfile.TemporaryFile() as blobs, tempfile.TemporaryFile() as done:
            # From the look at the rows until the last page is copied: nothing that they name is removed.
            with self._storage.sharing():
                with reading() as holdings:
                    self._write_rows(bundle, holdings, blobs, done)
                self._copy_blobs(bundle, blobs, done)
            self._write_log(bundle, done)
            self._note(done, bundle.add(_INDEX, self._index().encode()))
            self._write_manifest(bundle, done)
        return ExportReport(
            str(target), self._subject.id, len(self._jobs), self._count, self._size_bytes, len(self._missing)
        )

    def _write_rows(self, bundle: Bundle, holdings: Holdings, blobs: IO[bytes], done: IO[bytes]) -> None:
        told = {
            "id": self._subject.id,
            "name": self._subject.name,
            "created_at": self._subject.created_at,
            **msgspec.structs.asdict(holdings.counts()),
        }
        self._note(done, bundle.add("subject.json", _readable(told)))
        for job_id in holdings.job_ids():
            self._jobs.append(job_id)
            self._write_job(bundle, holdings, job_id, blobs, done)
        with self._file(bundle, "tasks.jsonl", done) as file:
            for task in holdings.lone_tasks():
                events = [msgspec.to_builtins(event) for event in holdings.events(task.id)]
                file.write(msgspec.json.encode(task_json(task) | {"events": events}) + b"\n")

    def _write_job(
        self, bundle: Bundle, holdings: Holdings, job_id: str, blobs: IO[bytes], done: IO[bytes]
    ) -> None:
        entries, tasks = holdings.entries(job_id), holdings.tasks(job_id)
        by_ordinal = {task.ordinal: task for task in tasks}
        names = [taken.entry.name for taken in entries]
        told = [
            self._entry(job_id, ordinal, taken, by_ordinal.get(ordinal), blobs)
            for ordinal, taken in enumerate(entries)
        ]
        folder = f"jobs/{job_id}"
        self._note(
            done, bundle.add(f"{folder}/job.json", _readable({**holdings.job(job_id), "entries": told}))
        )
        with self._file(bundle, f"{folder}/tasks.jsonl", done) as file:
            for task in tasks:
                named = {"page": names[task.ordinal]} if task.ordinal is not None else {}
                file.write(msgspec.json.encode(task_json(task) | named) + b"\n")
        with self._file(bundle, f"{folder}/events.jsonl", done) as file:
            for task in tasks:
                for event in holdings.events(task.id):
                    file.write(msgspec.json.encode(event) + b"\n")

    def _entry(
        self, job_id: str, ordinal: int, taken: TakenEntry, task: TaskRecord | None, blobs: IO[bytes]
    ) -> dict[str, Any]:
        name = taken.entry.name
        original = result = None
        if taken.blob is not None:
            original = self._plan_blob(
                blobs, taken.blob, f"jobs/{job_id}/originals", name, taken.entry.modified_at
            )
        if task is not None and task.result_blob is not None:
            result = self._plan_blob(blobs, task.result_blob, f"jobs/{job_id}/results", name, None)
        return {
            "ordinal": ordinal,
            "name": name,
            "is_page": taken.entry.is_page,
            "size_bytes": taken.size_bytes,
            "modified_at": taken.entry.modified_at,
            "info": msgspec.to_builtins(taken.info) if taken.info is not None else None,
            "fault": msgspec.to_builtins(taken.fault) if taken.fault is not None else None,
            "original": original,
            "result": result,
        }

    def _plan_blob(
        self, blobs: IO[bytes], key: str, folder: str, name: str, modified_at: float | None
    ) -> str | None:
        """Note that a blob is to be copied; return its path, None when it is kept no longer."""
        try:
            with self._storage.open(key) as file:
                head = file.read(_HEAD_BYTES)
        except BlobNotFound:
            self._missing.append(f"{folder}/{name}")
            return None
        ending = _ending(head) if folder.endswith("/results") else ""
        path = self._names.take(folder, name, ending=ending)
        blobs.write(msgspec.json.encode(_Blob(key, path, modified_at)) + b"\n")
        return path

    def _copy_blobs(self, bundle: Bundle, blobs: IO[bytes], done: IO[bytes]) -> None:
        blobs.seek(0)
        for line in blobs:
            blob = msgspec.json.decode(line, type=_Blob)
            with bundle.adding(blob.path, modified_at=blob.modified_at) as file:
                self._storage.copy_to(blob.key, file)  # type: ignore[arg-type]  # it only writes
            self._note(done, file.written(blob.path))

    def _write_log(self, bundle: Bundle, done: IO[bytes]) -> None:
        with self._file(bundle, "log.jsonl", done) as file:
            jobs = frozenset(self._jobs)
            for event in read_log(self._folder, self._keys.unseal_text):
                if event.get("job") in jobs:
                    file.write(msgspec.json.encode(event) + b"\n")

    def _write_manifest(self, bundle: Bundle, done: IO[bytes]) -> None:
        head = {
            "format": FORMAT,
            "subject": self._subject.id,
            "name": self._subject.name,
            "made_at": self._made_at,
            "made_by": f"audobon {__version__}",
        }
        with bundle.adding(MANIFEST) as file:
            file.write(msgspec.json.encode(head)[:-1] + b',"files":[')
            for number, line in enumerate(_lines(done)):
                file.write((b",\n" if number else b"\n") + line.rstrip())
            file.write(b"\n]}\n")
        manifest = file.written(MANIFEST)
        with bundle.adding(SUMS) as sums:
            for line in _lines(done):
                written = msgspec.json.decode(line, type=WrittenFile)
                sums.write(f"{written.sha256}  {written.path}\n".encode())
            sums.write(f"{manifest.sha256}  {MANIFEST}\n".encode())

    @contextmanager
    def _file(self, bundle: Bundle, path: str, done: IO[bytes]) -> Iterator[Any]:
        with bundle.adding(path) as file:
            yield file
        self._note(done, file.written(path))

    def _note(self, done: IO[bytes], written: WrittenFile) -> None:
        done.write(msgspec.json.encode(written) + b"\n")
        self._count += 1
        self._size_bytes += written.size_bytes
        self._on_file(self._count)

    def _index(self) -> str:
        made = datetime.fromtimestamp(self._made_at, UTC)
        lines = [
            f"Everything that Audobon keeps of {self._subject.name}, as of {made:%Y-%m-%d %H:%M:%S} UTC.",
            "",
            "subject.json             who this is, and how much there is",
            "jobs/JOB/job.json        one piece of work: what was asked for, its files, its report",
            "jobs/JOB/originals/      the files as they were taken in",
            "jobs/JOB/results/        what was made of them and is still kept",
            "jobs/JOB/tasks.jsonl     each page's work, with what was found on it; one JSON object a line",
            "jobs/JOB/events.jsonl    what happened to it, and when",
            "tasks.jsonl              work that belongs to no job",
            "log.jsonl                the lines of the log about these jobs",
            "manifest.json            every file with its size and SHA-256",
            "SHA256SUMS               the same for: sha256sum -c SHA256SUMS",
            "",
            "Instants are seconds since 1970, UTC. Files whose names could not be kept as they were have a",
            "similar one here; job.json tells both.",
        ]
        if self._missing:
            lines += ["", "Named on record, but kept no longer:"]
            lines += [f"  {_one_line(name)}" for name in self._missing]
        return "\n".join(lines) + "\n"


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    yield from file


def _ending(head: bytes) -> str:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    return next((ending for start, ending in _ENDINGS if head.startswith(start)), "")


def _readable(told: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def _one_line(name: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in name)
