"""Nothing in the keystore is changed, exchanged, deleted or put back unnoticed, whatever it is."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from keyring_home import Home

from audobon.errors import AudobonError, CorruptKeyring, KeyringLost
from audobon.keys.service import Keys

TABLES = ("meta", "tenant_key", "secret", "subject", "subject_key", "data_key")


@pytest.fixture
def made(home: Home, keys: Keys) -> Home:
    """A keyring with something in every table, closed."""
    keys.recovery_words()
    for name in ("Ada", "Ben", "Cyd"):
        subject = keys.subject(name)
        held = [keys.new_data_key(subject) for _ in range(2)]
        keys.rotate()
        keys.rewrap([(each.id, each.subject, each.subject_version, each.wrapped) for each in held])
    keys.erase(keys.find_subject("Cyd").id)
    keys.status()
    keys.close()
    return home


def fault(home: Home) -> str | None:
    """Return the code of what looking at the keyring raises."""
    with closing(home.open()) as keys:
        try:
            keys.status()
        except AudobonError as error:
            return error.code
    return None


def change(home: Home, *statements: tuple[str, tuple[object, ...]]) -> None:
    """Change the file by other means than ours."""
    with closing(sqlite3.connect(home.keystore, isolation_level=None)) as connection:
        for statement, values in statements:
            connection.execute(statement, values)


def cells(home: Home) -> list[tuple[str, str, tuple[object, ...], dict[str, object]]]:
    """Return of every row its table, how to find it, by which values, and its cells."""
    found = []
    with closing(sqlite3.connect(home.keystore)) as connection:
        for table in TABLES:
            about = connection.execute(f"PRAGMA table_info({table})").fetchall()
            names = [row[1] for row in about]
            keys = [row[1] for row in about if row[5]]
            for row in connection.execute(f"SELECT * FROM {table}"):
                held = dict(zip(names, row, strict=True))
                where = " AND ".join(f"{name} = ?" for name in keys)
                found.append((table, where, tuple(held[name] for name in keys), held))
    return found


def another(value: object) -> object:
    """Return a value with one bit, or as little as can be, changed."""
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1]) if value else b"x"
    if isinstance(value, str):
        return value[:-1] + chr(ord(value[-1]) ^ 1)
    if isinstance(value, float):
        return value + 0.001
    return 1.0 if value is None else int(str(value)) ^ 64


def missed(home: Home, act: Callable[[str, str, tuple[object, ...], dict[str, object]], None]) -> list[str]:
    """Return the rows that something was done to unnoticed."""
    whole, unnoticed = home.keystore.read_bytes(), []
    for table, where, values, held in cells(home):
        act(table, where, values, held)
        if fault(home) not in (CorruptKeyring.code, KeyringLost.code):
            unnoticed.append(f"{table} {values}")
        home.keystore.write_bytes(whole)
    assert fault(home) is None
    return unnoticed


def test_a_changed_cell_is_noticed_in_every_row_of_every_table(made: Home) -> None:
    assert {row[0] for row in cells(made)} == set(TABLES)
    for number in range(5):

        def flip(table: str, where: str, values: tuple[object, ...], held: dict[str, object]) -> None:
            name = list(held)[number % len(held)]  # noqa: B023
            change(made, (f"UPDATE {table} SET {name} = ? WHERE {where}", (another(held[name]), *values)))

        assert missed(made, flip) == []


def test_a_row_that_is_gone_is_noticed_in_every_table(made: Home) -> None:
    assert (
        missed(
            made, lambda table, where, values, _: change(made, (f"DELETE FROM {table} WHERE {where}", values))
        )
        == []
    )


def test_a_row_put_back_is_noticed(made: Home) -> None:
    (before,) = [row[3] for row in cells(made) if row[2] == ("words exported at",)]
    with closing(made.open()) as keys:
        keys.recovery_words()
        keys.status()
    change(made, ("UPDATE meta SET value = ? WHERE name = 'words exported at'", (before["value"],)))
    assert fault(made) == "corrupt_keyring"
    # A later change of ours does not make it sound.
    with closing(made.open()) as keys:
        keys.subject("Dan")
    assert fault(made) == "corrupt_keyring"


def test_a_keystore_from_before_seals_is_sealed_by_its_first_change(made: Home) -> None:
    change(made, ("DELETE FROM meta WHERE name = 'seal'", ()), ("PRAGMA user_version = 1", ()))
    with closing(made.open()) as keys:
        keys.subject("Dan")
    with closing(sqlite3.connect(made.keystore)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert fault(made) is None
    change(made, ("UPDATE subject SET created_at = created_at + 1", ()))
    assert fault(made) == "corrupt_keyring"


def test_changed_words_of_a_table_are_noticed(made: Home) -> None:
    data = made.keystore.read_bytes()
    made.keystore.write_bytes(data.replace(b"created_at REAL", b"created_at REAM", 1))
    assert fault(made) == "corrupt_keyring"
