"""Keys are given out, seal and sign; many threads and processes share one keyring."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyring_home import Home

from audobon.errors import (
    AudobonError,
    CorruptKeyring,
    InvalidInput,
    SubjectErased,
    SubjectNotFound,
)
from audobon.keys import ring
from audobon.keys.service import PERSONAL, SYSTEM, Keys


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes by others are looked for at every call."""
    monkeypatch.setattr(ring, "_FRESH_SECONDS", 0.0)


def test_what_is_sealed_opens_under_its_subject_and_context_alone(keys: Keys) -> None:
    ann = keys.subject("Ann")
    sealed = keys.seal(ann, b"secret", context=b"here")
    assert keys.unseal(ann, sealed, context=b"here") == b"secret"
    for subject, context in ((ann, b"there"), (PERSONAL, b"here"), (SYSTEM, b"here")):
        keys.seal(subject, b"", context=b"")
        with pytest.raises(CorruptKeyring):
            keys.unseal(subject, sealed, context=context)


def test_every_flipped_bit_of_something_sealed_is_noticed(keys: Keys) -> None:
    sealed = keys.seal(PERSONAL, b"secret", context=b"c")
    for place in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(CorruptKeyring):
            keys.unseal(PERSONAL, bytes(changed), context=b"c")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.binary(max_size=20))
def test_any_text_comes_back(keys: Keys, text: str, context: bytes) -> None:
    sealed = keys.seal_text(PERSONAL, text, context=context)
    assert keys.unseal_text(sealed, context=context) == text
    assert keys.is_sealed(sealed, context=context)
    assert not keys.is_sealed(sealed, context=context + b"!")


@pytest.mark.parametrize("text", ["", "s1.png", "s1.personal.short", "page 1", "s1." + "x" * 90])
def test_a_text_that_is_not_sealed_stays_as_it_is(keys: Keys, text: str) -> None:
    assert keys.unseal_text(text, context=b"c") == text
    assert not keys.is_sealed(text, context=b"c")


def test_every_changed_character_of_a_sealed_text_is_noticed(keys: Keys) -> None:
    sealed = keys.seal_text(PERSONAL, "a name", context=b"c")
    body = sealed.rindex(".") + 1
    for place in range(body, len(sealed)):
        for other in "AZaz09-_":
            changed = sealed[:place] + other + sealed[place + 1 :]
            if changed == sealed or sealed[place] == "=":
                continue
            with pytest.raises(CorruptKeyring):
                keys.unseal_text(changed, context=b"c")


def test_data_keys_open_from_what_lies_beside_their_data(home: Home, keys: Keys) -> None:
    ann = keys.subject("Ann")
    made = keys.new_data_key(ann)
    assert len(made.key) == 32
    other = home.open()
    assert other.open_data_key(made.id, ann, made.subject_version, made.wrapped) == made.key
    for place in range(len(made.wrapped)):
        changed = bytearray(made.wrapped)
        changed[place] ^= 1
        with pytest.raises(CorruptKeyring):
            home.open().open_data_key(made.id, ann, made.subject_version, bytes(changed))
    with pytest.raises(CorruptKeyring):
        home.open().open_data_key(bytes(16), ann, made.subject_version, made.wrapped)
    with pytest.raises(AudobonError):
        home.open().open_data_key(made.id, PERSONAL, made.subject_version, made.wrapped)


def test_a_data_key_held_for_one_subject_is_not_given_to_another(keys: Keys) -> None:
    ann, ben = keys.subject("Ann"), keys.subject("Ben")
    made = keys.new_data_key(ann)
    with pytest.raises(CorruptKeyring):
        keys.open_data_key(made.id, ben, made.subject_version, made.wrapped)


def test_blobs_of_subjects_are_named_by_different_keys_that_stay(home: Home, keys: Keys) -> None:
    ann, ben = keys.subject("Ann"), keys.subject("Ben")
    names = {keys.blob_id_key(subject) for subject in (ann, ben, PERSONAL, SYSTEM)}
    assert len(names) == 4
    before = keys.blob_id_key(ann)
    keys.rotate()
    assert home.open().blob_id_key(ann) == before


