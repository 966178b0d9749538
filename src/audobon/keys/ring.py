"""The keys in memory: loaded from the keystore as they are needed, forgotten when it changes."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TypeVar, get_args

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audobon.clock import utc_now
from audobon.errors import AudobonError, CorruptKeyring, KeyringLost, SubjectErased, SubjectNotFound
from audobon.keys.keystore import HINT, Keystore, as_bytes, as_number
from audobon.keys.port import KeyEncryption
from audobon.keys.protector import Protector, Protectors
from audobon.keys.seal import SEAL, sum_after, sum_of
from audobon.keys.subjects import PERSONAL, SYSTEM, secret_context, subject_context
from audobon.keys.wrapping import derived, new_key, opened_by, sealed_by, unwrap, wrap

# Another process's erasing or rotating is noticed after so long at the latest.
_FRESH_SECONDS = 0.5
_MOST_DATA_KEYS = 10_000

Secret = Literal["signing", "recovery"]
_Loaded = TypeVar("_Loaded")


class Ring:
    """The keys of a keystore, for many threads.

    lock  held while the keystore's connection is used; a transaction of the keystore begins within it
    """

    def __init__(self, store: Keystore, protectors: Protectors, *, when_opened: Callable[[], None]) -> None:
        self.store = store
        self.protectors = protectors
        self.lock = threading.RLock()
        self._when_opened = when_opened
        self._fresh_until = 0.0
        self._is_opening = False
        self._was_opened = False
        self._kek: KeyEncryption | None = None
        self._tenant: dict[int, bytes] = {}
        self._subject_keys: dict[tuple[str, int], bytes] = {}
        self._ciphers: dict[tuple[str, int, bytes], AESGCM] = {}
        self._newest: dict[str, int] = {}
        self._blob_id_keys: dict[str, bytes] = {}
        self._secrets: dict[str, bytes] = {}
        self._personal: str | None = None
        self.data_keys: dict[tuple[bytes, str], bytes] = {}
        self.times_forgotten = 0

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block does to the keystore, or nothing of it; then no key of it is held either."""
        with self.lock:
            is_inner = self.store.is_in_transaction
            if not is_inner and self.store.has_changed():
                self.forget()
            try:
                with self.store.changing() as connection:
                    if not is_inner and self.store.has_changed():
                        # Others were before us in waiting: what they changed must not be taken from memory.
                        self.forget()
                    yield connection
                    if not is_inner:
                        self._seal()
            except BaseException:
                self.forget()
                raise

    def refresh(self) -> None:
        """Forget all keys if another process changed the keystore; looked at every half second."""
        if time.monotonic() < self._fresh_until:
            return
        with self.lock:
            if self.store.is_in_transaction:
                # Asked from within a change of our own: nobody else can make one meanwhile.
                return
            if self.store.has_changed():
                self.forget()
            self.store.connection()
            if not self._was_opened and not self._is_opening:
                self._is_opening = True
                try:
                    self._when_opened()
                    self._was_opened = True
                finally:
                    self._is_opening = False
            self._fresh_until = time.monotonic() + _FRESH_SECONDS

    def forget(self) -> None:
        """Forget every key in memory; they are loaded again from what the keystore holds."""
        with self.lock:
            self._kek = self._personal = None
            self._fresh_until = 0.0
            self._was_opened = self._is_opening
            self.times_forgotten += 1
            self._tenant.clear()
            self._subject_keys.clear()
            self._ciphers.clear()
            self._newest.clear()
            self._blob_id_keys.clear()
            self._secrets.clear()
            self.data_keys.clear()

    def kek(self) -> KeyEncryption:
        """Return the key-encryption key, by the protector that the keystore records."""
        with self.lock:
            if self._kek is None:
                self._kek = self.protectors.kek(self.store, self.protector())
            return self._kek

    def protector(self) -> Protector:
        """Return what protects this keyring; chosen when it is new."""
        recorded = self.store.meta("protector")
        if recorded is None:
            return self.protectors.choose()
        for protector in get_args(Protector):
            if recorded == protector.encode():
                return protector  # type: ignore[no-any-return]
        raise CorruptKeyring("the keyring does not tell what protects it", hint=HINT)

    def resolve(self, subject: str) -> str:
        """Return the id of a subject: itself, or of PERSONAL whoever that is now."""
        if subject != PERSONAL:
            return subject
        if (found := self._personal) is None:
            with self.lock:
                recorded = self.store.meta("personal")
                found = self._personal = PERSONAL if recorded is None else recorded.decode("ascii", "replace")
        return found

    def readers(self, subject: str) -> tuple[str, ...]:
        """Return the ids whose key may open what is said to be a subject's.

        What was written for PERSONAL by that name is the first's, or, after an erasure, the present one's.
        """
        if subject != PERSONAL or (now := self.resolve(subject)) == PERSONAL:
            return (subject,)
        return now, PERSONAL

    def newest(self, subject: str) -> int:
        """Return the version of a subject's key that encrypts what is new.

        raises  SubjectErased, SubjectNotFound, CorruptKeyring
        """
        if (version := self._newest.get(subject)) is not None:
            return version
        with self.lock:
            row = self.store.row("SELECT max(version) FROM subject_key WHERE subject_id = ?", subject)
            if row is None or not row[0]:
                self._demand_alive(subject)
                if subject not in (SYSTEM, self.resolve(PERSONAL)):
                    raise SubjectNotFound(
                        f"there is no person or project {subject}", hint="audobon data subjects"
                    )
                self.make_subject(subject, PERSONAL if subject != SYSTEM else SYSTEM)
                return self.newest(subject)
            version = self._newest[subject] = as_number(row[0])
            return version

    def subject_key(self, subject: str, version: int) -> bytes:
        """Return a version of a subject's key. raises SubjectErased, SubjectNotFound, CorruptKeyring."""
        if (held := self._subject_keys.get((subject, version))) is not None:
            return held
        with self.lock:
            key = self._settled(lambda: self._load_subject_key(subject, version))
            self._subject_keys[subject, version] = key
            return key

    def cipher(self, subject: str, version: int, purpose: bytes) -> AESGCM:
        """Return what encrypts for one purpose with a version of a subject's key."""
        if (held := self._ciphers.get((subject, version, purpose))) is not None:
            return held
        with self.lock:
            cipher = AESGCM(derived(self.subject_key(subject, version), purpose))
            self._ciphers[subject, version, purpose] = cipher
            return cipher

    def blob_id_key(self, subject: str) -> bytes:
        """Return the key under which bytes of a subject are hashed to name them."""
        if (held := self._blob_id_keys.get(subject)) is not None:
            return held
        with self.lock:
            key = self._blob_id_keys[subject] = derived(self.subject_key(subject, 0), b"blob id")
            return key

    def seal(self, subject: str, version: int, data: bytes, context: bytes) -> bytes:
        """Return bytes sealed by a version of a subject's key, which they tell."""
        return version.to_bytes(4, "big") + sealed_by(self.cipher(subject, version, b"seal"), data, context)

    def unseal(self, subject: str, sealed: bytes, context: bytes) -> bytes:
        """Return what `seal` was given."""
        cipher = self.cipher(subject, int.from_bytes(sealed[:4], "big"), b"seal")
        return opened_by(cipher, sealed[4:], context, what="what was sealed")

    def secret(self, name: Secret) -> bytes:
        """Return a secret of the keyring."""
        if (held := self._secrets.get(name)) is not None:
            return held
        with self.lock:
            if self.store.row("SELECT 1 FROM tenant_key") is None:
                with self.changing():
                    self.newest_tenant()
            secret = self._settled(lambda: self._load_secret(name))
            self._secrets[name] = secret
            return secret

    def remember_data_key(self, key_id: bytes, subject: str, key: bytes, *, as_of: int) -> None:
        """Hold a data key, letting go of the one held longest when there are many.

        as_of  `times_forgotten` before the key was opened: its subject may have been erased since
        """
        with self.lock:
            if as_of != self.times_forgotten:
                return
            while len(self.data_keys) >= _MOST_DATA_KEYS:
                del self.data_keys[next(iter(self.data_keys))]
            self.data_keys[key_id, subject] = key

    def make_subject(self, subject: str, name: str) -> None:
        """Make a subject with its first keys, unless another process just did."""
        with self.changing() as connection:
            if connection.execute("SELECT 1 FROM subject_key WHERE subject_id = ?", (subject,)).fetchone():
                return
            self._demand_alive(subject)
            for version in (0, 1):
                self.add_subject_key(subject, version)
            sealed = self.seal(subject, 1, name.encode(), b"subject name")
            connection.execute("INSERT INTO subject VALUES (?, ?, ?, NULL)", (subject, sealed, utc_now()))
            if name in (PERSONAL, SYSTEM):
                self.store.set_meta(f"has {subject}", b"")

    def add_subject_key(self, subject: str, version: int) -> None:
        """Make a version of a subject's key, within `changing`."""
        tenant, key = self.newest_tenant(), new_key()
        self.store.connection().execute(
            "INSERT INTO subject_key VALUES (?, ?, ?, ?, ?)",
            (
                subject,
                version,
                tenant,
                wrap(self.tenant_key(tenant), key, subject_context(subject, version)),
                utc_now(),
            ),
        )

    def newest_tenant(self) -> int:
        """Return the newest version of the tenant key, made with all secrets if need be; in `changing`."""
        connection = self.store.connection()
        newest = connection.execute("SELECT max(version) FROM tenant_key").fetchone()[0]
        if newest is not None:
            return as_number(newest)
        if self.store.is_sealed:
            raise CorruptKeyring("the keyring lacks its tenant key", hint=HINT)
        protector = self.protector()
        self.store.set_meta("protector", protector.encode())
        tenant = self.add_tenant_key(1, self.kek())
        for name in get_args(Secret):
            sealed = wrap(tenant, new_key(), secret_context(name))
            connection.execute("INSERT INTO secret VALUES (?, 1, ?)", (name, sealed))
        return 1

    def add_tenant_key(self, version: int, kek: KeyEncryption) -> bytes:
        """Make a version of the tenant key and return it, within `changing`."""
        key = new_key()
        wrapped = kek.wrap(key, context=self.tenant_context(version))
        self.store.connection().execute(
            "INSERT INTO tenant_key VALUES (?, ?, ?)", (version, wrapped, utc_now())
        )
        return key

    def tenant_key(self, version: int) -> bytes:
        """Return a version of the tenant key."""
        if (held := self._tenant.get(version)) is not None:
            return held
        with self.lock:
            row = self.store.row("SELECT wrapped FROM tenant_key WHERE version = ?", version)
            if row is None:
                raise CorruptKeyring(f"the keyring lacks its tenant key {version}", hint=HINT)
            key = self.kek().unwrap(as_bytes(row[0]), context=self.tenant_context(version))
            self._tenant[version] = key
            if not self.store.is_in_transaction:
                # What cannot be done now is done another time; reading does not depend on it.
                with suppress(AudobonError):
                    self.part()
            return key

    def part(self) -> None:
        """Give a copied keystore a key-encryption key of its own: the other's owner may destroy that.

        raises  as unwrapping does, DiskFull, Denied
        """
        with self.lock:
            if not self.store.is_copy():
                return
            with self.changing():
                name = self.store.next_lock()
            with self.changing() as connection:
                if not self.store.is_copy():
                    return
                rows = connection.execute("SELECT version FROM tenant_key").fetchall()
                tenants = [(version, self.tenant_key(version)) for (version,) in rows]
                self.store.take_lock(name)
                # Whoever the copy was made of destroys what protected it before.
                self.store.set_meta("leaving", None)
                self._kek = (
                    self.protectors.kek(self.store, self.protector(), may_be_new=True) if rows else None
                )
                for version, key in tenants:
                    assert self._kek is not None
                    wrapped = self._kek.wrap(key, context=self.tenant_context(version))
                    connection.execute(
                        "UPDATE tenant_key SET wrapped = ? WHERE version = ?", (wrapped, version)
                    )

    def check_seal(self) -> None:
        """Prove every row of the keystore, within `changing`. raises CorruptKeyring."""
        found = self.store.connection().execute("PRAGMA integrity_check").fetchone()[0]
        if found != "ok":
            raise CorruptKeyring(f"{self.store.path} is damaged: {found}", hint=HINT)
        if not self.store.has_own_schema():
            raise CorruptKeyring(f"the tables of {self.store.path} are not as they were made", hint=HINT)
        if self.store.is_sealed:
            now = sum_of(self.store.connection(), self._seal_key())
            if now != sum_after(self._sealed_sum(), self.store.changes, self._seal_key()):
                raise CorruptKeyring(f"rows of {self.store.path} are not as they were written", hint=HINT)

    def _seal(self) -> None:
        """Seal what the keystore holds now; a fault that was there before stays one."""
        is_sealed = self.store.is_sealed
        if (is_sealed and not self.store.changes) or self.store.row("SELECT 1 FROM tenant_key") is None:
            return
        key = self._seal_key()
        total = (
            sum_after(self._sealed_sum(), self.store.changes, key)
            if is_sealed
            else sum_of(self.store.connection(), key)
        )
        self.store.set_seal(sealed_by(AESGCM(key), total.to_bytes(32), self._seal_context()))

    def _sealed_sum(self) -> int:
        seal = self.store.meta(SEAL)
        if seal is None:
            raise CorruptKeyring(f"{self.store.path} lacks its seal", hint=HINT)
        cipher, what = AESGCM(self._seal_key()), f"the seal of {self.store.path}"
        return int.from_bytes(opened_by(cipher, seal, self._seal_context(), what=what, hint=HINT))

    def _seal_key(self) -> bytes:
        # Of all that never changes only this is always there.
        return derived(self.secret("signing"), b"keystore seal")

    def _seal_context(self) -> bytes:
        return b"keystore seal\0" + self.store.id.encode()

    def tenant_context(self, version: int) -> bytes:
        """Return what a wrapped tenant key is bound to."""
        return b"tenant key\0" + f"{self.store.id}\0{version}".encode()

    def _load_subject_key(self, subject: str, version: int) -> bytes:
        row = self.store.row(
            "SELECT tenant_version, wrapped FROM subject_key WHERE subject_id = ? AND version = ?",
            subject,
            version,
        )
        if row is None:
            self._demand_alive(subject, version)
            raise SubjectNotFound(f"there is no person or project {subject}", hint="audobon data subjects")
        tenant = self.tenant_key(as_number(row[0]))
        return unwrap(tenant, as_bytes(row[1]), subject_context(subject, version))

    def _load_secret(self, name: Secret) -> bytes:
        row = self.store.row("SELECT tenant_version, wrapped FROM secret WHERE name = ?", name)
        if row is None:
            raise CorruptKeyring(f"the keyring lacks its secret {name}", hint=HINT)
        tenant = self.tenant_key(as_number(row[0]))
        return unwrap(tenant, as_bytes(row[1]), secret_context(name))

    def _demand_alive(self, subject: str, version: int | None = None) -> None:
        row = self.store.row("SELECT erased_at FROM subject WHERE id = ?", subject)
        if row is None:
            if self.store.meta(f"has {subject}") is not None:
                raise CorruptKeyring(f"the keyring lacks the key of {subject}", hint=HINT)
            return
        if row[0] is not None:
            raise SubjectErased(f"what belonged to {subject} was erased, with its key")
        named = "the key" if version is None else f"key {version}"
        raise CorruptKeyring(f"the keyring lacks {named} of {subject}", hint=HINT)

    def _settled(self, load: Callable[[], _Loaded]) -> _Loaded:
        """Load again when another process changed the keystore in the middle of it."""
        try:
            return load()
        except (CorruptKeyring, KeyringLost):
            if self.store.is_in_transaction or not self.store.has_changed():
                raise
            self.forget()
            return load()
