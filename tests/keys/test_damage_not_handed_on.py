"""A keystore of which a row is not as it was written, though its keys open: not exported, and replaced."""

import sqlite3
from contextlib import closing

import pytest
from keyring_home import Home

from audobon.errors import Conflict, CorruptKeyring
from audobon.keys.importing import import_recovery
from audobon.keys.service import Keys

CHANGES = {
    "a cell": "UPDATE subject SET created_at = created_at + 1 WHERE id = (SELECT max(id) FROM subject)",
    "a row that is gone": "DELETE FROM subject WHERE id = (SELECT max(id) FROM subject)",
    "a key of data that is gone": "DELETE FROM data_key",
    "the seal itself": "UPDATE meta SET value = x'00' WHERE name = 'seal'",
}


@pytest.fixture
def lived_in(keys: Keys) -> Keys:
    """A keyring with a person, and a data key that was wrapped anew."""
    ann = keys.subject("Ann")
    held = keys.new_data_key(ann)
    keys.rotate()
    keys.rewrap([(held.id, held.subject, held.subject_version, held.wrapped)])
    return keys


def change(home: Home, statement: str) -> None:
    """Change the keystore by other means than ours."""
    with closing(sqlite3.connect(home.keystore, isolation_level=None)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize("what", CHANGES)
def test_a_keystore_whose_seal_fails_is_not_exported(home: Home, lived_in: Keys, what: str) -> None:
    lived_in.close()
    change(home, CHANGES[what])
    with closing(home.open()) as damaged:
        assert len(damaged.recovery_words(are_shown=False).split()) == 24
        with pytest.raises(CorruptKeyring) as refused:
            damaged.export_for_recovery()
    assert refused.value.hint == "audobon keys import-recovery"


def test_an_index_that_hides_rows_is_not_exported(home: Home, lived_in: Keys) -> None:
    """What is read in order is read by an index: the rows would be whole, and the export not."""
    lived_in.close()
    with closing(sqlite3.connect(home.keystore, isolation_level=None)) as connection:
        (root, page_bytes) = (
            connection.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_subject_1'"
            ).fetchone()[0],
            connection.execute("PRAGMA page_size").fetchone()[0],
        )
    data = bytearray(home.keystore.read_bytes())
    # How many entries the page has: one less.
    count = (root - 1) * page_bytes + 4
    assert data[count] > 0
    data[count] -= 1
    home.keystore.write_bytes(data)
    with closing(home.open()) as damaged, pytest.raises(CorruptKeyring, match="is damaged"):
        damaged.export_for_recovery()


@pytest.mark.parametrize("what", CHANGES)
def test_a_keystore_whose_seal_fails_is_replaced_and_kept_beside(
    home: Home, lived_in: Keys, what: str
) -> None:
    words, file = lived_in.recovery_words(), lived_in.export_for_recovery()
    subjects = lived_in.subjects()
    lived_in.close()
    with pytest.raises(Conflict, match="opens as it is"):
        import_recovery(home.folder, words, file, home.protectors())
    change(home, CHANGES[what])
    damaged = home.keystore.read_bytes()

    imported = import_recovery(home.folder, words, file, home.protectors())

    (aside,) = home.keystore.parent.glob("*.replaced-*")
    assert (imported.replaced, aside.read_bytes()) == (str(aside), damaged)
    with closing(home.open()) as fresh:
        assert fresh.subjects() == subjects
        fresh.status()


def test_looking_whether_a_keystore_is_sound_changes_nothing_in_it(home: Home, lived_in: Keys) -> None:
    words, file = lived_in.recovery_words(), lived_in.export_for_recovery()
    lived_in.close()
    before = home.keystore.read_bytes()
    with pytest.raises(Conflict):
        import_recovery(home.folder, words, file, home.protectors())
    assert home.keystore.read_bytes() == before
