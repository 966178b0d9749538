"""Makes the data folder of a PostgreSQL server anew, as it was at an instant.

The folder is built beside its place and takes it when it is whole; then the server, started on it, goes
through the log to the target by itself, or `carry_out` starts it for that alone.
"""

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from audobon.atomic import clear_leftovers, disk_errors, sync_folder, temporary_beside
from audobon.database import postgres_manifest
from audobon.database.postgres_backups import BaseBackup, BaseBackups
from audobon.database.postgres_lsn import Segment, prove_segment, segment_of
from audobon.database.postgres_objects import PostgresObjects
from audobon.database.postgres_places import WAL, owner
from audobon.database.postgres_programs import Programs
from audobon.database.postgres_wal import padded, read_received, received
from audobon.errors import BackupNotFound, CorruptBackup, DiskFull, OutputExists

BEGIN = "# What follows was written by audobon to restore this server."
_NEVER = "'false'"


class Target(msgspec.Struct, frozen=True):
    """Up to where to restore; nothing set: all there is.

    at           UTC instant: the last commit at or before it is there
    lsn          place in the log: the last commit that ends at or before it
    transaction  the commit of this transaction is the last one
    """

    at: float | None = None
    lsn: int | None = None
    transaction: int | None = None


NEWEST = Target()


class Restored(msgspec.Struct, frozen=True):
    """What a folder was made from.

    backups    ids, the whole one first
    log_files  parts of the log that lie in it for the server to go through
    """

    folder: Path
    backups: list[str]
    log_files: int
    user: str


class Recovery:
    """Restores the server whose copies lie in a place.

    received_in  the folder of a receiver, whose newest file is further than what was sealed
    """

    def __init__(
        self, objects: PostgresObjects, programs: Programs, *, received_in: Path | None = None
    ) -> None:
        self._objects = objects
        self._programs = programs
        self._backups = BaseBackups(objects, programs)
        self._received_in = received_in

    def choose(self, target: Target) -> BaseBackup:
        """Return the newest backup from which a target can be reached. raises BackupNotFound."""
        reachable = [backup for backup in self._backups.all() if _reaches(backup, target)]
        if not reachable:
            raise BackupNotFound(
                "no base backup ended before that point", hint="audobon database postgres list"
            )
        return max(reachable, key=lambda backup: (backup.ended_at, backup.end_lsn))

    def restore(self, into: Path, target: Target = NEWEST) -> Restored:
        """Make a server's folder; nothing is there unless all of it was proved.

        raises  OutputExists, BackupNotFound, CorruptBackup naming what is missing or changed, DiskFull
        """
        if into.exists() and any(into.iterdir()):
            raise OutputExists(f"{into} is there and not empty", hint="name another folder")
        chain = self._backups.chain(self.choose(target))
        newest = chain[-1]
        with disk_errors(into):
            into.parent.mkdir(parents=True, exist_ok=True)
            clear_leftovers(into)
            _demand_room(into.parent, 2 * sum(link.size_bytes for link in chain))
        stage = temporary_beside(into)
        try:
            with disk_errors(into):
                stage.mkdir(mode=0o700)
                data, count = self._made(chain, stage)
                _configure(data, target)
                _give(data, stage.parent)
                with suppress(FileNotFoundError):
                    into.rmdir()
                data.rename(into)
                sync_folder(into.parent)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        return Restored(into, [link.id for link in chain], count, newest.user)

    def verify(self) -> list[str]:
        """Read every backup and the log after the oldest; return what was proved, or raise CorruptBackup."""
        owner(self._objects)
        proved = []
        backups = self._backups.all()
        for backup in backups:
            self._backups.chain(backup)
            self._backups.unpack(backup, None)
            proved.append(backup.id)
        for backup in backups[:1]:
            for segment, data in self._log(backup):
                proved.append(segment.name)
                del data
        return proved

    def _made(self, chain: list[BaseBackup], stage: Path) -> tuple[Path, int]:
        """Return the folder with its log in it, and how many parts the log has."""
        given_up = threading.Event()
        log = stage / "log"
        with ThreadPoolExecutor(1, thread_name_prefix="log") as beside:
            try:
                laying = beside.submit(self._lay_log, chain[-1], log, given_up)
                data = self._combined(chain, stage)
                count = laying.result()
            finally:
                given_up.set()
        (data / "pg_wal").mkdir(mode=0o700, exist_ok=True)
        for path in log.iterdir():
            path.rename(data / "pg_wal" / path.name)
        return data, count

    def _combined(self, chain: list[BaseBackup], stage: Path) -> Path:
        folders = []
        for link in chain:
            folder = stage / link.id
            folder.mkdir(mode=0o700)
            self._backups.unpack(link, folder)
            folders.append(folder)
        if len(folders) == 1:
            return folders[0]
        data = stage / "combined"
        # The parts are thrown away, so that their files may be taken over; the server itself syncs a folder
        # that was not shut down in order before it uses it (SyncDataDirectory in src/backend/access/transam).
        self._programs.run(
            "pg_combinebackup",
            "--link",
            "--no-sync",
            "--manifest-checksums=CRC32C",
            "-o",
            str(data),
            *map(str, folders),
        )
        # Every byte that went in was proved; what came out is looked at for files that are missing or cut.
        postgres_manifest.prove_sizes(data, what=f"what was combined of {chain[-1].id}")
        return data

    def _lay_log(self, backup: BaseBackup, folder: Path, given_up: threading.Event) -> int:
        folder.mkdir(mode=0o700)
        count = 0
        for segment, data in self._log(backup):
            if given_up.is_set():
                break
            (folder / segment.name).write_bytes(data)
            count += 1
        for info in self._objects.store.list(WAL):
            if info.name.endswith(".history"):
                (folder / info.name.removeprefix(WAL)).write_bytes(self._objects.read(info.name))
        return count

    def _log(self, backup: BaseBackup) -> Iterator[tuple[Segment, bytes]]:
        """Yield all of the log that follows a backup, without a gap. raises CorruptBackup naming one."""
        server = owner(self._objects)
        # What is sealed after the first look is found by the second.
        whole, begun = received(self._received_in)
        known, partials = self._known_log()
        if begun is not None and (segment := segment_of(begun.stem)):
            # Whatever was sealed of it, the receiver has gone further.
            partials[segment] = begun
        newest = max((segment.timeline for segment in (*known, *whole)), default=backup.timeline)
        for timeline in range(backup.timeline, newest + 1):
            mine = [each for each in {*known, *whole} if each.timeline == timeline]
            mine = sorted(each for each in mine if each.number >= backup.first_segment.number)
            number = backup.first_segment.number if timeline == backup.timeline else None
            for segment in mine:
                if number is not None and segment.number != number:
                    raise CorruptBackup(
                        f"{WAL}{Segment(timeline, number).name} is missing", hint="restore to before it"
                    )
                name = f"{WAL}{segment.name}"
                data = (
                    self._objects.read(name) if segment in known else self._received(whole[segment], segment)
                )
                prove_segment(data, segment, server, what=name)
                yield segment, data
                number = segment.number + 1
            begun_here = {each: name for each, name in partials.items() if each.timeline == timeline}
            if number is None:
                number = max((each.number for each in begun_here), default=0)
            after = Segment(timeline, number)
            beyond = [each.name for each in begun_here if each > after]
            rest = self._newest(after, begun_here)
            if beyond or (rest is None and not mine and timeline == backup.timeline):
                raise CorruptBackup(f"{WAL}{after.name} is missing", hint="restore to before it")
            if rest is not None:
                prove_segment(rest, after, server, what=after.name)
                yield after, rest

    def _newest(self, segment: Segment, begun: Mapping[Segment, str | Path]) -> bytes | None:
        place = begun.get(segment)
        if place is None:
            return None
        return padded(
            self._received(place, segment) if isinstance(place, Path) else self._objects.read(place)
        )

    def _received(self, path: Path, segment: Segment) -> bytes:
        try:
            return read_received(path)
        except FileNotFoundError:
            # Finished, sealed and removed since it was listed.
            return self._objects.read(f"{WAL}{segment.name}")

    def _known_log(self) -> tuple[set[Segment], dict[Segment, str | Path]]:
        known: set[Segment] = set()
        partials: dict[Segment, str | Path] = {}
        for info in self._objects.store.list(WAL):
            name = info.name.removeprefix(WAL)
            if segment := segment_of(name):
                known.add(segment)
            elif segment := segment_of(name.partition(".")[0]):
                # In the order of their names: the last one goes furthest.
                partials[segment] = info.name
        return known, partials


