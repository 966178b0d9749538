"""Whoever is erased cannot be read any more: not here, not from older files put back, not by a restore."""

import os
import shutil

import pytest
from keyring_home import Home, sealed_version

from audobon.errors import Conflict, CorruptKeyring, SubjectErased, SubjectNotFound
from audobon.keys.erasure import Erasure
from audobon.keys.ledger import LedgerEntry
from audobon.keys.service import PERSONAL, SYSTEM, Keys


def test_erasing_destroys_all_keys_the_name_and_what_was_wrapped_anew(home: Home, keys: Keys) -> None:
    ann = keys.subject("Ann Example")
    made, sealed = keys.new_data_key(ann), keys.seal_text(ann, "x", context=b"c")
    keys.rotate()
    held = made.id, made.subject, made.subject_version, made.wrapped
    keys.rewrap([held])
    erased = keys.erase(ann)
    assert erased == Erasure(ann, erased.erased_at, 3, 1, "subject_erased", is_overwritten=True)
    for each in (keys, home.open()):
        for act in (
            lambda each=each: each.open_data_key(*held),
            lambda each=each: each.unseal_text(sealed, context=b"c"),
            lambda each=each: each.seal(ann, b"", context=b""),
            lambda each=each: each.new_data_key(ann),
            lambda each=each: each.blob_id_key(ann),
        ):
            with pytest.raises(SubjectErased):
                act()
        found = each.find_subject(ann)
        assert (found.name, found.erased_at) == (ann, erased.erased_at)
        with pytest.raises(SubjectNotFound):
            each.find_subject("Ann Example")
        assert each.is_sealed(sealed, context=b"c")
    assert keys.subject("Ann Example") != ann


def test_no_byte_of_a_destroyed_key_stays_in_the_folder(home: Home, keys: Keys) -> None:
    ann = keys.subject("Ann")
    with keys._ring.lock:
        rows = keys._ring.store.connection().execute(
            "SELECT wrapped FROM subject_key WHERE subject_id = ?", (ann,)
        )
        wrapped = [bytes(row[0]) for row in rows]
    assert all(each in home.keystore.read_bytes() for each in wrapped)
    keys.erase(ann)
    for path in home.folder.rglob("*"):
        if path.is_file():
            assert not any(each in path.read_bytes() for each in wrapped)


def test_the_journal_is_overwritten_before_it_goes(
    home: Home, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = home.keystore.with_name("keystore.db-journal")
    seen: list[bytes] = []

    def look(descriptor: int) -> None:
        if journal.exists():
            seen.append(journal.read_bytes())

    ann = keys.subject("Ann")
    monkeypatch.setattr(os, "fsync", look)
    keys.erase(ann)
    assert [each for each in seen if each and not any(each)]
    assert not journal.exists()


def test_erasing_again_is_no_error_and_tells_the_first_instant(keys: Keys) -> None:
    ann = keys.subject("Ann")
    first = keys.erase(ann)
    assert keys.erase(ann) == Erasure(ann, first.erased_at, 0, 0, "subject_erased", is_overwritten=True)
    assert len(keys.ledger.entries()) == 1


def test_audobon_itself_and_strangers_are_not_erased(keys: Keys) -> None:
    with pytest.raises(Conflict):
        keys.erase(SYSTEM)
    with pytest.raises(SubjectNotFound):
        keys.erase("0123456789abcdef")
    assert keys.ledger.entries() == []


def test_the_user_is_erased_and_begins_anew_under_another_id(home: Home, keys: Keys) -> None:
    assert keys.subject(PERSONAL) == PERSONAL
    made, sealed = keys.new_data_key(PERSONAL), keys.seal(PERSONAL, b"old", context=b"c")
    keys.erase(PERSONAL)
    anew = keys.subject(PERSONAL)
    assert anew != PERSONAL
    assert keys.find_subject(PERSONAL).id == anew
    newer = keys.new_data_key(PERSONAL)
    assert newer.subject == anew
    text = keys.seal_text(PERSONAL, "new", context=b"c")
    assert sealed_version(text) == (anew, 1)
    fresh = home.open()
    assert fresh.unseal_text(text, context=b"c") == "new"
    # By the name as by the id.
    for subject in (PERSONAL, anew):
        assert fresh.open_data_key(newer.id, subject, newer.subject_version, newer.wrapped) == newer.key
        assert fresh.unseal(subject, keys.seal(PERSONAL, b"new", context=b"c"), context=b"c") == b"new"
    with pytest.raises(SubjectErased):
        fresh.open_data_key(made.id, PERSONAL, made.subject_version, made.wrapped)
    with pytest.raises(SubjectErased):
        fresh.unseal(PERSONAL, sealed, context=b"c")
    keys.erase(PERSONAL)
    assert keys.subject(PERSONAL) not in (PERSONAL, anew)
    assert [entry.subject for entry in keys.ledger.entries()] == [PERSONAL, anew]


def test_an_older_keystore_put_back_is_noticed_and_the_erasure_done_again(home: Home, keys: Keys) -> None:
    ann, ben = keys.subject("Ann"), keys.subject("Ben")
    sealed, kept = keys.seal_text(ann, "x", context=b"c"), keys.seal_text(ben, "y", context=b"c")
    older = home.keystore.read_bytes()
    erased = keys.erase(ann)
    keys.close()
    home.keystore.write_bytes(older)
    fresh = home.open()
    with pytest.raises(SubjectErased):
        fresh.unseal_text(sealed, context=b"c")
    assert fresh.unseal_text(kept, context=b"c") == "y"
    assert fresh.find_subject(ann).erased_at == erased.erased_at


def test_it_is_noticed_by_a_process_that_has_the_keystore_open(
    home: Home, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audobon.keys.ring._FRESH_SECONDS", 0.0)
    ann = keys.subject("Ann")
    sealed = keys.seal_text(ann, "x", context=b"c")
    older = home.keystore.with_name("older.db")
    shutil.copy(home.keystore, older)
    keys.erase(ann)
    older.replace(home.keystore)
    with pytest.raises(SubjectErased):
        keys.unseal_text(sealed, context=b"c")


def test_an_erasure_noted_and_not_done_is_done_by_the_next_who_opens(home: Home, keys: Keys) -> None:
    ann = keys.subject("Ann")
    sealed = keys.seal_text(ann, "x", context=b"c")
    keys.ledger.append(ann, "asked")
    keys.close()
    with pytest.raises(SubjectErased):
        home.open().unseal_text(sealed, context=b"c")


def test_a_ledger_from_elsewhere_erases_here_whoever_it_says(
    home: Home, keys: Keys, tmp_path: object
) -> None:
    ann, ben = keys.subject("Ann"), keys.subject("Ben")
    copy = home.keystore.read_bytes()
    keys.erase(ann)
    theirs = keys.ledger.entries()
    keys.close()
    home.keystore.write_bytes(copy)
    home.ledger.unlink()
    fresh = home.open()
    assert fresh.find_subject(ann).erased_at is None
    assert fresh.replay(theirs) == [ann]
    assert fresh.replay(theirs) == []
    assert fresh.find_subject(ann).erased_at == theirs[0].erased_at
    assert fresh.find_subject(ben).erased_at is None
    assert fresh.ledger.entries() == theirs
    with pytest.raises(CorruptKeyring):
        fresh.replay([LedgerEntry(ben, 1.0, "asked", "0" * 64, bytes(64).hex())])
    assert fresh.find_subject(ben).erased_at is None
