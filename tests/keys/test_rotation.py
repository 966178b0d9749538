"""Rotation makes keys fresh and loses nothing; rewrapping goes on where it stopped."""

import sqlite3
from collections.abc import Iterator

import pytest
from keyring_home import Home, sealed_version

from audobon.keys import rotation
from audobon.keys.rotation import Rewrapped, Rotated, Wrapped
from audobon.keys.service import PERSONAL, DataKey, Keys


def beside(made: DataKey) -> Wrapped:
    return made.id, made.subject, made.subject_version, made.wrapped


def wrapped_in(home: Home) -> set[bytes]:
    connection = sqlite3.connect(home.keystore)
    try:
        tables = ("tenant_key", "secret", "subject_key")
        return {
            bytes(row[0]) for table in tables for row in connection.execute(f"SELECT wrapped FROM {table}")
        }
    finally:
        connection.close()


def test_a_rotation_makes_every_key_above_the_data_keys_anew(home: Home, keys: Keys) -> None:
    ann = keys.subject("Ann")
    keys.subject(PERSONAL)
    sealed, made = keys.seal_text(ann, "x", context=b"c"), keys.new_data_key(ann)
    words, public = keys.recovery_words(), keys.public_signing_key
    before = wrapped_in(home)
    assert keys.rotate() == Rotated(kek_version="2", tenant_version=2, subjects=2)
    assert not before & wrapped_in(home)
    assert not any(each in home.keystore.read_bytes() for each in before)
    assert not home.keystore.with_name("keystore.db-journal").exists()
    fresh = home.open()
    assert fresh.unseal_text(sealed, context=b"c") == "x"
    assert fresh.open_data_key(*beside(made)) == made.key
    assert (fresh.recovery_words(), fresh.public_signing_key) == (words, public)
    assert [fresh.find_subject("Ann").id, fresh.subject(PERSONAL)] == [ann, PERSONAL]
    assert sealed_version(fresh.seal_text(ann, "x", context=b"c")) == (ann, 2)
    assert fresh.new_data_key(ann).subject_version == 2


def test_twenty_rotations_leave_everything_readable_and_eight_topmost_keys(home: Home, keys: Keys) -> None:
    sealed = []
    for number in range(20):
        sealed.append(keys.seal_text(PERSONAL, str(number), context=b"c"))
        keys.rotate()
    fresh = home.open()
    assert [fresh.unseal_text(text, context=b"c") for text in sealed] == [str(n) for n in range(20)]
    assert fresh._ring.kek().versions() == [str(n) for n in range(14, 22)]


def test_rewrapping_wraps_what_is_old_by_the_newest_key_and_tells_the_rest(home: Home, keys: Keys) -> None:
    ann, ben = keys.subject("Ann"), keys.subject("Ben")
    old = [keys.new_data_key(subject) for subject in (ann, ben, PERSONAL)]
    keys.rotate()
    new = keys.new_data_key(ann)
    damaged = (bytes(16), ann, 1, bytes(60))
    keys.erase(ben)
    held = [*map(beside, old), beside(new), damaged]
    planned = keys.rewrap(held, dry_run=True)
    assert planned == Rewrapped(5, 2, 1, 1, [bytes(16).hex()])
    assert keys.status().rewrapped == 0
    told: list[int] = []
    assert keys.rewrap(held, report=told.append) == planned
    assert told == [5]
    assert keys.rewrap(held) == Rewrapped(5, 0, 3, 1, [bytes(16).hex()])
    fresh = home.open()
    for made in (old[0], old[2], new):
        assert fresh.open_data_key(*beside(made)) == made.key
    assert versions_of_data_keys(home) == {(old[0].id, 2), (old[2].id, 2)}


def versions_of_data_keys(home: Home) -> set[tuple[bytes, int]]:
    connection = sqlite3.connect(home.keystore)
    try:
        return set(connection.execute("SELECT id, subject_version FROM data_key"))
    finally:
        connection.close()


def test_rewrapping_that_was_broken_off_goes_on(
    home: Home, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "_BATCH", 10)
    old = [keys.new_data_key(PERSONAL) for _ in range(35)]
    keys.rotate()

    def broken() -> Iterator[Wrapped]:
        yield from map(beside, old[:25])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keys.rewrap(broken())
    assert len(versions_of_data_keys(home)) == 20
    assert keys.rewrap(map(beside, old)) == Rewrapped(35, 15, 20, 0, [])
    fresh = home.open()
    assert all(fresh.open_data_key(*beside(made)) == made.key for made in old)


def test_a_second_rotation_wraps_again_what_was_wrapped_anew(home: Home, keys: Keys) -> None:
    made = keys.new_data_key(PERSONAL)
    for version in (2, 3):
        keys.rotate()
        assert keys.rewrap([beside(made)]).rewrapped == 1
        assert versions_of_data_keys(home) == {(made.id, version)}
    assert home.open().open_data_key(*beside(made)) == made.key


def test_a_damaged_new_wrapping_does_not_hide_the_one_beside_the_data(home: Home, keys: Keys) -> None:
    made = keys.new_data_key(PERSONAL)
    keys.rotate()
    keys.rewrap([beside(made)])
    with keys._ring.changing() as connection:
        connection.execute("UPDATE data_key SET wrapped = zeroblob(60)")
    assert home.open().open_data_key(*beside(made)) == made.key