def _reaches(backup: BaseBackup, target: Target) -> bool:
    return (
        (target.at is None or backup.ended_at <= target.at)
        and (target.lsn is None or backup.end_lsn <= target.lsn)
        and (target.transaction is None or backup.next_transaction <= target.transaction)
    )


def _configure(data: Path, target: Target) -> None:
    lines = [
        BEGIN,
        # All of the log lies in pg_wal already.
        f"restore_command = {_NEVER}",
        "recovery_target_timeline = 'latest'",
        "recovery_target_action = 'promote'",
        # Nobody receives the log of the new server yet: with the old one's setting it could not commit.
        "synchronous_standby_names = ''",
    ]
    if target.at is not None:
        instant = datetime.fromtimestamp(target.at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
        lines.append(f"recovery_target_time = '{instant}'")
    if target.lsn is not None:
        high, low = divmod(target.lsn, 1 << 32)
        lines.append(f"recovery_target_lsn = '{high:X}/{low:X}'")
    if target.transaction is not None:
        lines.append(f"recovery_target_xid = '{target.transaction}'")
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write("\n" + "\n".join(lines) + "\n")
    (data / "recovery.signal").touch()


def _give(data: Path, parent: Path) -> None:
    """Give a folder to whom the folder around it belongs: the server refuses to run as root."""
    status = parent.stat()
    if os.geteuid() != 0 or status.st_uid == 0:
        return
    for folder, _, files in os.walk(data):
        os.chown(folder, status.st_uid, status.st_gid)
        for file in files:
            os.chown(Path(folder, file), status.st_uid, status.st_gid)


def _demand_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(
            f"restoring into {folder} needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free",
            hint="free some space, or restore elsewhere",
        )
