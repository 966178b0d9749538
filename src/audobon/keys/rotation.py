"""Keys replaced by fresh ones: those above the data keys at once, data keys in batches."""

import time
from collections.abc import Callable, Iterable
from itertools import islice

import msgspec

from audobon.errors import Conflict, CorruptKeyring, SubjectErased, SubjectNotFound
from audobon.keys.keystore import as_bytes, as_number
from audobon.keys.passphrase import Passphrase, PassphraseFile
from audobon.keys.port import KeyEncryption
from audobon.keys.protector import Protector
from audobon.keys.ring import Ring
from audobon.keys.subjects import secret_context, subject_context
from audobon.keys.wrapping import opened_by, sealed_by, wrap

Wrapped = tuple[bytes, str, int, bytes]
"""A data key as it lies beside its bytes: id, subject, version of the subject's key, wrapped key."""

Report = Callable[[int], None]
Read = Callable[[str], bytes]

# Short enough that nobody waits long for the right to write, long enough that the disk is not what it takes.
_BATCH = 1000
_REST_SHARE = 0.25
# Copies of the data folder that are younger than this many rotations open with what unlocks it now.
_KEPT_KEK_VERSIONS = 8


class Rotated(msgspec.Struct, frozen=True):
    """What a rotation made: the versions in force, and how many subjects have a new key."""

    kek_version: str
    tenant_version: int
    subjects: int


class Rewrapped(msgspec.Struct, frozen=True):
    """What became of the data keys looked at.

    current  were wrapped by the newest version already
    erased   belong to a subject that is gone
    damaged  ids, in hexadecimal, of those that do not open; they stay as they are
    """

    looked_at: int
    rewrapped: int
    current: int
    erased: int
    damaged: list[str]


def data_key_context(key_id: bytes, subject: str) -> bytes:
    """Return what a wrapped data key is bound to."""
    return b"data key\0" + key_id + subject.encode()


def open_data_key(ring: Ring, key_id: bytes, subject: str, version: int, wrapped: bytes) -> bytes:
    """Return a data key, by its newest wrapping. raises SubjectErased, SubjectNotFound, CorruptKeyring."""
    with ring.lock:
        anew = ring.store.row(
            "SELECT subject_version, wrapped FROM data_key WHERE id = ? AND subject_id = ?", key_id, subject
        )
    context = data_key_context(key_id, subject)
    if anew is not None:
        try:
            cipher = ring.cipher(subject, as_number(anew[0]), b"wrap")
            return opened_by(cipher, as_bytes(anew[1]), context, what="a wrapped data key")
        except CorruptKeyring:
            # What lies beside the bytes may open still.
            pass
    return opened_by(ring.cipher(subject, version, b"wrap"), wrapped, context, what="a wrapped data key")


def rotate(ring: Ring) -> Rotated:
    """Make a new version of the KEK, of the tenant key, and of every subject's key for what is new."""
    with ring.lock:
        ring.part()
        finish_leaving(ring)
        with ring.store.leaving_nothing(), ring.changing() as connection:
            ring.newest_tenant()
            kek = ring.kek()
            kek_version = kek.rotate()
            tenant_version = _renew(ring, kek)
            rows = connection.execute(
                "SELECT subject_id, max(version), sealed_name FROM subject_key"
                " JOIN subject ON subject.id = subject_id GROUP BY subject_id"
            ).fetchall()
            for subject, version, sealed_name in rows:
                name = ring.unseal(subject, sealed_name, b"subject name")
                ring.add_subject_key(subject, version + 1)
                sealed_name = ring.seal(subject, version + 1, name, b"subject name")
                connection.execute("UPDATE subject SET sealed_name = ? WHERE id = ?", (sealed_name, subject))
        ring.forget()
        # Once the change is for good; and alone, since another process may be making a version.
        with ring.changing():
            for version in kek.versions()[:-_KEPT_KEK_VERSIONS]:
                kek.destroy(version)
        return Rotated(kek_version, tenant_version, len(rows))


