"""How a keyring stands."""

import msgspec

from audobon.errors import AudobonError
from audobon.keys import erasure
from audobon.keys.gcp import CloudKeyFile
from audobon.keys.ledger import Ledger
from audobon.keys.ring import Ring


class KeyringStatus(msgspec.Struct, frozen=True):
    """How a keyring stands; instants are UTC seconds.

    rotated_at         when the tenant key was made
    cloud_version      of the key of Cloud KMS that locks the topmost key; empty: none does
    subject_versions   versions of the keys of subjects, all together
    rewrapped          data keys that were wrapped anew and stand in the keystore
    words_exported_at  None: nobody ever asked for the recovery words
    ledger_fault       why the ledger of erasures cannot be relied on; None: it can
    """

    id: str
    protector: str
    kek_version: str
    cloud_version: str
    tenant_version: int
    rotated_at: float
    subjects: int
    erased: int
    subject_versions: int
    rewrapped: int
    words_exported_at: float | None
    ledger_entries: int
    ledger_fault: str | None


def read_status(ring: Ring, ledger: Ledger) -> KeyringStatus:
    """Return how the keyring stands, every key in it opened. raises CorruptKeyring, KeyringLost."""
    with ring.lock:
        versions = prove(ring)
        connection = ring.store.connection()
        tenant_version, rotated_at = connection.execute(
            "SELECT version, created_at FROM tenant_key ORDER BY version DESC"
        ).fetchone()
        subjects, erased = connection.execute("SELECT count(*), count(erased_at) FROM subject").fetchone()
        rewrapped = connection.execute("SELECT count(*) FROM data_key").fetchone()[0]
        exported_at = ring.store.meta("words exported at")
        entries, fault = _ledger(ring, ledger)
        return KeyringStatus(
            ring.store.id,
            ring.protector(),
            ring.kek().version,
            kek.sealed_by if isinstance(kek := ring.kek(), CloudKeyFile) else "",
            tenant_version,
            rotated_at,
            subjects - erased,
            erased,
            sum(version > 0 for version in versions),
            rewrapped,
            None if exported_at is None else float(exported_at),
            entries,
            fault,
        )


def prove(ring: Ring) -> list[int]:
    """Prove every row of a keystore and open every key; return the versions of all keys of subjects.

    raises  CorruptKeyring, KeyringLost
    """
    with ring.lock:
        with ring.changing() as connection:
            ring.newest_tenant()
            ring.check_seal()
            keys = connection.execute("SELECT subject_id, version FROM subject_key").fetchall()
        # From the disk, not from memory.
        ring.forget()
        ring.secret("signing")
        ring.secret("recovery")
        for subject, version in keys:
            ring.subject_key(subject, version)
        return [version for _, version in keys]


def _ledger(ring: Ring, ledger: Ledger) -> tuple[int, str | None]:
    try:
        return len(erasure.check_ledger(ring, ledger)), None
    except AudobonError as error:
        return 0, error.message
