"""The keys of a data folder: given out, used to seal small things and to sign, destroyed.

KEK → tenant key → subject key → data key, each wrapped by the one before.
"""

import base64
import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from audobon.clock import utc_now
from audobon.errors import CorruptKeyring, InvalidInput, SubjectErased, SubjectNotFound
from audobon.keys.keystore import Keystore
from audobon.keys.port import KeyEncryption

PERSONAL = "personal"
"""The subject of what is nobody else's: the user of this machine."""

SYSTEM = "system"
"""The subject of Audobon's own: settings, the database's file, manifests."""

_KEY_BYTES = 32
_NONCE_BYTES = 12
_TEXT_MARK = "s1."

_Secret = Literal["id", "signing", "recovery"]


class DataKey(msgspec.Struct, frozen=True):
    """A key for the bytes of one pack.

    id               names it for good
    key              the key itself; never stored
    subject_version  of the subject key that wrapped it
    wrapped          what is stored beside the bytes
    """

    id: bytes
    subject: str
    subject_version: int
    wrapped: bytes
    key: bytes


class Subject(msgspec.Struct, frozen=True):
    """A person or a project; instants are UTC seconds."""

    id: str
    name: str
    created_at: float
    erased_at: float | None


class Keys:
    """The keyring of a data folder, for many threads and processes.

    Made when it is first used. A subject is known by its id everywhere outside; its name is sealed.
    """

    def __init__(self, folder: Path, kek: Callable[[Keystore], KeyEncryption]) -> None:
        self._store = Keystore(folder)
        self._kek = kek
        self._lock = threading.RLock()
        self._tenant: dict[int, bytes] = {}
        self._subject_keys: dict[tuple[str, int], bytes] = {}
        self._newest: dict[str, int] = {}
        self._data_keys: dict[bytes, bytes] = {}
        self._secrets: dict[str, bytes] = {}

    @property
    def exists(self) -> bool:
        """Whether the keyring was made; asking makes none."""
        return self._store.exists

    def subject(self, name: str) -> str:
        """Return the id of the subject of a name; it is made when there is none.

        raises  SubjectErased, InvalidInput
        """
        if name in (PERSONAL, SYSTEM):
            self._newest_version(name)
            return name
        if not name.strip() or len(name) > 200:
            raise InvalidInput("a person or project needs a name of 1 to 200 characters")
        with self._lock:
            for subject in self.subjects():
                if subject.name == name and subject.erased_at is None:
                    return subject.id
            subject_id = secrets.token_hex(8)
            self._make_subject(subject_id, name)
            return subject_id

    def subjects(self) -> list[Subject]:
        """Return all subjects, oldest first; the name of an erased one is gone."""
        with self._lock, self._store.errors():
            rows = self._store.connection().execute(
                "SELECT id, sealed_name, created_at, erased_at FROM subject ORDER BY created_at, id"
            )
            return [
                Subject(
                    row[0],
                    row[0] if row[3] is not None else self._unseal(row[0], row[1], b"subject name").decode(),
                    row[2],
                    row[3],
                )
                for row in rows.fetchall()
            ]

    def find_subject(self, name: str) -> Subject:
        """Return the subject of a name or an id; SubjectNotFound when there is none."""
        for subject in self.subjects():
            if name in (subject.id, subject.name):
                return subject
        raise SubjectNotFound(f"no person or project is named {name!r}", hint="audobon data subjects")

    def blob_id_key(self, subject: str) -> bytes:
        """Return the key under which bytes of a subject are hashed to name them; it never changes."""
        return _derived(self._secret("id"), b"blob id\0" + subject.encode())

    def new_data_key(self, subject: str) -> DataKey:
        """Return a fresh data key of a subject. raises SubjectErased, SubjectNotFound."""
        version = self._newest_version(subject)
        key, key_id, nonce = os.urandom(_KEY_BYTES), os.urandom(16), os.urandom(_NONCE_BYTES)
        context = b"data key\0" + key_id + subject.encode()
        sealed = self._cipher(subject, version, b"wrap").encrypt(nonce, key, context)
        self._data_keys[key_id] = key
        return DataKey(key_id, subject, version, nonce + sealed, key)

    def open_data_key(self, key_id: bytes, subject: str, subject_version: int, wrapped: bytes) -> bytes:
        """Return a data key from what is stored beside its bytes, or from where it was wrapped anew.

        raises  SubjectErased, CorruptKeyring
        """
        with self._lock:
            if (held := self._data_keys.get(key_id)) is not None:
                return held
            with self._store.errors():
                anew = (
                    self._store.connection()
                    .execute("SELECT subject_version, wrapped FROM data_key WHERE id = ?", (key_id,))
                    .fetchone()
                )
            if anew is not None:
                subject_version, wrapped = anew
            context = b"data key\0" + key_id + subject.encode()
            try:
                key = self._cipher(subject, subject_version, b"wrap").decrypt(
                    wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context
                )
            except (InvalidTag, ValueError) as error:
                raise CorruptKeyring("a wrapped data key is not as it was written") from error
            self._data_keys[key_id] = key
            return key

    def seal(self, subject: str, data: bytes, *, context: bytes) -> bytes:
        """Return bytes that only the key of a subject opens, under the same context."""
        version = self._newest_version(subject)
        return self._seal(subject, version, data, context)

    def unseal(self, subject: str, sealed: bytes, *, context: bytes) -> bytes:
        """Return what `seal` was given. raises SubjectErased, CorruptKeyring."""
        return self._unseal(subject, sealed, context)

    def seal_text(self, subject: str, text: str, *, context: bytes) -> str:
        """Return a text that only the key of a subject opens; it tells whose it is."""
        sealed = self.seal(subject, text.encode(), context=context)
        return f"{_TEXT_MARK}{subject}.{base64.urlsafe_b64encode(sealed).decode()}"

    def unseal_text(self, text: str, *, context: bytes) -> str:
        """Return what `seal_text` was given; a text that is not sealed as it is.

        raises  SubjectErased, CorruptKeyring
        """
        if not text.startswith(_TEXT_MARK):
            return text
        subject, _, sealed = text.removeprefix(_TEXT_MARK).partition(".")
        try:
            raw = base64.urlsafe_b64decode(sealed)
        except ValueError as error:
            raise CorruptKeyring("a sealed text is not as it was written") from error
        return self._unseal(subject, raw, context).decode()

    def sign(self, data: bytes) -> bytes:
        """Return a signature (Ed25519, 64 bytes) by this keyring."""
        return Ed25519PrivateKey.from_private_bytes(self._secret("signing")).sign(data)

    def is_signed(self, data: bytes, signature: bytes) -> bool:
        """Tell whether a signature is this keyring's, for these bytes."""
        public: Ed25519PublicKey = Ed25519PrivateKey.from_private_bytes(self._secret("signing")).public_key()
        try:
            public.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    def close(self) -> None:
        """Forget the keys in memory and close the keystore."""
        with self._lock:
            for held in (self._tenant, self._subject_keys, self._newest, self._data_keys, self._secrets):
                held.clear()
            self._store.close()

    def _newest_version(self, subject: str) -> int:
        with self._lock:
            if (version := self._newest.get(subject)) is None:
                with self._store.errors():
                    row = (
                        self._store.connection()
                        .execute("SELECT max(version) FROM subject_key WHERE subject_id = ?", (subject,))
                        .fetchone()
                    )
                if row[0] is None:
                    self._demand_not_erased(subject)
                    if subject not in (PERSONAL, SYSTEM):
                        raise SubjectNotFound(f"there is no person or project {subject}")
                    self._make_subject(subject, subject)
                    return 1
                version = self._newest[subject] = int(row[0])
            return version

    def _make_subject(self, subject: str, name: str) -> None:
        with self._store.changing() as connection:
            if connection.execute("SELECT 1 FROM subject WHERE id = ?", (subject,)).fetchone():
                self._demand_not_erased(subject)
                return
            key = os.urandom(_KEY_BYTES)
            tenant_version = self._tenant_version()
            self._subject_keys[subject, 1] = key
            connection.execute(
                "INSERT INTO subject_key VALUES (?, 1, ?, ?, ?)",
                (
                    subject,
                    tenant_version,
                    _wrap(self._tenant_key(tenant_version), key, b"subject key\0" + subject.encode()),
                    utc_now(),
                ),
            )
            sealed = self._seal(subject, 1, name.encode(), b"subject name")
            connection.execute("INSERT INTO subject VALUES (?, ?, ?, NULL)", (subject, sealed, utc_now()))

    def _demand_not_erased(self, subject: str) -> None:
        row = (
            self._store.connection()
            .execute("SELECT erased_at FROM subject WHERE id = ?", (subject,))
            .fetchone()
        )
        if row is not None and row[0] is not None:
            raise SubjectErased(f"{subject} was erased")

    def _subject_key(self, subject: str, version: int) -> bytes:
        with self._lock:
            if (key := self._subject_keys.get((subject, version))) is None:
                with self._store.errors():
                    row = (
                        self._store.connection()
                        .execute(
                            "SELECT tenant_version, wrapped FROM subject_key"
                            " WHERE subject_id = ? AND version = ?",
                            (subject, version),
                        )
                        .fetchone()
                    )
                if row is None:
                    self._demand_not_erased(subject)
                    raise SubjectNotFound(f"there is no key {version} of {subject}")
                context = b"subject key\0" + subject.encode()
                key = self._subject_keys[subject, version] = _unwrap(
                    self._tenant_key(row[0]), row[1], context
                )
            return key

    def _tenant_version(self) -> int:
        """Return the newest version of the tenant key, made when there is none; within `changing`."""
        connection = self._store.connection()
        newest = connection.execute("SELECT max(version) FROM tenant_key").fetchone()[0]
        if newest is None:
            newest = 1
            connection.execute(
                "INSERT OR IGNORE INTO meta VALUES ('id', ?)", (secrets.token_hex(8).encode(),)
            )
            key = os.urandom(_KEY_BYTES)
            wrapped = self._kek(self._store).wrap(key, context=b"tenant key\0" + b"1")
            connection.execute("INSERT INTO tenant_key VALUES (1, ?, ?)", (wrapped, utc_now()))
            for name in ("id", "signing", "recovery"):
                sealed = _wrap(key, os.urandom(_KEY_BYTES), b"secret\0" + name.encode())
                connection.execute("INSERT INTO secret VALUES (?, 1, ?)", (name, sealed))
            self._tenant[1] = key
        return int(newest)

    def _tenant_key(self, version: int) -> bytes:
        with self._lock:
            if (key := self._tenant.get(version)) is None:
                with self._store.errors():
                    row = (
                        self._store.connection()
                        .execute("SELECT wrapped FROM tenant_key WHERE version = ?", (version,))
                        .fetchone()
                    )
                if row is None:
                    raise CorruptKeyring(f"the keyring lacks its tenant key {version}")
                context = b"tenant key\0" + str(version).encode()
                key = self._tenant[version] = self._kek(self._store).unwrap(row[0], context=context)
            return key

    def _secret(self, name: _Secret) -> bytes:
        with self._lock:
            if (secret := self._secrets.get(name)) is None:
                query = "SELECT tenant_version, wrapped FROM secret WHERE name = ?"
                with self._store.errors():
                    row = self._store.connection().execute(query, (name,)).fetchone()
                if row is None:
                    with self._store.changing() as connection:
                        self._tenant_version()
                        row = connection.execute(query, (name,)).fetchone()
                if row is None:
                    raise CorruptKeyring(f"the keyring lacks its secret {name}")
                context = b"secret\0" + name.encode()
                secret = self._secrets[name] = _unwrap(self._tenant_key(row[0]), row[1], context)
            return secret

    def _cipher(self, subject: str, version: int, purpose: bytes) -> AESGCM:
        return AESGCM(_derived(self._subject_key(subject, version), purpose))

    def _seal(self, subject: str, version: int, data: bytes, context: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher(subject, version, b"seal").encrypt(nonce, data, context)
        return version.to_bytes(4, "big") + nonce + sealed

    def _unseal(self, subject: str, sealed: bytes, context: bytes) -> bytes:
        version, nonce = int.from_bytes(sealed[:4], "big"), sealed[4 : 4 + _NONCE_BYTES]
        try:
            return self._cipher(subject, version, b"seal").decrypt(nonce, sealed[4 + _NONCE_BYTES :], context)
        except (InvalidTag, ValueError) as error:
            raise CorruptKeyring("what was sealed is not as it was written") from error


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, None, purpose).derive(key)


def _wrap(key: bytes, secret: bytes, context: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, secret, context)


def _unwrap(key: bytes, wrapped: bytes, context: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context)
    except (InvalidTag, ValueError) as error:
        raise CorruptKeyring("a wrapped key is not as it was written") from error
