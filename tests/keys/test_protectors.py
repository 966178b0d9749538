"""The drivers of KeyEncryption keep its promises, and what each promises beyond."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from key_encryption_conformance import CONTEXT, KEY, KeyEncryptionConformance
from keyring_home import CHEAP, Home, MemoryBackend

from audobon.errors import CorruptKeyring, InvalidInput, Misconfigured, Unavailable, WrongPassphrase
from audobon.keys.passphrase import Cost, Passphrase, PassphraseFile, ask_at_terminal
from audobon.keys.secret_store import SecretStore, is_secure
from audobon.keys.service import PERSONAL
from audobon.keys.unlock_file import UnlockFile

WORDS = "correct horse battery"


class _Kept:
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "keyrings" / "kek.json"
        self.backend = MemoryBackend()
        self.is_new = True


class TestUnlockFile(_Kept, KeyEncryptionConformance):
    def opened(self) -> UnlockFile:
        return UnlockFile(self.path, is_new=lambda: self.is_new)

    def lose(self) -> None:
        self.path.unlink()
        self.is_new = False

    def test_only_its_user_may_read_it(self) -> None:
        self.opened().rotate()
        assert (self.path.stat().st_mode & 0o777, self.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    def test_a_flipped_bit_anywhere_in_the_file_is_noticed(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        data = self.path.read_bytes()
        for place in range(0, len(data) * 8, 3):
            changed = bytearray(data)
            changed[place // 8] ^= 1 << place % 8
            self.path.write_bytes(changed)
            with pytest.raises(CorruptKeyring):
                self.opened().unwrap(wrapped, context=CONTEXT)


class TestPassphraseFile(_Kept, KeyEncryptionConformance):
    def opened(self, words: str = WORDS) -> PassphraseFile:
        return PassphraseFile(self.path, Passphrase(given=words), is_new=lambda: self.is_new, cost=CHEAP)

    def lose(self) -> None:
        self.path.unlink()
        self.is_new = False

    def test_only_its_user_may_read_it(self) -> None:
        self.opened().rotate()
        assert self.path.stat().st_mode & 0o777 == 0o600

    def test_another_passphrase_does_not_open_it(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        with pytest.raises(WrongPassphrase):
            self.opened("correct horse batterY").unwrap(wrapped, context=CONTEXT)
        assert self.opened().unwrap(wrapped, context=CONTEXT) == KEY

    def test_a_short_passphrase_is_refused_for_a_new_file(self) -> None:
        with pytest.raises(InvalidInput, match="at least 8 characters"):
            self.opened("short").wrap(KEY, context=CONTEXT)
        assert not self.path.exists()

    def test_without_a_passphrase_it_says_how_to_give_one(self) -> None:
        self.opened().wrap(KEY, context=CONTEXT)
        with pytest.raises(WrongPassphrase, match="none was given"):
            self.opened("").rotate()

    def test_a_wrong_one_is_called_wrong_however_often_it_is_tried(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        nobody = Passphrase(given="correct horse batterY", ask=lambda is_new: "")
        kek = PassphraseFile(self.path, nobody, is_new=lambda: False, cost=CHEAP)
        for _ in range(3):
            with pytest.raises(WrongPassphrase, match="does not open the keyring"):
                kek.unwrap(wrapped, context=CONTEXT)

    def test_the_file_says_what_a_guess_costs_and_a_flipped_bit_of_it_is_noticed(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        data = self.path.read_bytes()
        assert json.loads(data)["cost"] == {"memory_kib": 64, "passes": 1, "lanes": 1}
        for place in range(0, len(data) * 8, 3):
            changed = bytearray(data)
            changed[place // 8] ^= 1 << place % 8
            self.path.write_bytes(changed)
            with pytest.raises(CorruptKeyring):
                self.opened().unwrap(wrapped, context=CONTEXT)

    def test_the_default_cost_is_that_of_rfc_9106(self) -> None:
        assert Cost() == Cost(memory_kib=64 * 1024, passes=3, lanes=4)

    def test_a_changed_passphrase_opens_it_and_the_one_before_does_not(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        self.opened().change(Passphrase(given="another secret"))
        assert self.opened("another secret").unwrap(wrapped, context=CONTEXT) == KEY
        with pytest.raises(WrongPassphrase):
            self.opened().unwrap(wrapped, context=CONTEXT)

    def test_a_rotation_by_another_process_needs_no_second_asking(self) -> None:
        asked: list[bool] = []
        source = Passphrase(ask=lambda is_new: asked.append(is_new) or WORDS)  # type: ignore[func-returns-value]
        kek = PassphraseFile(self.path, source, is_new=lambda: True, cost=CHEAP)
        kek.version  # noqa: B018  makes the file
        self.opened().rotate()
        kek.unwrap(self.opened().wrap(KEY, context=CONTEXT), context=CONTEXT)
        assert asked == [True]


class TestSecretStore(_Kept, KeyEncryptionConformance):
    def opened(self) -> SecretStore:
        return SecretStore(self.backend, "a keyring", is_new=lambda: self.is_new)

    def lose(self) -> None:
        self.backend.secrets.clear()
        self.is_new = False

    def test_a_locked_store_is_told_without_its_words(self) -> None:
        from keyring.errors import KeyringLocked

        def refuse(service: str, username: str) -> str | None:
            raise KeyringLocked("secret words")

        self.backend.get_password = refuse  # type: ignore[method-assign]
        with pytest.raises(Unavailable, match="cannot be used: KeyringLocked") as error:
            self.opened().wrap(KEY, context=CONTEXT)
        assert "secret words" not in error.value.message


def test_only_stores_that_encrypt_are_used() -> None:
    from keyring.backends import fail, null

    def of_module(name: str) -> object:
        return type("Keyring", (), {"__module__": name})()

    assert not is_secure(fail.Keyring())
    assert not is_secure(null.Keyring())
    assert not is_secure(of_module("keyrings.alt.file"))
    assert not is_secure(of_module("keyring.backends.macOS_like"))
    assert is_secure(of_module("keyring.backends.SecretService"))
    assert is_secure(of_module("keyring.backends.macOS"))


@pytest.mark.parametrize(
    ("wanted", "passphrase", "has_store", "chosen"),
    [
        ("auto", "", False, "unlock-file"),
        ("auto", "", True, "secret-store"),
        ("auto", WORDS, True, "passphrase"),
        ("unlock-file", WORDS, True, "unlock-file"),
        ("secret-store", WORDS, True, "secret-store"),
        ("passphrase", WORDS, False, "passphrase"),
    ],
)
def test_a_keyring_records_what_protects_it(
    home: Home, wanted: str, passphrase: str, has_store: bool, chosen: str
) -> None:
    home.backend = MemoryBackend() if has_store else None
    keys = home.open(passphrase, wanted=wanted)
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    assert keys.status().protector == chosen
    # Other wishes change nothing once it is made.
    assert home.open(passphrase, wanted="auto").unseal_text(sealed, context=b"c") == "mine"


def test_a_secret_store_that_is_wanted_and_absent_is_told(home: Home) -> None:
    with pytest.raises(Misconfigured, match="no secret store"):
        home.open(wanted="secret-store").seal(PERSONAL, b"", context=b"")


@pytest.mark.parametrize("before", ["unlock-file", "secret-store", "passphrase"])
@pytest.mark.parametrize("after", ["unlock-file", "secret-store", "passphrase"])
def test_protection_changes_and_what_protected_before_is_gone(home: Home, before: str, after: str) -> None:
    if before == after:
        return
    home.backend = MemoryBackend()
    keys = home.open(WORDS, wanted=before)
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    left = home.open(WORDS)
    keys.protect(after, passphrase=Passphrase(given=WORDS) if after == "passphrase" else None)  # type: ignore[arg-type]
    assert keys.status().protector == after
    assert home.open(WORDS).unseal_text(sealed, context=b"c") == "mine"
    assert left.unseal_text(sealed, context=b"c") == "mine"
    files = sorted(path.name.partition(".")[2] for path in home.unlock_folder.glob("*"))
    assert files == {"unlock-file": ["json"], "secret-store": [], "passphrase": ["passphrase.json"]}[after]
    assert bool(home.backend.secrets) == (after == "secret-store")


def test_a_passphrase_is_changed_in_place(home: Home) -> None:
    keys = home.open(WORDS)
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    keys.protect("passphrase", passphrase=Passphrase(given="another secret"))
    assert keys.unseal_text(sealed, context=b"c") == "mine"
    assert home.open("another secret").unseal_text(sealed, context=b"c") == "mine"
    with pytest.raises(WrongPassphrase):
        home.open(WORDS).unseal_text(sealed, context=b"c")


def test_the_first_line_of_a_file_is_the_passphrase(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(b"correct horse battery\r\nand a note\n")
    assert Passphrase(file=file).get() == WORDS


def test_a_passphrase_never_shows() -> None:
    assert WORDS not in repr(Passphrase(given=WORDS)) + str(vars(Passphrase(file=Path(os.devnull))))


def test_nobody_is_asked_from_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda _: "typed")
    with ThreadPoolExecutor(1) as background:
        assert background.submit(ask_at_terminal, False).result() == ""
    assert ask_at_terminal(False) == "typed"