def test_names_are_sealed_and_found_by_name_or_id(home: Home, keys: Keys) -> None:
    ann = keys.subject("Ann Example")
    assert keys.subject("Ann Example") == ann
    assert keys.find_subject("Ann Example").id == keys.find_subject(ann).id == ann
    assert b"Ann Example" not in home.keystore.read_bytes()
    with pytest.raises(SubjectNotFound):
        keys.find_subject("Nobody")
    for name in ("", "  ", "x" * 201):
        with pytest.raises(InvalidInput):
            keys.subject(name)


def test_signatures_prove_this_keyring_and_these_bytes(home: Home, keys: Keys, tmp_path: Any) -> None:
    signature = keys.sign(b"manifest")
    assert home.open().is_signed(b"manifest", signature)
    assert not keys.is_signed(b"Manifest", signature)
    assert not keys.is_signed(b"manifest", bytes(64))
    assert not Home(tmp_path / "other").open().is_signed(b"manifest", signature)
    assert len(keys.public_signing_key) == 32


@pytest.mark.usefixtures("_at_once")
def test_another_process_erasing_is_noticed_even_by_what_is_held(home: Home, keys: Keys) -> None:
    ann = keys.subject("Ann")
    made, sealed = keys.new_data_key(ann), keys.seal_text(ann, "x", context=b"c")
    other = home.open()
    assert other.unseal_text(sealed, context=b"c") == "x"
    other.open_data_key(made.id, ann, made.subject_version, made.wrapped)
    keys.erase(ann)
    with pytest.raises(SubjectErased):
        other.unseal_text(sealed, context=b"c")
    with pytest.raises(SubjectErased):
        other.open_data_key(made.id, ann, made.subject_version, made.wrapped)
    with pytest.raises(SubjectErased):
        other.seal(ann, b"", context=b"")
    with pytest.raises(SubjectErased):
        other.blob_id_key(ann)


def test_others_are_looked_for_every_half_second() -> None:
    assert ring._FRESH_SECONDS == 0.5


@pytest.mark.usefixtures("_at_once")
def test_another_process_rotating_is_noticed(home: Home, keys: Keys) -> None:
    ann = keys.subject("Ann")
    other = home.open()
    assert other.new_data_key(ann).subject_version == 1
    keys.rotate()
    assert other.new_data_key(ann).subject_version == 2


def test_threads_that_come_first_together_share_one_keyring(home: Home) -> None:
    keys, barrier = home.open(), threading.Barrier(8)

    def use(number: int) -> str:
        barrier.wait()
        return keys.seal_text(PERSONAL, str(number), context=b"c")

    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(use, range(8)))
    fresh = home.open()
    assert [fresh.unseal_text(text, context=b"c") for text in sealed] == [str(n) for n in range(8)]


def test_threads_use_it_while_it_rotates_and_people_are_erased(home: Home) -> None:
    keys = home.open()
    keys.subject(PERSONAL)
    is_over = threading.Event()

    def use(number: int) -> None:
        held: list[tuple[str, str]] = []
        while not is_over.is_set():
            text = f"{number}-{len(held)}"
            held.append((text, keys.seal_text(PERSONAL, text, context=b"c")))
            made = keys.new_data_key(PERSONAL)
            assert keys.open_data_key(made.id, made.subject, made.subject_version, made.wrapped) == made.key
            for plain, sealed in held[-20:]:
                assert keys.unseal_text(sealed, context=b"c") == plain

    with ThreadPoolExecutor(3) as pool:
        users = [pool.submit(use, number) for number in range(3)]
        try:
            for number in range(6):
                keys.rotate()
                keys.erase(keys.subject(f"person {number}"))
        finally:
            is_over.set()
        for user in users:
            user.result()


def test_a_subject_that_could_not_be_written_is_not_used(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = home.open()
    keys.subject(SYSTEM)

    def fail(*_: object) -> int:
        raise CorruptKeyring("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(ring, "utc_now", fail)
        with pytest.raises(CorruptKeyring):
            keys.seal_text(PERSONAL, "x", context=b"c")
    sealed = keys.seal_text(PERSONAL, "x", context=b"c")
    assert home.open().unseal_text(sealed, context=b"c") == "x"
