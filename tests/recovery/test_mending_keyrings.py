"""A lost, damaged or old keyring is noticed, and comes back with the recovery words alone."""

import os
import shutil

import pytest
from mended_home import Home

from audobon.config import keyrings_folder
from audobon.errors import KeyringLost, WrongPassphrase
from audobon.recovery.recovery_words import Words

_OTHER_WORDS = "abandon " * 23 + "art"


def remove_keystore(home: Home) -> None:
    shutil.rmtree(home.folder / "keys")


def remove_unlock_file(home: Home) -> None:
    keyring = (home.folder / "keyring.id").read_text().strip()
    # The rest of its name is drawn for each keystore.
    [file] = keyrings_folder().glob(f"{keyring}*.json")
    file.unlink()


def damage_keystore(home: Home) -> None:
    path = home.folder / "keys" / "keystore.db"
    path.write_bytes(path.read_bytes()[:2000] + os.urandom(3000))


@pytest.mark.parametrize("damage", [remove_keystore, remove_unlock_file, damage_keystore])
def test_a_lost_keyring_comes_back_from_a_place_with_the_words(home: Home, damage) -> None:  # type: ignore[no-untyped-def]
    home.back_up()
    words = home.words()
    damage(home)

    with pytest.raises(KeyringLost) as error:
        home.mend()
    assert error.value.hint == "with the 24 recovery words: audobon recovery mend --recovery-words-file FILE"
    with pytest.raises(WrongPassphrase):
        home.mend(words=Words(lambda: _OTHER_WORDS, are_given=True))

    told = home.mend(words=words)

    assert [each.what for each in told] == ["keyring imported"]
    assert told[0].facts["place"] == str(home.place)
    assert home.jobs() == ["first", "second"]
    assert home.lacking() == 0
    assert home.mended() == []


def test_without_a_place_a_lost_keyring_ends_with_the_command_that_takes_a_recovery_file(home: Home) -> None:
    remove_keystore(home)
    with pytest.raises(KeyringLost, match="no place that can be reached holds an export") as error:
        home.mend()
    assert error.value.hint is not None
    assert error.value.hint.startswith("audobon keys import-recovery FILE")


def test_an_old_keystore_that_was_put_back_erases_again_whoever_was_erased(home: Home) -> None:
    with home.app() as app:
        subject = app.keys.subject("Mara")
        app.storage.put(b"x" * 5000, subject=subject, kind="user")
    keystore = home.folder / "keys" / "keystore.db"
    old = keystore.read_bytes()
    with home.app() as app:
        app.data.erase(subject)
    keystore.write_bytes(old)

    told = home.mend()

    assert [each.what for each in told] == ["erased again"]
    assert told[0].facts == {"subject": subject}
    with home.app() as app:
        assert app.keys.find_subject(subject).erased_at is not None


def test_a_keystore_older_than_its_packs_is_told_of_and_replaced_when_the_words_are_given(home: Home) -> None:
    keystore = home.folder / "keys" / "keystore.db"
    old = keystore.read_bytes()
    with home.app() as app:
        key = app.storage.put(b"x" * 5000, subject=app.keys.subject("Mara"), kind="user")
    home.back_up()
    words = home.words()
    keystore.write_bytes(old)

    assert "keyring older" in home.mended()
    told = home.mend(words=words)
    assert [each.what for each in told] == ["keyring imported"]
    with home.app() as app:
        assert app.storage.get(key) == b"x" * 5000
