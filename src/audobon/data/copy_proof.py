"""Restores old states of the database, and tries to read what they hold of somebody who was erased."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

import blake3

from audobon.data.certificate import Attempt
from audobon.data.erasure_notes import Sample
from audobon.data.proof import attempt
from audobon.database.copies import own_copy
from audobon.database.generations import in_words, latest_position, points
from audobon.database.restoring import restore_database
from audobon.errors import AudobonError, BackupNotFound, CorruptBackup
from audobon.jobs.records import ENTRY_CELLS, JOB_CELLS
from audobon.keys.service import Keys
from audobon.queue.sealing import cell_context

_MOST_CELLS = 12
_CELLS = (
    ("SELECT id, {} FROM job WHERE subject = ? LIMIT 3", "job", JOB_CELLS),
    (
        "SELECT job_id || '/' || ordinal, {} FROM entry JOIN job ON job.id = job_id"
        " WHERE job.subject = ? LIMIT 3",
        "entry",
        ENTRY_CELLS,
    ),
    ("SELECT id, {} FROM task WHERE subject = ? LIMIT 3", "task", ("payload", "result")),
    # Why a task was called off or came too late is said in Audobon's own words, and not sealed.
    (
        "SELECT id, {} FROM task WHERE subject = ? AND state != 'cancelled'"
        " AND error_code != 'deadline_exceeded' LIMIT 3",
        "task",
        ("error_message",),
    ),
)


def last_copied(folder: Path, keys: Keys) -> int | None:
    """Return the last commit in the copy of the database; None when there is none, or it is damaged."""
    with suppress(CorruptBackup):
        position = latest_position(own_copy(folder), keys)
        return None if position is None else position.commit
    return None


def attempt_copies(folder: Path, subject: str, commit: int | None, keys: Keys) -> list[Attempt]:
    """Restore the oldest state that is kept, and that of a commit, and try their cells with every key.

    commit  the last in the copy before the key was destroyed; None: there was no copy
    """
    commits = [commit] if commit is not None else []
    with suppress(CorruptBackup):
        commits = [*(point.first for point in list(points(own_copy(folder), keys))[-1:]), *commits]
    attempts: list[Attempt] = []
    for number in sorted(set(commits)):
        try:
            attempts += _tried(folder, number, subject, keys)
        except BackupNotFound:
            # It was pruned meanwhile, and is tried no more.
            continue
        except AudobonError as error:
            what = f"nothing: {error.message}"
            attempts.append(Attempt(f"the copy of the database, commit {number}", what, "", None, 0, []))
    return attempts


def _tried(folder: Path, commit: int, subject: str, keys: Keys) -> list[Attempt]:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".proof-") as scratch:
        path = Path(scratch) / "then.db"
        restored = restore_database(own_copy(folder), keys, path, to=commit)
        where = f"the copy of the database, commit {commit} of {in_words(restored.position.at)}"
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as connection:
            return list(islice(_attempts(connection, subject, keys, where), _MOST_CELLS))


def _attempts(connection: sqlite3.Connection, subject: str, keys: Keys, where: str) -> Iterator[Attempt]:
    for select, table, columns in _CELLS:
        names = ", ".join(f"{table}.{column}" for column in columns)
        try:
            rows = connection.execute(select.format(names), (subject,)).fetchall()
        except sqlite3.OperationalError:
            # Of a schema from before there were subjects: such copies are removed when the rows are sealed.
            continue
        for row in rows:
            for column, text in zip(columns, row[1:], strict=True):
                if not text:
                    continue
                context = cell_context(f"{table}.{column}", row[0])
                digest, what = blake3.blake3(text.encode()).hexdigest(), f"{table}.{column} of {row[0]}"
                if keys.is_sealed(text, context=context):
                    sample = Sample(where, what, digest, None, key_id=context.hex(), sealed=text)
                    yield attempt(sample, subject, keys)
                else:
                    yield Attempt(where, what, digest, None, 0, ["nobody: it stands there in clear"])
