"""Base backups of a PostgreSQL server: whole ones, and what changed since one before."""

import hashlib
import secrets
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from audobon.atomic import disk_errors
from audobon.database import postgres_manifest
from audobon.database.postgres import Address
from audobon.database.postgres_lsn import SEGMENT_BYTES, Segment, parse_lsn, segment_of
from audobon.database.postgres_manifest import Manifest
from audobon.database.postgres_objects import PostgresObjects, SealedWriter
from audobon.database.postgres_places import BASE, WAL, ask_server, claim_place
from audobon.database.postgres_programs import Programs
from audobon.database.reading_ahead import ReadingAhead
from audobon.errors import BackupNotFound, CorruptBackup, InvalidInput


class BaseBackup(msgspec.Struct, frozen=True):
    """A base backup that ended well.

    parent            the backup whose changes it holds; None: it is whole
    manifest_digest   SHA-256 of its manifest as the server wrote it, in hexadecimal
    parent_digest     that of its parent's
    start_lsn         where the log that it needs begins
    end_lsn           where it is consistent
    ended_at          UTC instant by the server's clock; it can be restored to any later one
    next_transaction  the first that was not begun when it ended
    user              who may connect to the restored server
    size_bytes        of its files, before compression
    """

    id: str
    parent: str | None
    manifest_digest: str
    parent_digest: str | None
    system_identifier: int
    timeline: int
    start_lsn: int
    end_lsn: int
    begun_at: float
    ended_at: float
    next_transaction: int
    user: str
    size_bytes: int

    @property
    def first_segment(self) -> Segment:
        """Return the first part of the log that it needs."""
        return Segment(self.timeline, self.start_lsn // SEGMENT_BYTES)


class Pruned(msgspec.Struct, frozen=True):
    """What was, or would be, removed."""

    backups: list[str]
    log_files: int
    size_bytes: int


class BaseBackups:
    """The base backups in a place."""

    def __init__(self, objects: PostgresObjects, programs: Programs) -> None:
        self._objects = objects
        self._programs = programs

    def take(self, address: Address, *, since: str | None = None) -> BaseBackup:
        """Copy a running server; what arrives is checked against its manifest before the backup counts.

        since   copy only what changed since this backup; the server needs `summarize_wal = on`
        raises  ForeignRepository, BackupNotFound, Unavailable, CorruptBackup, DiskFull
        """
        begun = ask_server(address)
        claim_place(self._objects, begun.system_identifier)
        parent = None if since is None else self.find(since)
        stamp = datetime.fromtimestamp(begun.now, UTC).strftime("%Y%m%dT%H%M%SZ")
        backup_id = f"{stamp}-{secrets.token_hex(4)}"
        with tempfile.TemporaryDirectory() as folder:
            conninfo, passwords = address.for_programs(application_name="audobon_backup")
            arguments = ["-d", conninfo, "-w", "-D", "-", "-F", "tar", "-X", "none", "-c", "fast"]
            arguments.append("--manifest-checksums=SHA256")
            if parent is not None:
                known = Path(folder) / postgres_manifest.NAME
                manifest_of_parent = self._objects.read(f"{BASE}{parent.id}/manifest")
                with disk_errors(known):
                    known.write_bytes(manifest_of_parent)
                arguments.append(f"--incremental={known}")
            with (
                self._programs.reading("pg_basebackup", *arguments, secrets=passwords) as stream,
                self._objects.create(f"{BASE}{backup_id}/data") as sealed,
            ):
                tee = _Tee(stream, sealed)
                what = f"the backup {backup_id}"
                seen, raw = postgres_manifest.walk(tee, what=what)
                while tee.read(1 << 20):
                    pass
        manifest = postgres_manifest.parse(raw, what=what)
        postgres_manifest.prove(manifest, seen, what=what)
        if manifest.system_identifier != begun.system_identifier:
            raise CorruptBackup(f"{what} is of another server ({manifest.system_identifier})")
        self._objects.write(f"{BASE}{backup_id}/manifest", raw)
        ended = ask_server(address)
        needed = manifest.ranges[-1]
        record = BaseBackup(
            id=backup_id,
            parent=None if parent is None else parent.id,
            manifest_digest=_digest(raw),
            parent_digest=None if parent is None else parent.manifest_digest,
            system_identifier=begun.system_identifier,
            timeline=needed.timeline,
            start_lsn=parse_lsn(manifest.ranges[0].start_lsn),
            end_lsn=parse_lsn(needed.end_lsn),
            begun_at=begun.now,
            ended_at=ended.now,
            next_transaction=ended.next_transaction,
            user=begun.user,
            size_bytes=sum(file.size_bytes for file in manifest.files),
        )
        self._objects.write(f"{BASE}{backup_id}/record", msgspec.json.encode(record))
        return record

    def all(self) -> list[BaseBackup]:
        """Return all backups, oldest first. raises CorruptBackup naming the first that cannot be read."""
        told = [
            self._told(info.name.split("/")[2])
            for info in self._objects.store.list(BASE)
            if info.name.endswith("/record")
        ]
        return sorted(told, key=lambda backup: (backup.begun_at, backup.end_lsn))

    def find(self, backup_id: str) -> BaseBackup:
        """Return a backup. raises BackupNotFound, CorruptBackup."""
        if not self._objects.has(f"{BASE}{backup_id}/record"):
            raise BackupNotFound(f"there is no backup {backup_id}", hint="audobon database postgres list")
        return self._told(backup_id)

    def chain(self, backup: BaseBackup) -> list[BaseBackup]:
        """Return the whole backup that one rests on, what lies between, and it. raises CorruptBackup."""
        links = [backup]
        while (parent := links[0].parent) is not None:
            try:
                above = self.find(parent)
            except BackupNotFound:
                raise CorruptBackup(
                    f"the backup {parent}, on which {links[0].id} rests, is missing"
                ) from None
            if above.manifest_digest != links[0].parent_digest:
                raise CorruptBackup(f"{links[0].id} rests on another backup than {parent}")
            links.insert(0, above)
        return links

    def unpack(self, backup: BaseBackup, into: Path | None) -> Manifest:
        """Read a backup, prove every file of it, and write them into a folder, if one is given.

        raises  CorruptBackup naming what is wrong
        """
        what = f"the backup {backup.id}"
        with self._objects.open(f"{BASE}{backup.id}/data") as sealed, ReadingAhead(sealed) as stream:
            seen, raw = postgres_manifest.walk(stream, what=what, into=into)
        kept = self._objects.read(f"{BASE}{backup.id}/manifest")
        if raw != kept or _digest(raw) != backup.manifest_digest:
            raise CorruptBackup(f"{what} has another manifest than was recorded")
        manifest = postgres_manifest.parse(raw, what=what)
        postgres_manifest.prove(manifest, seen, what=what)
        return manifest

    def prune(self, *, keep: int, is_dry: bool = False) -> Pruned:
        """Remove all but the newest whole backups, with what rests on them, and the log before the oldest.

        raises  InvalidInput, Denied where the store is opened to create alone
        """
        if keep < 1:
            raise InvalidInput("at least one whole backup must be kept")
        store, backups = self._objects.store, self.all()
        whole = [backup for backup in backups if backup.parent is None]
        kept_roots = {backup.id for backup in whole[-keep:]}
        doomed = [backup for backup in backups if self.chain(backup)[0].id not in kept_roots]
        kept = [backup for backup in backups if backup not in doomed]
        names = [
            info
            for backup in doomed
            # The record goes first: what is broken off here counts as never taken.
            for info in sorted(
                store.list(f"{BASE}{backup.id}/"), key=lambda info: not info.name.endswith("record")
            )
        ]
        log = []
        if kept and doomed:
            oldest = min(backup.first_segment.number for backup in kept)
            for info in store.list(WAL):
                segment = segment_of(info.name.split("/")[2].partition(".")[0])
                if segment is not None and segment.number < oldest:
                    log.append(info)
        if not is_dry:
            for info in names + log:
                store.delete(info.name)
        return Pruned(
            [backup.id for backup in doomed], len(log), sum(info.size_bytes for info in names + log)
        )

    def _told(self, backup_id: str) -> BaseBackup:
        record = self._objects.told(f"{BASE}{backup_id}/record", BaseBackup)
        if record.id != backup_id:
            raise CorruptBackup(f"the record of {backup_id} is that of {record.id}")
        return record


class _Tee:
    """Hands on what is read, and keeps a sealed copy of it."""

    def __init__(self, stream: IO[bytes], sealed: SealedWriter) -> None:
        self._stream = stream
        self._sealed = sealed

    def read(self, count: int = -1) -> bytes:
        data = self._stream.read(count)
        if data:
            self._sealed.write(data)
        return data


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
