"""Keys against tracebacks, threads, and the copies that Audobon itself left."""

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from keyring_home import Home

from audobon.errors import SubjectErased
from audobon.keys import rotation
from audobon.keys.importing import import_recovery
from audobon.keys.keystore import keystore_path
from audobon.keys.service import Keys
from audobon.processes import FileLock


def test_no_key_is_in_what_a_traceback_shows(keys: Keys) -> None:
    made = keys.new_data_key(keys.subject("Ann"))
    assert made.key.hex() not in repr(made).replace("\\x", "")
    assert repr(made.key) not in repr(made)
    assert made.key not in [value for _, value in made.__rich_repr__()]


def test_a_keystore_that_an_import_put_aside_keeps_nobody_alive(home: Home, keys: Keys) -> None:
    ann = keys.subject("Ann")
    bob = keys.subject("Bob")
    words, file = keys.recovery_words(), keys.export_for_recovery()
    keys.close()
    import_recovery(home.folder, words, file, home.protectors(), replace=True)
    path = keystore_path(home.folder)
    (aside,) = path.parent.glob("keystore.db.replaced-*")
    spoilt = path.with_name("keystore.db.replaced-1")
    spoilt.write_bytes(os.urandom(20_000))
    journal = path.with_name("keystore.db-journal.replaced-1")
    journal.write_bytes(b"old pages")
    with closing(sqlite3.connect(aside)) as connection:
        wrapped = [
            bytes(row[0])
            for row in connection.execute("SELECT wrapped FROM subject_key WHERE subject_id = ?", (ann,))
        ]
    home.open().erase(ann)
    assert wrapped
    assert not any(each in aside.read_bytes() for each in wrapped)
    assert not spoilt.exists()
    assert not journal.exists()
    with closing(sqlite3.connect(aside)) as connection:
        left = {row[0] for row in connection.execute("SELECT subject_id FROM subject_key")}
    assert (ann in left, bob in left) == (False, True)


def test_a_key_that_was_being_opened_while_its_subject_was_erased_is_not_held(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = keys.subject("Ann")
    made = keys.new_data_key(ann)
    keys._ring.forget()
    open_data_key = rotation.open_data_key

    def erased_meanwhile(*given: object) -> bytes:
        found = open_data_key(*given)  # type: ignore[arg-type]
        keys.erase(ann)
        return found

    monkeypatch.setattr(rotation, "open_data_key", erased_meanwhile)
    keys.open_data_key(made.id, ann, made.subject_version, made.wrapped)
    monkeypatch.undo()
    with pytest.raises(SubjectErased):
        keys.open_data_key(made.id, ann, made.subject_version, made.wrapped)


def test_a_lock_that_another_thread_takes_as_it_is_freed_stays_that_threads(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "one.lock", purpose="work", wait=True)
    lock.__enter__()
    first = lock._file
    assert first is not None
    taken = threading.Event()

    class Closing:
        def close(self) -> None:
            """Free it, and come back only when another thread has it."""
            first.close()
            other.start()
            taken.wait(10)

    def take() -> None:
        lock.__enter__()
        taken.set()

    other = threading.Thread(target=take)
    lock._file = Closing()  # type: ignore[assignment]
    lock.__exit__(None, None, None)
    other.join()
    assert lock._file is not None
    with pytest.raises(Exception, match="already under way"):
        FileLock(tmp_path / "one.lock", purpose="work").__enter__()
    lock.__exit__(None, None, None)
