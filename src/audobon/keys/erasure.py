"""Erasing a subject: its keys destroyed for good, here and wherever the ledger comes to."""

import msgspec

from audobon.errors import AudobonError, Conflict, CorruptKeyring, SubjectErased, SubjectNotFound
from audobon.keys.keystore import destroy_in_replaced
from audobon.keys.ledger import HINT as LEDGER_HINT
from audobon.keys.ledger import Ledger, LedgerEntry, Reason, encode, hash_of
from audobon.keys.ring import Ring
from audobon.keys.subjects import PERSONAL, SYSTEM, new_subject_id

_PROBE = b"erasure probe"
_HEAD = "ledger"


class Erasure(msgspec.Struct, frozen=True):
    """What was destroyed, and the proof that it is.

    erased_at      UTC seconds; of the first time, if it was erased before
    keys           versions of the subject's key destroyed now
    data_keys      data keys that were wrapped anew, destroyed now
    refusal        the code of the error met by reading what was sealed just before; None: it could be read
    is_overwritten whether no wrapped key of the subject is left anywhere in the keystore's file
    """

    subject: str
    erased_at: float
    keys: int
    data_keys: int
    refusal: str | None
    is_overwritten: bool


def erase(ring: Ring, ledger: Ledger, subject: str, reason: Reason) -> Erasure:
    """Destroy every key of a subject, its data keys and its name; see `Keys.erase`."""
    subject = ring.resolve(subject)
    if subject == SYSTEM:
        raise Conflict("Audobon's own key cannot be erased: nothing at all could be read without it")
    with ring.lock:
        row = ring.store.row("SELECT erased_at FROM subject WHERE id = ?", subject)
        if row is None:
            raise SubjectNotFound(f"there is no person or project {subject}", hint="audobon data subjects")
        probe = None if row[0] is not None else ring.seal(subject, ring.newest(subject), _PROBE, _PROBE)
    # Noted first: if we are killed after this, the next who opens the keyring goes on.
    entry = ledger.append(subject, reason, erased_at=row[0])
    with ring.lock:
        wrapped = _wrapped_keys(ring, subject)
        keys, data_keys = _destroy(ring, ledger, [entry])
        return Erasure(
            subject,
            entry.erased_at,
            keys,
            data_keys,
            _refusal(ring, subject, probe),
            is_overwritten=not _is_in_file(ring, wrapped),
        )


def settle(ring: Ring, ledger: Ledger) -> list[str]:
    """Erase whoever the ledger says is erased and the keystore holds still; return their ids.

    Looked at only when the ledger is not the one the keystore knows: after a restore, or a kill.
    """
    with ring.lock, ring.store.errors():
        size = ledger.size_bytes()
        known = _head(ring)
        if size <= known[2]:
            # What a shorter one lacks is erased here all the same; whoever needs the ledger is told.
            return []
        # Of a damaged one, what can be believed; it stays unknown to the keystore, and is told of.
        entries = ledger.sound_entries()
        living = {
            row[0]
            for row in ring.store.connection().execute("SELECT id FROM subject WHERE erased_at IS NULL")
        }
        again = [entry for entry in entries if entry.subject in living]
        if again or (entries and hash_of(entries[-1]) != known[1]):
            _destroy(ring, ledger, again)
        return [entry.subject for entry in again]


def check_ledger(ring: Ring, ledger: Ledger) -> list[LedgerEntry]:
    """Return the ledger's entries. raises CorruptKeyring when any is changed, moved, or missing."""
    entries = ledger.entries()
    with ring.lock, ring.store.errors():
        count, digest, _ = _head(ring)
        if count and (len(entries) < count or hash_of(entries[count - 1]) != digest):
            raise CorruptKeyring("the ledger of erasures lacks entries", hint=LEDGER_HINT)
        noted = {entry.subject for entry in entries}
        rows = ring.store.connection().execute("SELECT id FROM subject WHERE erased_at IS NOT NULL")
        if missing := [row[0] for row in rows if row[0] not in noted]:
            raise CorruptKeyring(f"the ledger of erasures lacks {', '.join(missing)}", hint=LEDGER_HINT)
    return entries


def mend_ledger(ring: Ring, ledger: Ledger) -> None:
    """Write a damaged ledger anew from what the keystore knows to be erased."""
    with ring.lock, ring.store.errors():
        rows = ring.store.connection().execute(
            "SELECT id, erased_at FROM subject WHERE erased_at IS NOT NULL ORDER BY erased_at, id"
        )
        ledger.rewrite([(row[0], row[1]) for row in rows.fetchall()])
        _destroy(ring, ledger, [])


def _destroy(ring: Ring, ledger: Ledger, entries: list[LedgerEntry]) -> tuple[int, int]:
    keys = data_keys = 0
    # Before the ledger counts as done: after a kill all of this is done again.
    destroy_in_replaced(ring.store.path, [entry.subject for entry in entries])
    with ring.store.leaving_nothing(), ring.changing() as connection:
        for entry in entries:
            subject = entry.subject
            keys += connection.execute("DELETE FROM subject_key WHERE subject_id = ?", (subject,)).rowcount
            data_keys += connection.execute("DELETE FROM data_key WHERE subject_id = ?", (subject,)).rowcount
            connection.execute(
                "UPDATE subject SET sealed_name = x'', erased_at = ? WHERE id = ?", (entry.erased_at, subject)
            )
            ring.store.set_meta(f"has {subject}", None)
            if subject == ring.resolve(PERSONAL):
                ring.store.set_meta("personal", new_subject_id().encode())
        _set_head(ring, ledger)
    ring.forget()
    return keys, data_keys


def _head(ring: Ring) -> tuple[int, str, int]:
    """Return how many entries the keystore knows, the hash of the last, and how long the file was."""
    known = ring.store.meta(_HEAD)
    if known is None:
        return 0, "", 0
    try:
        return msgspec.json.decode(known, type=tuple[int, str, int])
    except msgspec.DecodeError as error:
        raise CorruptKeyring("what the keyring knows of the ledger is not as it was written") from error


def _set_head(ring: Ring, ledger: Ledger) -> None:
    entries = ledger.sound_entries()
    size = sum(len(encode(entry)) for entry in entries)
    head = (len(entries), hash_of(entries[-1]) if entries else "", size)
    ring.store.set_meta(_HEAD, msgspec.json.encode(head))


def _wrapped_keys(ring: Ring, subject: str) -> list[bytes]:
    rows = ring.store.connection().execute("SELECT wrapped FROM subject_key WHERE subject_id = ?", (subject,))
    return [bytes(row[0]) for row in rows]


def _is_in_file(ring: Ring, wrapped: list[bytes]) -> bool:
    data = ring.store.path.read_bytes()
    return any(each in data for each in wrapped)


def _refusal(ring: Ring, subject: str, probe: bytes | None) -> str | None:
    try:
        if probe is None:
            ring.newest(subject)
        else:
            ring.unseal(subject, probe, _PROBE)
    except AudobonError as error:
        return error.code if isinstance(error, SubjectErased) else None
    return None
