"""Seals the rows that an earlier Audobon wrote in clear, once for a database; and again when asked.

In batches, each committed, so that it goes on where it was killed and nobody waits long. Afterwards the file
is written anew and its log begun anew, so that nothing of what was clear stays in free space.
"""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from audobon import sqlite
from audobon.clock import utc_now
from audobon.errors import AudobonError, SubjectErased
from audobon.jobs.job_keys import job_key
from audobon.jobs.records import ENTRY_CELLS, JOB_CELLS, entry_row
from audobon.keys.service import SYSTEM, Keys
from audobon.pages.operations import operation_named, parse_settings, settings_identity
from audobon.processes import FileLock
from audobon.queue.sealing import cell_context

_DEED = "seal rows"
# On record from the first row that was clear until no copy has it: nothing else gives cause to remove copies.
_COPIES_ARE_CLEAR = "remove copies with clear rows"
_BATCH = 500


class _Table(NamedTuple):
    """A table with sealed columns.

    select  (rowid, subject, what names the row, its texts ...) of the rows after :after, :limit of them
    row     what the seal of a row is bound to
    """

    name: str
    columns: tuple[str, ...]
    select: str
    row: Callable[[sqlite3.Row], object]


_TABLES = (
    _Table(
        "job",
        JOB_CELLS,
        "SELECT rowid, subject, id, key, operation, settings, source, target, report FROM job"
        " WHERE rowid > :after ORDER BY rowid LIMIT :limit",
        lambda row: row["id"],
    ),
    _Table(
        "entry",
        ENTRY_CELLS,
        "SELECT entry.rowid, subject, job_id, ordinal, name, info, fault FROM entry"
        " JOIN job ON job.id = entry.job_id"
        " WHERE entry.rowid > :after ORDER BY entry.rowid LIMIT :limit",
        lambda row: entry_row(row["job_id"], row["ordinal"]),
    ),
    _Table(
        "task",
        ("payload", "result", "error_message"),
        "SELECT id AS rowid, subject, id, payload, result, error_message FROM task"
        " WHERE id > :after ORDER BY id LIMIT :limit",
        lambda row: row["id"],
    ),
    _Table(
        "task_event",
        ("detail",),
        "SELECT task_event.id AS rowid, subject, task_id, detail FROM task_event"
        " JOIN task ON task.id = task_event.task_id"
        " WHERE task_event.id > :after ORDER BY task_event.id LIMIT :limit",
        lambda row: row["task_id"],
    ),
    _Table(
        "schedule",
        ("payload",),
        f"SELECT rowid, '{SYSTEM}' AS subject, name, payload FROM schedule"  # noqa: S608  (a constant)
        " WHERE rowid > :after ORDER BY rowid LIMIT :limit",
        lambda row: row["name"],
    ),
)


def are_rows_sealed(connection: sqlite3.Connection) -> bool:
    """Tell whether all rows an earlier Audobon wrote were sealed; asks for one row."""
    return _is_done(connection, _DEED)


def seal_rows(connection: sqlite3.Connection, keys: Keys, folder: Path) -> int:
    """Seal every clear text of a database; return how many rows changed.

    A text that looks sealed and does not open was not sealed by this keyring: it is sealed as it stands, so
    that no name, however odd, is mistaken for a seal for ever.
    raises  AlreadyRunning when another process is doing it
    """
    with FileLock(folder / "locks" / "seal-rows.lock", purpose="sealing what is on record"):
        count = sum(_seal_table(connection, keys, table) for table in _TABLES)
        # Also when it was another, killed since, that sealed them.
        if _is_done(connection, _COPIES_ARE_CLEAR):
            # Free space may hold what was clear, and so may the log, and copies.
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            _forget_clear_copies(folder, keys)
            connection.execute("DELETE FROM once WHERE deed = ?", (_COPIES_ARE_CLEAR,))
        _forget_old_locks(folder / "locks")
        connection.execute("INSERT OR REPLACE INTO once (deed, done_at) VALUES (?, ?)", (_DEED, utc_now()))
    return count


def _seal_table(connection: sqlite3.Connection, keys: Keys, table: _Table) -> int:
    count, after = 0, -1
    while True:
        with sqlite.transaction(connection):
            before = count
            rows = connection.execute(table.select, {"after": after, "limit": _BATCH}).fetchall()
            for row in rows:
                changed = dict(_sealed_texts(keys, table, row))
                if not changed:
                    continue
                count += 1
                if table.name == "job" and "source" in changed:
                    changed["key"] = _new_key(keys, row)
                names = ", ".join(f"{name} = :{name}" for name in changed)
                connection.execute(
                    f"UPDATE {table.name} SET {names} WHERE rowid = :rowid",  # noqa: S608  (names of our own)
                    changed | {"rowid": row["rowid"]},
                )
            if count > before:
                connection.execute(
                    "INSERT OR IGNORE INTO once (deed, done_at) VALUES (?, ?)", (_COPIES_ARE_CLEAR, utc_now())
                )
        if len(rows) < _BATCH:
            return count
        after = rows[-1]["rowid"]


def _sealed_texts(keys: Keys, table: _Table, row: sqlite3.Row) -> Iterator[tuple[str, str]]:
    for column in table.columns:
        text, context = row[column], cell_context(f"{table.name}.{column}", table.row(row))
        if not text or keys.is_sealed(text, context=context):
            continue
        try:
            yield column, keys.seal_text(row["subject"], text, context=context)
        except SubjectErased:
            # Erased while it was still clear.
            yield column, "erased"


def _is_done(connection: sqlite3.Connection, deed: str) -> bool:
    return connection.execute("SELECT 1 FROM once WHERE deed = ?", (deed,)).fetchone() is not None


def _forget_clear_copies(folder: Path, keys: Keys) -> None:
    # Once in the life of a database; a run's start shall not pay for it.
    from audobon.database.clear_copies import forget_clear_copies

    forget_clear_copies(folder / "audobon.db", keys)


def _new_key(keys: Keys, row: sqlite3.Row) -> str:
    """Return the key of a job from before, so that the same command goes on with it."""
    try:
        settings = parse_settings(operation_named(row["operation"]), row["settings"])
        identity = settings_identity(settings)
    except (AudobonError, msgspec.DecodeError):
        # Of an operation that is gone: nobody can ask for it again, but its key must tell nothing.
        identity = row["key"]
    return job_key(
        keys,
        row["subject"],
        operation=row["operation"],
        settings_identity=identity,
        source=row["source"],
        target=row["target"],
    )


def _forget_old_locks(folder: Path) -> None:
    """Remove the locks of earlier versions, whose names were plain hashes of paths."""
    for path in folder.glob("job-*.lock"):
        path.unlink(missing_ok=True)
