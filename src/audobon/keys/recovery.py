"""The recovery key: 24 words that open a copy of the keystore when everything else is lost.

The words are a seed of 32 bytes (BIP39, English); the seed is an age identity, and a key that authenticates
comes from it. A recovery file is one line of JSON and then a file that age itself reads.
"""

import hashlib
import hmac
from typing import Any

import msgspec

from audobon.clock import utc_now
from audobon.errors import CorruptKeyring, InvalidInput, NewerFormat, WrongPassphrase
from audobon.keys.bech32 import bech32
from audobon.keys.ring import Ring
from audobon.keys.subjects import PERSONAL
from audobon.keys.wrapping import KEY_BYTES, derived

FORMAT = 1
WORDS = 24
_MAGIC = "audobon recovery file"


class Heading(msgspec.Struct):
    """The first line of a recovery file, which anybody can read.

    keyring     the id of the keyring it holds
    created_at  UTC seconds
    recipient   whom it is encrypted to (age)
    digest      SHA-256 of the age file, in hexadecimal: tells damage from wrong words
    mac         HMAC-SHA256 of all this by the recovery key: tells who made it
    """

    magic: str
    format: int
    keyring: str
    created_at: float
    recipient: str
    digest: str
    mac: str = ""


class Content(msgspec.Struct, frozen=True):
    """What a recovery file holds: keys in clear but for data keys, which subject keys wrap."""

    personal: str
    begun: list[str]
    secrets: dict[str, bytes]
    subjects: list[tuple[str, bytes, float, float | None]]
    subject_keys: list[tuple[str, int, bytes, float]]
    data_keys: list[tuple[bytes, str, int, bytes]]

    def __repr__(self) -> str:
        """Tell how much it is, and no key: a traceback or a log may show it."""
        return f"Content({len(self.subjects)} subjects, {len(self.subject_keys)} keys)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return what `__repr__` tells."""
        return [("subjects", len(self.subjects)), ("subject_keys", len(self.subject_keys))]


class RecoveryKey:
    """The recovery key of a keyring, from its seed."""

    def __init__(self, seed: bytes) -> None:
        assert len(seed) == KEY_BYTES
        self._seed = seed

    @staticmethod
    def from_words(words: str) -> "RecoveryKey":
        """Return the key of 24 words, however they are spaced. raises WrongPassphrase."""
        given = words.lower().split()
        if len(given) != WORDS:
            raise WrongPassphrase(f"the recovery key has {WORDS} words, and these are {len(given)}")
        book = _book()
        for number, word in enumerate(given, 1):
            if word not in book.wordlist:
                # Not repeated here: what was typed may be all but right.
                raise WrongPassphrase(
                    f"word {number} is not a word of the list", hint="look for a typing error"
                )
        try:
            return RecoveryKey(bytes(book.to_entropy(given)))
        except ValueError as error:
            raise WrongPassphrase(
                "the words do not belong together: one is wrong, or out of place"
            ) from error

    @property
    def words(self) -> str:
        """The 24 words, parted by spaces."""
        return str(_book().to_mnemonic(self._seed))

    @property
    def identity(self) -> str:
        """The secret key as age writes it."""
        return bech32("age-secret-key-", self._seed).upper()

    @property
    def recipient(self) -> str:
        """The public key as age writes it."""
        import pyrage

        return str(pyrage.x25519.Identity.from_str(self.identity).to_public())

    def seal(self, plain: bytes, *, keyring: str) -> bytes:
        """Return a recovery file."""
        import pyrage

        sealed: bytes = pyrage.encrypt(plain, [pyrage.x25519.Recipient.from_str(self.recipient)])
        digest = hashlib.sha256(sealed).hexdigest()
        heading = Heading(_MAGIC, FORMAT, keyring, utc_now(), self.recipient, digest)
        heading.mac = self._mac(heading)
        return msgspec.json.encode(heading) + b"\n" + sealed

    def open(self, file: bytes) -> bytes:
        """Return what a recovery file holds.

        raises  WrongPassphrase when it is another key's, InvalidInput, NewerFormat, CorruptKeyring
        """
        import pyrage

        heading, sealed = read_heading(file)
        if heading.recipient != self.recipient:
            raise WrongPassphrase(
                f"these words do not open this file, which is of keyring {heading.keyring}",
                hint="another keyring has these words; look for its file, or for the words of this one",
            )
        if not hmac.compare_digest(heading.mac.encode(), self._mac(heading).encode()):
            raise CorruptKeyring("the recovery file was not made by this keyring, or was changed since")
        try:
            return bytes(pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(self.identity)]))
        except pyrage.DecryptError as error:
            raise CorruptKeyring("the recovery file is not as it was written") from error

    def _mac(self, heading: Heading) -> str:
        clear = msgspec.structs.replace(heading, mac="")
        key = derived(self._seed, b"audobon recovery mac")
        return hmac.new(key, msgspec.json.encode(clear), hashlib.sha256).hexdigest()


def read_heading(file: bytes) -> tuple[Heading, bytes]:
    """Return the heading of a recovery file and the age file after it; proves all but who made it.

    raises  InvalidInput when it is something else, NewerFormat, CorruptKeyring
    """
    line, end, sealed = file.partition(b"\n")
    try:
        found: Any = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict) or found.get("magic") != _MAGIC:
        if line.startswith(b'{"magic":"audobon'):
            raise CorruptKeyring("the recovery file is not as it was written")
        raise InvalidInput("this is not a recovery file", hint="look in keystores/ at a backup's place")
    if isinstance(found.get("format"), int) and found["format"] > FORMAT:
        raise NewerFormat("a newer Audobon wrote the recovery file", hint="upgrade Audobon")
    try:
        heading = msgspec.convert(found, Heading)
    except msgspec.ValidationError as error:
        raise CorruptKeyring("the recovery file is not as it was written") from error
    if not end or hashlib.sha256(sealed).hexdigest() != heading.digest:
        raise CorruptKeyring("the recovery file is not as it was written, or is cut off")
    return heading, sealed


def words_of(ring: Ring, *, are_shown: bool = True) -> str:
    """Return the recovery words; note when they are shown."""
    key = RecoveryKey(ring.secret("recovery"))
    if not are_shown:
        return key.words
    with ring.changing():
        ring.store.set_meta("words exported at", str(utc_now()).encode())
    return key.words


def export(ring: Ring) -> bytes:
    """Return the keystore's content as a recovery file. raises CorruptKeyring: damage is not handed on."""
    key = RecoveryKey(ring.secret("recovery"))
    with ring.changing() as connection:
        ring.check_seal()
        content = Content(
            ring.resolve(PERSONAL),
            [
                row[0].removeprefix("has ")
                for row in connection.execute("SELECT name FROM meta WHERE name LIKE 'has %'")
            ],
            {"signing": ring.secret("signing"), "recovery": ring.secret("recovery")},
            connection.execute("SELECT * FROM subject ORDER BY id").fetchall(),
            [
                (subject, version, ring.subject_key(subject, version), created_at)
                for subject, version, created_at in connection.execute(
                    "SELECT subject_id, version, created_at FROM subject_key ORDER BY subject_id, version"
                ).fetchall()
            ],
            connection.execute("SELECT * FROM data_key ORDER BY id").fetchall(),
        )
        keyring = ring.store.id
    return key.seal(msgspec.msgpack.encode(content), keyring=keyring)


def _book() -> Any:
    from mnemonic import Mnemonic

    return Mnemonic("english")
