"""The seal of a keystore: one sum over every row of every table, so that none is changed unnoticed.

Each row has a keyed hash. Their sum needs no order, so a change adds and takes away what it touches alone.
Kept in the keystore itself, sealed by a key that comes from the keyring's signing secret.
source  Clarke et al., "Incremental Multiset Hash Functions" (2003): MSet-Add-Hash
"""

import sqlite3
from collections.abc import Iterable

import blake3
import msgspec

SEAL = "seal"
COPIED = "copied"
_MODULUS = 1 << 256

_TABLES = {
    "meta": ("name", "value"),
    "tenant_key": ("version", "wrapped", "created_at"),
    "secret": ("name", "tenant_version", "wrapped"),
    "subject": ("id", "sealed_name", "created_at", "erased_at"),
    "subject_key": ("subject_id", "version", "tenant_version", "wrapped", "created_at"),
    "data_key": ("id", "subject_id", "subject_version", "wrapped"),
}

Change = tuple[int, bytes]
"""A row that came (1) or went (-1)."""


def watch(connection: sqlite3.Connection, changes: list[Change]) -> None:
    """Have every row that comes or goes by this connection noted; nothing of it is stored."""

    def note(sign: int, table: str, *cells: object) -> None:
        if not _is_apart(table, cells):
            changes.append((sign, msgspec.msgpack.encode((table, cells))))

    connection.create_function("note_row", -1, note)
    # Else a row that INSERT OR REPLACE takes away goes untold.
    connection.execute("PRAGMA recursive_triggers = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    for table, columns in _TABLES.items():
        for event, notes in (
            ("INSERT", ((1, "new"),)),
            ("DELETE", ((-1, "old"),)),
            ("UPDATE", ((-1, "old"), (1, "new"))),
        ):
            told = "; ".join(
                f"SELECT note_row({sign}, '{table}', {', '.join(f'{row}.{column}' for column in columns)})"
                for sign, row in notes
            )
            connection.execute(
                f"CREATE TEMP TRIGGER note_{table}_{event} AFTER {event} ON main.{table} BEGIN {told}; END"
            )


def sum_of(connection: sqlite3.Connection, key: bytes) -> int:
    """Return the sum over all rows there are."""
    rows = (
        (1, msgspec.msgpack.encode((table, row)))
        for table, columns in _TABLES.items()
        for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608  (fixed words)
        if not _is_apart(table, row)
    )
    return sum_after(0, rows, key)


def sum_after(total: int, changes: Iterable[Change], key: bytes) -> int:
    """Return the sum after changes."""
    for sign, row in changes:
        total += sign * int.from_bytes(blake3.blake3(row, key=key).digest())
    return total % _MODULUS


def _is_apart(table: str, cells: tuple[object, ...]) -> bool:
    # The seal itself; and what marks a copy, which is made where no key is at hand.
    return table == "meta" and (cells[0] == SEAL or (cells[0] == COPIED and cells[1] == b""))
