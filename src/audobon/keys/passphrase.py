"""A passphrase: where it comes from, and a key-encryption key in a file that only it opens."""

import hashlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from audobon.atomic import disk_errors
from audobon.errors import CorruptKeyring, InvalidInput, WrongPassphrase
from audobon.keys.unlock_file import read_private, remove_private, write_private
from audobon.keys.versions import HINT, KeptVersions
from audobon.keys.wrapping import KEY_BYTES, NONCE_BYTES, sealed_by

_SALT_BYTES = 16
_SHORTEST = 8
_CONTEXT = b"audobon keyring by passphrase"

Ask = Callable[[bool], str]
"""Asks a person; told whether the passphrase is a new one, to be typed twice."""


class Passphrase:
    """Where the passphrase comes from: given, else a file, else asked once; never shown.

    given  as it came from the environment, or from the process that started this one
    file   its first line is the passphrase
    ask    None: there is nobody to ask
    """

    def __init__(self, *, given: str = "", file: Path | None = None, ask: Ask | None = None) -> None:
        self._text = given
        self._file = file
        self._ask = ask
        self._was_wrong = False

    @property
    def is_configured(self) -> bool:
        """Whether there is one without asking."""
        return bool(self._text) or self._file is not None

    def get(self, *, is_new: bool = False) -> str:
        """Return it. raises WrongPassphrase when there is none, InvalidInput when a new one is short."""
        if not self._text:
            if self._file is not None:
                with disk_errors(self._file):
                    self._text = self._file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
            elif self._ask is not None:
                self._text = self._ask(is_new)
        if not self._text and self._was_wrong:
            raise WrongPassphrase("the passphrase does not open the keyring")
        if not self._text:
            raise WrongPassphrase(
                "the keyring is locked with a passphrase, and none was given",
                hint="keys.passphrase_file, or run it at a terminal; forgotten: audobon keys import-recovery",
            )
        if is_new and len(self._text) < _SHORTEST:
            self._text = ""
            raise InvalidInput(f"a passphrase needs at least {_SHORTEST} characters")
        return self._text

    def forget(self) -> None:
        """Ask again the next time; for one that was typed wrong."""
        if self._ask is not None and self._file is None:
            self._text, self._was_wrong = "", True


def ask_at_terminal(is_new: bool) -> str:
    """Ask a person for the passphrase, unseen; empty when nobody is there to ask."""
    import getpass

    # What works in the background waits for the command: two questions at once cannot be answered.
    if threading.current_thread() is not threading.main_thread():
        return ""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""
    text = getpass.getpass("new passphrase of the keyring: " if is_new else "passphrase of the keyring: ")
    if is_new and getpass.getpass("once more: ") != text:
        raise InvalidInput("the two passphrases differ", hint="run the command again")
    return text


class Cost(msgspec.Struct, frozen=True):
    """What one guess costs (Argon2id). The default is RFC 9106's second choice.

    source  RFC 9106, section 4
    """

    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 4


class _Kept(msgspec.Struct):
    """The file: how the passphrase becomes a key, and the versions that this key sealed."""

    format: int
    salt: str
    cost: Cost
    sealed: str
    check: str = ""


class PassphraseFile(KeptVersions):
    """A KEK in a file of mode 0600 that only a passphrase opens, through Argon2id.

    cost  for a file that is made anew; what a file was made with stands in it
    """

    def __init__(
        self, path: Path, passphrase: Passphrase, *, is_new: Callable[[], bool], cost: Cost | None = None
    ) -> None:
        super().__init__(str(path), is_new=is_new)
        self._path = path
        self._passphrase = passphrase
        self._cost = cost or Cost()
        self._opened: tuple[str, Cost, bytes] | None = None

    def change(self, passphrase: Passphrase) -> None:
        """Let another passphrase open it from now on."""
        versions = self._present()
        passphrase.get(is_new=True)
        self._passphrase, self._opened = passphrase, None
        self._save(versions)

    def discard(self) -> None:
        """Remove the file."""
        remove_private(self._path)

    def _load(self) -> dict[str, bytes] | None:
        data = read_private(self._path)
        if data is None:
            return None
        kept = self._decoded(data)
        key = self._key(kept.salt, kept.cost)
        sealed = bytes.fromhex(kept.sealed)
        try:
            plain = AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _CONTEXT)
        except InvalidTag as error:
            self._passphrase.forget()
            raise WrongPassphrase(
                "the passphrase does not open the keyring",
                hint="if it is forgotten: audobon keys import-recovery",
            ) from error
        self._opened = kept.salt, kept.cost, key
        names = msgspec.msgpack.decode(plain, type=list[tuple[str, bytes]])
        return dict(names)

    def _save(self, versions: dict[str, bytes]) -> None:
        salt, cost = (
            self._opened[:2] if self._opened is not None else (os.urandom(_SALT_BYTES).hex(), self._cost)
        )
        key = self._key(salt, cost, is_new=self._opened is None)
        plain = msgspec.msgpack.encode(list(versions.items()))
        kept = _Kept(1, salt, cost, sealed_by(AESGCM(key), plain, _CONTEXT).hex())
        kept.check = _check(kept)
        write_private(self._path, msgspec.json.encode(kept))
        self._opened = salt, cost, key

    def _key(self, salt: str, cost: Cost, *, is_new: bool = False) -> bytes:
        if self._opened is not None and self._opened[:2] == (salt, cost):
            return self._opened[2]
        stretched = Argon2id(
            salt=bytes.fromhex(salt),
            length=KEY_BYTES,
            iterations=cost.passes,
            lanes=cost.lanes,
            memory_cost=cost.memory_kib,
        )
        return stretched.derive(self._passphrase.get(is_new=is_new).encode())

    def _decoded(self, data: bytes) -> _Kept:
        try:
            kept = msgspec.json.decode(data, type=_Kept)
            bytes.fromhex(kept.salt + kept.sealed)
        except (msgspec.DecodeError, ValueError) as error:
            raise CorruptKeyring(f"{self._where} is not as it was written", hint=HINT) from error
        # Looked at before it is believed: a changed cost could take all memory there is.
        if kept.check != _check(kept):
            raise CorruptKeyring(f"{self._where} is not as it was written", hint=HINT)
        return kept


def _check(kept: _Kept) -> str:
    return hashlib.sha256(msgspec.json.encode([kept.format, kept.salt, kept.cost, kept.sealed])).hexdigest()[
        :16
    ]
