"""A keystore that is damaged, cut off or gone is noticed, and never silently begun anew."""

import random
import sqlite3
from pathlib import Path

import pytest
from keyring_home import Home, sealed_version

from audobon.errors import CorruptKeyring, KeyringLost, NewerFormat
from audobon.keys.service import PERSONAL, SYSTEM, Keys

CELLS = [("tenant_key", "wrapped"), ("secret", "wrapped"), ("subject_key", "wrapped")]


def use(home: Home) -> None:
    """Open a keyring and all that is in it."""
    keys = home.open()
    try:
        for subject in (PERSONAL, SYSTEM):
            keys.seal(subject, b"", context=b"")
            keys.blob_id_key(subject)
        keys.status()
    finally:
        keys.close()


@pytest.fixture
def made(home: Home, keys: Keys) -> Home:
    """A keyring with two subjects, closed."""
    for subject in (PERSONAL, SYSTEM):
        keys.subject(subject)
    keys.close()
    use(home)
    return home


@pytest.mark.parametrize(("table", "column"), CELLS)
def test_every_flipped_bit_of_every_key_is_noticed(made: Home, table: str, column: str) -> None:
    whole = made.keystore.read_bytes()
    connection = sqlite3.connect(made.keystore)
    cells = [bytes(row[0]) for row in connection.execute(f"SELECT {column} FROM {table}")]
    connection.close()
    for cell in cells:
        at = whole.index(cell)
        # Each byte once, and each bit of some.
        for place in [*range(0, len(cell) * 8, 8), *range(8 * (len(cell) // 2), 8 * (len(cell) // 2) + 8)]:
            changed = bytearray(whole)
            changed[at + place // 8] ^= 1 << (place + place // 8) % 8
            made.keystore.write_bytes(changed)
            with pytest.raises((CorruptKeyring, KeyringLost)):
                use(made)
    made.keystore.write_bytes(whole)
    use(made)


def test_random_damage_is_noticed_or_harmless(made: Home) -> None:
    """Comments and instants may be hit; but a key is never silently another, and no subject begun anew."""
    keys = made.open()
    sealed = {subject: keys.seal_text(subject, "x", context=b"c") for subject in (PERSONAL, SYSTEM)}
    keys.close()
    whole = made.keystore.read_bytes()
    chance = random.Random(4)
    used = [at for at, byte in enumerate(whole) if byte]
    noticed = 0
    for _ in range(150):
        changed = bytearray(whole)
        at = chance.choice(used)
        changed[at : at + 8] = chance.randbytes(len(changed[at : at + 8]))
        made.keystore.write_bytes(changed)
        fresh = made.open()
        try:
            for text in sealed.values():
                assert fresh.unseal_text(text, context=b"c") == "x"
            assert sealed_version(fresh.seal_text(PERSONAL, "y", context=b"c")) == (PERSONAL, 1)
        except (CorruptKeyring, KeyringLost, NewerFormat):
            noticed += 1
        finally:
            fresh.close()
    assert noticed > 20


@pytest.mark.parametrize("kept", [0, 1, 100, 4096, 8192, 12288])
def test_a_keystore_that_is_cut_off_is_noticed(made: Home, kept: int) -> None:
    made.keystore.write_bytes(made.keystore.read_bytes()[:kept])
    with pytest.raises((CorruptKeyring, KeyringLost)) as error:
        use(made)
    assert error.value.hint == "audobon keys import-recovery"
    assert len(made.keystore.read_bytes()) == kept


def test_a_keystore_that_is_gone_is_not_made_anew(made: Home) -> None:
    made.keystore.unlink()
    for _ in range(2):
        with pytest.raises(KeyringLost) as error:
            use(made)
        assert error.value.hint == "audobon keys import-recovery"
    assert not made.keystore.exists()


def test_a_file_that_is_something_else_is_noticed(made: Home) -> None:
    made.keystore.write_bytes(b"not a database at all " * 500)
    with pytest.raises(CorruptKeyring):
        use(made)


@pytest.mark.parametrize("kept", [None, 0, 10, 60])
def test_an_unlock_file_that_is_gone_or_cut_off_is_noticed(made: Home, kept: int | None) -> None:
    path = made.unlock_file
    data = path.read_bytes()
    path.unlink()
    if kept is not None:
        path.write_bytes(data[:kept])
    with pytest.raises((CorruptKeyring, KeyringLost)) as error:
        use(made)
    assert error.value.hint == "audobon keys import-recovery"
    path.write_bytes(data)
    use(made)


def test_an_unlock_file_of_another_keyring_opens_nothing(made: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.open().subject(PERSONAL)
    made.unlock_file.write_bytes(other.unlock_file.read_bytes())
    with pytest.raises(CorruptKeyring):
        use(made)


def test_keys_moved_between_rows_are_noticed(made: Home) -> None:
    connection = sqlite3.connect(made.keystore, isolation_level=None)
    rows = connection.execute("SELECT rowid, wrapped FROM subject_key ORDER BY rowid").fetchall()
    for number, (rowid, _) in enumerate(rows):
        connection.execute("UPDATE subject_key SET wrapped = ? WHERE rowid = ?", (rows[number - 1][1], rowid))
    connection.close()
    with pytest.raises(CorruptKeyring):
        use(made)


@pytest.mark.parametrize("table", ["subject_key", "tenant_key", "secret", "meta"])
def test_rows_that_are_gone_are_noticed(made: Home, table: str) -> None:
    connection = sqlite3.connect(made.keystore, isolation_level=None)
    connection.execute(f"DELETE FROM {table}")
    connection.close()
    with pytest.raises((CorruptKeyring, KeyringLost)):
        use(made)


def test_a_keystore_of_a_newer_audobon_is_left_alone(made: Home) -> None:
    connection = sqlite3.connect(made.keystore, isolation_level=None)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(NewerFormat):
        use(made)


def test_nobody_else_may_read_any_of_it(made: Home) -> None:
    for path in (made.keystore, made.unlock_file, made.folder / "keyring.id"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert made.keystore.parent.stat().st_mode & 0o077 == 0
