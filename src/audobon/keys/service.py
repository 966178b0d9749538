"""The keys of a data folder: given out, used to seal small things and to sign, changed, destroyed.

KEK → tenant key → subject key → data key, each wrapped by the one before.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audobon.clock import utc_now
from audobon.errors import AudobonError, CorruptKeyring, InvalidInput, SubjectErased, SubjectNotFound
from audobon.keys import erasure, recovery, rotation
from audobon.keys.abandoning import abandon
from audobon.keys.attempts import try_every_key
from audobon.keys.keystore import Keystore, as_bytes, read_marker
from audobon.keys.ledger import Ledger, LedgerEntry, Reason
from audobon.keys.passphrase import Passphrase
from audobon.keys.protector import Protector, Protectors
from audobon.keys.ring import Ring
from audobon.keys.sealed_texts import joined, parted
from audobon.keys.status import KeyringStatus, read_status
from audobon.keys.subjects import PERSONAL as PERSONAL
from audobon.keys.subjects import SYSTEM as SYSTEM
from audobon.keys.subjects import DataKey as DataKey
from audobon.keys.subjects import Subject as Subject
from audobon.keys.subjects import new_subject_id
from audobon.keys.wrapping import new_key, sealed_by

_LONGEST_NAME = 200


class Keys:
    """The keyring of a data folder, for many threads and processes.

    Made when it is first used. A subject is known by its id everywhere outside; its name is sealed. What
    another process erases or rotates is noticed within a second.
    """

    def __init__(self, folder: Path, protectors: Protectors) -> None:
        self._ring = Ring(Keystore(folder), protectors, when_opened=self._settle)
        self.ledger = Ledger(folder, self.sign, self.is_signed)
        self._erased_again: list[str] = []

    @property
    def exists(self) -> bool:
        """Whether the keyring was made already."""
        return self._ring.store.exists

    @property
    def was_made(self) -> bool:
        """Whether the data folder has or had a keyring, be it there or lost."""
        return read_marker(self._ring.store.folder) is not None

    @property
    def is_marked(self) -> bool:
        """Whether the data folder notes this very keyring, so that its loss would be noticed."""
        return read_marker(self._ring.store.folder) == self.id

    @property
    def id(self) -> str:
        """What names this keyring; the same in every backup of it."""
        return self._opened().store.id

    def subject(self, name: str) -> str:
        """Return the id of the subject of a name; it is made when there is none.

        raises  InvalidInput
        """
        ring = self._opened()
        if name in (PERSONAL, SYSTEM):
            subject = ring.resolve(name)
            ring.newest(subject)
            return subject
        if not name.strip() or len(name) > _LONGEST_NAME:
            raise InvalidInput(f"a person or project needs a name of 1 to {_LONGEST_NAME} characters")
        if (found := self._of_name(name)) is not None:
            return found
        with ring.changing():
            # Another process may have made it meanwhile; nobody can any more.
            if (found := self._of_name(name)) is not None:
                return found
            subject = new_subject_id()
            ring.make_subject(subject, name)
            return subject

    def id_of(self, subject: str) -> str:
        """Return the id of a subject: itself, or of PERSONAL whoever that is now; nothing is made."""
        return self._opened().resolve(subject)

    def subjects(self) -> list[Subject]:
        """Return all subjects, oldest first; the name of an erased one is its id."""
        ring = self._opened()
        with ring.lock, ring.store.errors():
            rows = ring.store.connection().execute(
                "SELECT id, sealed_name, created_at, erased_at FROM subject ORDER BY created_at, id"
            )
            return [
                Subject(
                    row[0],
                    row[0]
                    if row[3] is not None
                    else ring.unseal(row[0], as_bytes(row[1]), b"subject name").decode(),
                    row[2],
                    row[3],
                )
                for row in rows.fetchall()
            ]

    def find_subject(self, name: str) -> Subject:
        """Return the subject of a name or an id, the living before the erased; SubjectNotFound when none."""
        name = self._opened().resolve(name)
        found = [each for each in self.subjects() if name in (each.id, each.name)]
        if not found:
            raise SubjectNotFound(f"no person or project is named {name!r}", hint="audobon data subjects")
        return min(found, key=lambda each: each.erased_at is not None)

    def blob_id_key(self, subject: str) -> bytes:
        """Return the key under which bytes of a subject are hashed to name them; it never changes."""
        ring = self._opened()
        subject = ring.resolve(subject)
        ring.newest(subject)
        return ring.blob_id_key(subject)

    def new_data_key(self, subject: str) -> DataKey:
        """Return a fresh data key of a subject. raises SubjectErased, SubjectNotFound."""
        ring = self._opened()
        as_of, subject = ring.times_forgotten, ring.resolve(subject)
        version = ring.newest(subject)
        # Ids rise with time, so that keys wrapped anew in that order are appended to their table.
        key, key_id = new_key(), int(utc_now() * 1000).to_bytes(6, "big") + os.urandom(10)
        cipher = ring.cipher(subject, version, b"wrap")
        wrapped = sealed_by(cipher, key, rotation.data_key_context(key_id, subject))
        ring.remember_data_key(key_id, subject, key, as_of=as_of)
        return DataKey(key_id, subject, version, wrapped, key)

    def open_data_key(self, key_id: bytes, subject: str, subject_version: int, wrapped: bytes) -> bytes:
        """Return a data key from what is stored beside its bytes, or from where it was wrapped anew.

        raises  SubjectErased, SubjectNotFound, CorruptKeyring
        """
        ring = self._opened()
        if (held := ring.data_keys.get((key_id, subject))) is not None:
            return held
        as_of = ring.times_forgotten
        key = self._by_any_reader(
            subject, lambda reader: rotation.open_data_key(ring, key_id, reader, subject_version, wrapped)
        )
        ring.remember_data_key(key_id, subject, key, as_of=as_of)
        return key

    def seal(self, subject: str, data: bytes, *, context: bytes) -> bytes:
        """Return bytes that only the key of a subject opens, under the same context."""
        ring = self._opened()
        subject = ring.resolve(subject)
        return ring.seal(subject, ring.newest(subject), data, context)

    def unseal(self, subject: str, sealed: bytes, *, context: bytes) -> bytes:
        """Return what `seal` was given. raises SubjectErased, SubjectNotFound, CorruptKeyring."""
        ring = self._opened()
        return self._by_any_reader(subject, lambda reader: ring.unseal(reader, sealed, context))

    def seal_text(self, subject: str, text: str, *, context: bytes) -> str:
        """Return a text that only the key of a subject opens; it tells whose it is."""
        ring = self._opened()
        subject = ring.resolve(subject)
        sealed = ring.seal(subject, ring.newest(subject), text.encode(), context)
        return joined(subject, sealed)

    def unseal_text(self, text: str, *, context: bytes) -> str:
        """Return what `seal_text` was given; a text that is not sealed as it is.

        A text that only begins like a sealed one, such as the name s1.png, is not sealed.
        raises  SubjectErased, SubjectNotFound, CorruptKeyring
        """
        if (found := parted(text)) is None:
            return text
        return self._opened().unseal(*found, context).decode()

    def is_sealed(self, text: str, *, context: bytes) -> bool:
        """Tell whether a text was sealed by this keyring, under this context; one that was erased counts."""
        try:
            if parted(text) is None:
                return False
            self.unseal_text(text, context=context)
        except SubjectErased:
            return True
        except (CorruptKeyring, SubjectNotFound):
            return False
        return True

    def sign(self, data: bytes) -> bytes:
        """Return a signature (Ed25519, 64 bytes) by this keyring."""
        return self._signing().sign(data)

    def is_signed(self, data: bytes, signature: bytes) -> bool:
        """Tell whether a signature is this keyring's, for these bytes."""
        try:
            self._signing().public_key().verify(signature, data)
        except InvalidSignature:
            return False
        return True

    @property
    def public_signing_key(self) -> bytes:
        """The key (Ed25519, 32 bytes) that proves this keyring's signatures to others."""
        return self._signing().public_key().public_bytes_raw()

    def rotate(self) -> rotation.Rotated:
        """Change every key above the data keys; what was written before is read as before."""
        return rotation.rotate(self._opened())

    def rewrap(
        self,
        held: Iterable[rotation.Wrapped],
        *,
        report: rotation.Report | None = None,
        dry_run: bool = False,
    ) -> rotation.Rewrapped:
        """Wrap data keys anew that an old version of their subject's key wrapped; again goes on.

        held    of each data key its id, subject, subject version and wrapped key, as beside its bytes
        report  told how many were looked at
        """
        return rotation.rewrap(self._opened(), held, report=report, dry_run=dry_run)

    def protect(self, protector: Protector, *, passphrase: Passphrase | None = None) -> None:
        """Have something else protect the keyring, or another passphrase; what did before is destroyed."""
        rotation.protect(self._opened(), protector, passphrase)

    def passphrase(self) -> str:
        """Return the passphrase for a process of ours that has to open the keyring; empty: none is needed."""
        ring = self._opened()
        with ring.lock:
            # Proved before it is handed on.
            ring.secret("signing")
            return ring.protectors.passphrase.get() if ring.protector() == "passphrase" else ""

    def erase(self, subject: str, *, reason: Reason = "asked") -> erasure.Erasure:
        """Destroy every key of a subject and its name, here; noted in the ledger first.

        PERSONAL begins anew under another id. Again is no error.
        raises  SubjectNotFound, Conflict for SYSTEM
        """
        return erasure.erase(self._opened(), self.ledger, subject, reason)

    def try_every_key(self, sealed: bytes, *, context: bytes) -> tuple[int, list[str]]:
        """Return how many keys were tried on something sealed after its nonce, and who of them opens it."""
        return try_every_key(self._opened(), sealed, context=context)

    def replay(self, entries: Iterable[LedgerEntry]) -> list[str]:
        """Erase what entries of a ledger say is erased, and this keyring holds again; return the ids.

        The entries are added to the ledger here. raises CorruptKeyring when they are not this keyring's.
        """
        ring = self._opened()
        self.ledger.merge(entries)
        return erasure.settle(ring, self.ledger)

    def erased_again(self) -> list[str]:
        """Return whom opening the keyring erased again since this was last asked, as after a restore."""
        again, self._erased_again = self._erased_again, []
        return again

    def mend_ledger(self) -> int:
        """Write a damaged or lost ledger anew from what is erased here; return how many entries it has.

        What copies elsewhere have beyond that comes back by `replay`.
        """
        erasure.mend_ledger(self._opened(), self.ledger)
        return len(self.ledger.entries())

    def recovery_words(self, *, are_shown: bool = True) -> str:
        """Return the 24 words that open every export; note that they are shown, unless it is for a trial."""
        return recovery.words_of(self._opened(), are_shown=are_shown)

    @property
    def are_words_known(self) -> bool:
        """Whether anybody ever asked for the recovery words."""
        return self._opened().store.meta("words exported at") is not None

    def recovery_recipient(self) -> str:
        """Return the age recipient that exports are encrypted to."""
        return recovery.RecoveryKey(self._opened().secret("recovery")).recipient

    def export_for_recovery(self) -> bytes:
        """Return all that another machine needs to open what is stored, for the recovery words alone.

        raises  CorruptKeyring when any row of the keystore is not as it was written
        """
        return recovery.export(self._opened())

    def status(self) -> KeyringStatus:
        """Return how the keyring stands. raises CorruptKeyring when the file is damaged."""
        return read_status(self._opened(), self.ledger)

    def abandon(self) -> None:
        """Destroy what unlocks this keyring, since its data folder is thrown away; copies open still."""
        abandon(self._ring)

    def close(self) -> None:
        """Forget the keys in memory and close the keystore."""
        with self._ring.lock:
            self._ring.forget()
            self._ring.store.close()

    def _opened(self) -> Ring:
        self._ring.refresh()
        return self._ring

    def _settle(self) -> None:
        rotation.finish_leaving(self._ring, is_opening=True)
        self._erased_again += erasure.settle(self._ring, self.ledger)

    def _signing(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._opened().secret("signing"))

    def _of_name(self, name: str) -> str | None:
        for subject in self.subjects():
            if subject.name == name and subject.erased_at is None:
                return subject.id
        return None

    def _by_any_reader(self, subject: str, read: rotation.Read) -> bytes:
        failure: AudobonError = SubjectNotFound(f"there is no person or project {subject}")
        for reader in self._ring.readers(subject):
            try:
                return read(reader)
            except (CorruptKeyring, SubjectErased, SubjectNotFound) as error:
                failure = error
        raise failure