def protect(ring: Ring, protector: Protector, passphrase: Passphrase | None) -> None:
    """Wrap the tenant key, made anew, by another KEK; destroy the one before."""
    with ring.lock:
        ring.part()
        with ring.store.leaving_nothing(), ring.changing():
            ring.newest_tenant()
            finish_leaving(ring)
            before = ring.protector()
            if protector == before:
                kek = ring.kek()
                if not isinstance(kek, PassphraseFile) or passphrase is None:
                    raise Conflict(
                        f"the keyring is protected by {protector} already", hint="audobon keys rotate"
                    )
                kek.change(passphrase)
                ring.protectors.passphrase = passphrase
                ring.forget()
                return
            # All keys are loaded by the old KEK before the new one is known.
            for name in ("signing", "recovery"):
                ring.secret(name)
            if passphrase is not None:
                ring.protectors.passphrase = passphrase
            _renew(ring, ring.protectors.kek(ring.store, protector, may_be_new=True))
            ring.store.set_meta("protector", protector.encode())
            ring.store.set_meta("leaving", before.encode())
        ring.forget()
        finish_leaving(ring)


def finish_leaving(ring: Ring, *, is_opening: bool = False) -> None:
    """Destroy the KEK that protected the keyring before, if that was not done yet.

    is_opening  only what needs nobody else: a secret store may be locked
    """
    leaving = ring.store.meta("leaving")
    if leaving is None or (is_opening and leaving == b"secret-store"):
        return
    # Alone: another process may be about to protect the keyring by that very one.
    with ring.changing():
        leaving = ring.store.meta("leaving")
        # What a copy names belongs to whoever it was made of.
        if leaving is not None and not ring.store.is_copy():
            name = leaving.decode("ascii", "replace")
            if name != ring.protector():
                ring.protectors.kek(ring.store, msgspec.convert(name, Protector), may_be_new=True).discard()
            ring.store.set_meta("leaving", None)


def rewrap(ring: Ring, held: Iterable[Wrapped], *, report: Report | None, dry_run: bool) -> Rewrapped:
    """Wrap data keys anew by the newest version of their subject's key, some at each commit."""
    counts = dict.fromkeys(("rewrapped", "current", "erased"), 0)
    damaged: list[str] = []
    looked_at, pending = 0, iter(held)
    while batch := list(islice(pending, _BATCH)):
        begun = time.monotonic()
        ring.refresh()
        # Within the transaction no other process can erase a subject whose keys we are about to keep.
        with ring.changing():
            for wrapped in batch:
                try:
                    counts[_rewrap_one(ring, wrapped, dry_run=dry_run)] += 1
                except (CorruptKeyring, SubjectNotFound):
                    damaged.append(wrapped[0].hex())
        looked_at += len(batch)
        if report is not None:
            report(looked_at)
        # Whoever waits, in this process or another, has a turn.
        time.sleep((time.monotonic() - begun) * _REST_SHARE)
    return Rewrapped(looked_at, damaged=damaged, **counts)


def _rewrap_one(ring: Ring, held: Wrapped, *, dry_run: bool) -> str:
    key_id, named, version, wrapped = held
    failure: CorruptKeyring | SubjectNotFound | None = None
    for subject in ring.readers(named):
        try:
            newest = ring.newest(subject)
            row = ring.store.row(
                "SELECT subject_version FROM data_key WHERE id = ? AND subject_id = ?", key_id, subject
            )
            if (version if row is None else row[0]) == newest:
                return "current"
            key = open_data_key(ring, key_id, subject, version, wrapped)
        except SubjectErased:
            continue
        except (CorruptKeyring, SubjectNotFound) as error:
            failure = error
            continue
        if not dry_run:
            anew = sealed_by(ring.cipher(subject, newest, b"wrap"), key, data_key_context(key_id, subject))
            ring.store.connection().execute(
                "INSERT OR REPLACE INTO data_key VALUES (?, ?, ?, ?)", (key_id, subject, newest, anew)
            )
        return "rewrapped"
    if failure is not None:
        raise failure
    return "erased"


def _renew(ring: Ring, kek: KeyEncryption) -> int:
    """Put a fresh tenant key, wrapped by a KEK, in the place of those before; within `changing`."""
    connection = ring.store.connection()
    version = ring.newest_tenant() + 1
    tenant = ring.add_tenant_key(version, kek)
    for (name,) in connection.execute("SELECT name FROM secret").fetchall():
        connection.execute(
            "UPDATE secret SET tenant_version = ?, wrapped = ? WHERE name = ?",
            (version, wrap(tenant, ring.secret(name), secret_context(name)), name),
        )
    for subject, number in connection.execute("SELECT subject_id, version FROM subject_key").fetchall():
        wrapped = wrap(tenant, ring.subject_key(subject, number), subject_context(subject, number))
        connection.execute(
            "UPDATE subject_key SET tenant_version = ?, wrapped = ? WHERE subject_id = ? AND version = ?",
            (version, wrapped, subject, number),
        )
    connection.execute("DELETE FROM tenant_key WHERE version <> ?", (version,))
    return version
