"""Copies of a data folder each have a topmost key of their own, so none can lock another out."""

import shutil
from pathlib import Path

import pytest
from keyring_home import Home, MemoryBackend

from audobon.errors import DiskFull
from audobon.keys import unlock_file
from audobon.keys.importing import import_recovery
from audobon.keys.keyring_copy import copy_keyring
from audobon.keys.passphrase import Passphrase
from audobon.keys.service import PERSONAL, Keys

WORDS = "correct horse battery"


class Copy(Home):
    """Another data folder of the same machine."""

    def __init__(self, home: Home, name: str) -> None:
        super().__init__(home.folder.parent)
        self.folder = home.folder.with_name(name)
        self.backend = home.backend


def copied(home: Home, how: str) -> Copy:
    copy = Copy(home, "copy")
    if how == "by hand":
        shutil.copytree(home.folder, copy.folder)
    elif how == "by a restore":
        copy_keyring(home.folder, copy.folder)
    else:
        keys = home.open(WORDS)
        import_recovery(
            copy.folder, keys.recovery_words(), keys.export_for_recovery(), copy.protectors(WORDS)
        )
        keys.close()
    return copy


def opens(home: Home, sealed: str) -> bool:
    keys = home.open(WORDS)
    try:
        return keys.unseal_text(sealed, context=b"c") == "mine"
    finally:
        keys.close()


HOWS = ["by hand", "by a restore", "by the words"]
PROTECTORS = ["unlock-file", "passphrase", "secret-store"]


@pytest.fixture(params=PROTECTORS)
def sealed(home: Home, request: pytest.FixtureRequest) -> str:
    """Something sealed in a keyring under each protector."""
    home.backend = MemoryBackend()
    keys = home.open(WORDS, wanted=request.param)
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    keys.close()
    return sealed


@pytest.mark.parametrize("how", HOWS)
def test_copies_that_rotate_in_turns_open_always(home: Home, sealed: str, how: str) -> None:
    copy = copied(home, how)
    sides = [home.open(WORDS), copy.open(WORDS)]
    for keys in sides:
        assert keys.unseal_text(sealed, context=b"c") == "mine"
    for turn in range(20):
        sides[turn % 2].rotate()
        assert opens(home, sealed)
        assert opens(copy, sealed)
    # One that rotates alone for long takes nothing from the other either.
    for _ in range(10):
        sides[0].rotate()
    assert opens(copy, sealed)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("first", ["original", "copy"])
def test_another_protector_of_one_leaves_the_other_what_unlocks_it(
    home: Home, sealed: str, how: str, first: str
) -> None:
    copy = copied(home, how)
    assert opens(copy, sealed)
    one, other = (home, copy) if first == "original" else (copy, home)
    before = one.open(WORDS).status().protector
    for after in (each for each in PROTECTORS if each != before):
        passphrase = Passphrase(given=WORDS) if after == "passphrase" else None
        one.open(WORDS).protect(after, passphrase=passphrase)  # type: ignore[arg-type]
        assert opens(one, sealed)
        assert opens(other, sealed)


def test_a_copy_is_parted_before_it_changes_anything_itself(home: Home, keys: Keys) -> None:
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    copy = copied(home, "by hand")
    copy.open(WORDS).protect("passphrase", passphrase=Passphrase(given=WORDS))
    assert opens(copy, sealed)
    assert opens(home, sealed)
    assert len(list(home.unlock_folder.iterdir())) == 2


def test_a_copy_of_a_change_half_done_does_not_finish_it_for_the_other(home: Home, keys: Keys) -> None:
    """Killed before the protector it leaves was destroyed, a keystore says so; its copy says so as well."""
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    keys.protect("passphrase", passphrase=Passphrase(given=WORDS))
    keys.protect("unlock-file")
    keys._ring.store.set_meta("leaving", b"passphrase")
    copy = copied(home, "by hand")
    assert opens(copy, sealed)
    assert copy.open(WORDS)._ring.store.meta("leaving") is None
    keys.close()
    assert opens(home, sealed)


def test_keyrings_brought_back_by_the_words_in_one_leave_the_other(home: Home, keys: Keys) -> None:
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    words, file = keys.recovery_words(), keys.export_for_recovery()
    copy = copied(home, "by hand")
    assert opens(copy, sealed)
    for turn in range(12):
        import_recovery(
            (home, copy)[turn % 2].folder,
            words,
            file,
            home.protectors(WORDS, wanted="unlock-file"),
            replace=True,
        )
        assert opens(home, sealed)
        assert opens(copy, sealed)


def test_a_folder_that_is_moved_keeps_its_key_and_a_copy_in_its_place_gets_one(
    home: Home, keys: Keys
) -> None:
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    keys.close()
    moved = Copy(home, "moved")
    home.folder.rename(moved.folder)
    before = list(home.unlock_folder.iterdir())
    assert opens(moved, sealed)
    assert list(home.unlock_folder.iterdir()) == before
    shutil.copytree(moved.folder, home.folder)
    assert opens(home, sealed)
    assert len(list(home.unlock_folder.iterdir())) == 2
    for _ in range(9):
        home.open().rotate()
        assert opens(moved, sealed)


def test_a_copy_that_cannot_be_given_a_key_is_read_all_the_same(
    home: Home, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    copy = copied(home, "by hand")

    def full(path: Path, data: bytes) -> None:
        raise DiskFull("no room left")

    with monkeypatch.context() as patched:
        patched.setattr(unlock_file, "write_private", full)
        assert opens(copy, sealed)
        with pytest.raises(DiskFull):
            copy.open().rotate()
    assert len(list(home.unlock_folder.iterdir())) == 1
    copy.open().rotate()
    assert opens(copy, sealed)
    assert opens(home, sealed)


def test_what_is_thrown_away_takes_its_own_key_along_and_no_other(home: Home, keys: Keys) -> None:
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    (own,) = home.unlock_folder.iterdir()
    for is_opened in (False, True):
        copy = copied(home, "by hand")
        if is_opened:
            assert opens(copy, sealed)
            assert len(list(home.unlock_folder.iterdir())) == 2
        with_keys = copy.open()
        with_keys.abandon()
        with_keys.close()
        shutil.rmtree(copy.folder)
        assert list(home.unlock_folder.iterdir()) == [own]
    assert opens(home, sealed)
