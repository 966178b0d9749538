"""What is done before a database file is brought up to date: it is checked, and a copy of it is kept.

The copy is a database as clear, or as sealed, as the live one beside it; only its user may read it.
"""

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from audobon.atomic import clear_leftovers, disk_errors, sync_folder, temporary_beside
from audobon.clock import utc_now
from audobon.errors import Corrupt, DiskFull, NotFound
from audobon.sqlite import connect, connect_plainly

COPIES_KEPT = 3
_RESTORE = "audobon database restore --in-place"
_NAME = re.compile(r"audobon-(\d{4})-(\d{8}T\d{6}Z)\.db")
_STAMP = "%Y%m%dT%H%M%SZ"
# The copy, tables that are made anew, and the log of writing them.
_ROOM_TIMES = 3
_SPARE_BYTES = 1 << 20
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class KeptCopy(msgspec.Struct, frozen=True):
    """A copy of a database from before it was brought up to date.

    revision  of its schema
    kept_at   UTC instant, whole seconds
    """

    path: Path
    revision: str
    kept_at: float
    size_bytes: int


def copies_folder(path: Path) -> Path:
    """Return where the copies of a database file are kept."""
    return path.parent / "before-migration"


def size_bytes(path: Path) -> int:
    """Return what a database takes, with what its log holds."""
    return sum(part.stat().st_size for part in (path, Path(f"{path}-wal")) if part.exists())


def demand_room(path: Path) -> None:
    """Raise DiskFull when there is no room for a copy, and for making the tables anew."""
    needed = _ROOM_TIMES * size_bytes(path) + _SPARE_BYTES
    with disk_errors(path):
        free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise DiskFull(
            f"{path} was not brought up to date: that needs {needed / 1e6:.0f} MB of room for a copy and new"
            f" tables, and {free / 1e6:.0f} MB are free",
            hint="free some space and run the same command again",
        )


def prove_sound(path: Path) -> None:
    """Read a whole database; Corrupt when a page, an index or a reference of it is wrong."""
    with _damage(path), closing(_open(path)) as connection:
        first = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if first != "ok":
            raise _damaged(path, " ".join(str(first).split()))
        stray = connection.execute("PRAGMA foreign_key_check").fetchone()
        if stray is not None:
            raise _damaged(path, f"row {stray[1]} of {stray[0]} belongs to a row of {stray[2]} that is gone")


def keep_copy(path: Path, revision: str) -> KeptCopy:
    """Keep a consistent copy of a database and return it.

    Taken in one step, so that writers neither wait for it nor make it begin anew. Of each revision the newest
    stays, and the newest three of all.
    """
    folder = copies_folder(path)
    with disk_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    stamp = datetime.fromtimestamp(utc_now(), UTC).strftime(_STAMP)
    final = folder / f"audobon-{revision}-{stamp}.db"
    clear_leftovers(folder / "audobon.db")
    temporary = temporary_beside(folder / "audobon.db")
    with disk_errors(final):
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            with closing(_open(path)) as source, closing(sqlite3.connect(temporary)) as target:
                source.backup(target)
                # A copy that is looked at shall not need a log beside it.
                target.execute("PRAGMA journal_mode = DELETE")
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(final)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(folder)
    _forget_old(path)
    return next(copy for copy in kept_copies(path) if copy.path == final)


def kept_copies(path: Path) -> list[KeptCopy]:
    """Return the copies of a database file that are kept, newest first."""
    found = []
    for file in copies_folder(path).glob("audobon-*.db"):
        if match := _NAME.fullmatch(file.name):
            at = datetime.strptime(match[2], _STAMP).replace(tzinfo=UTC).timestamp()
            found.append(KeptCopy(file, match[1], at, file.stat().st_size))
    return sorted(found, key=lambda copy: (copy.kept_at, copy.revision), reverse=True)


def copy_to_go_back_to(path: Path, revision: str) -> KeptCopy:
    """Return the newest copy of an older revision; NotFound when there is none."""
    for copy in kept_copies(path):
        if copy.revision < revision:
            return copy
    raise NotFound(
        f"no copy from before revision {revision} is kept in {copies_folder(path)}",
        hint=_RESTORE,
    )


def put_back(path: Path, copy: KeptCopy) -> None:
    """Write a copy over a database in one transaction; a kill leaves all of the one or of the other."""
    prove_sound(copy.path)
    with closing(_open(copy.path)) as source, closing(connect(path, keeps_log=True)) as live:
        source.backup(live)
    prove_sound(path)


def _forget_old(path: Path) -> None:
    seen: set[str] = set()
    for copy in kept_copies(path):
        # One that was begun again and again, as on a full disk, must not push out what lies further back.
        if copy.revision in seen or len(seen) == COPIES_KEPT:
            copy.path.unlink(missing_ok=True)
        else:
            seen.add(copy.revision)


def _open(path: Path) -> sqlite3.Connection:
    # Being the last to close it, of the live one it would take the log away from who ships it.
    return connect_plainly(path, keeps_log=True)


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise _damaged(path, str(error)) from error
        raise


def _damaged(path: Path, what: str) -> Corrupt:
    return Corrupt(f"{path} is damaged, and was left as it is: {what}", hint=_RESTORE)
