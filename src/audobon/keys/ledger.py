"""The ledger of erasures: who was erased and when, so that no restore brings anybody back.

A file of one JSON line for each erasure: ids and instants, no names. Each is signed and carries the hash of
the one before, so that nothing can be changed, moved or left out inside; what is cut off at the end is known
by the keystore, and by the other places that have a copy.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import msgspec

from audobon.atomic import disk_errors, make_private_folder, sync_folder, write_bytes
from audobon.clock import utc_now
from audobon.errors import CorruptKeyring
from audobon.keys.unlock_file import read_private
from audobon.processes import FileLock

Reason = Literal["asked", "retention"]
"""Why somebody was erased: a person asked for it, or the time for which data is kept was over."""

FIRST = "0" * 64
_PURPOSE = b"audobon erasure ledger\0"
HINT = "audobon keys mend-ledger"


class LedgerEntry(msgspec.Struct, frozen=True):
    """One erasure.

    subject    the id
    erased_at  UTC seconds
    previous   SHA-256 of the line before, in hexadecimal; zeros for the first
    signature  Ed25519 by the keyring, in hexadecimal
    """

    subject: str
    erased_at: float
    reason: Reason
    previous: str
    signature: str


class Ledger:
    """The ledger of a data folder: only ever longer, for many processes."""

    def __init__(
        self, folder: Path, sign: Callable[[bytes], bytes], is_signed: Callable[[bytes, bytes], bool]
    ) -> None:
        self.path = folder / "keys" / "ledger.jsonl"
        self._lock = FileLock(folder / "locks" / "ledger.lock", purpose="noting an erasure", wait=True)
        self._sign = sign
        self._is_signed = is_signed

    def entries(self) -> list[LedgerEntry]:
        """Return all entries, oldest first. raises CorruptKeyring when one is not as it was written."""
        return self.decode(read_private(self.path) or b"")

    def sound_entries(self) -> list[LedgerEntry]:
        """Return the entries before the first that is not as it was written."""
        return self._sound(read_private(self.path) or b"")[0]

    def size_bytes(self) -> int:
        """Return how long the file is."""
        with disk_errors(self.path):
            return self.path.stat().st_size if self.path.exists() else 0

    def decode(self, data: bytes) -> list[LedgerEntry]:
        """Return the entries of a copy of the ledger, each proved. raises CorruptKeyring."""
        entries, is_whole = self._sound(data)
        if not is_whole:
            raise CorruptKeyring(
                f"line {len(entries) + 1} of the ledger of erasures is not as it was written", hint=HINT
            )
        return entries

    def _sound(self, data: bytes) -> tuple[list[LedgerEntry], bool]:
        # A line without its end was never acknowledged.
        lines = data.split(b"\n")[:-1]
        entries: list[LedgerEntry] = []
        previous = FIRST
        for line in lines:
            try:
                entry = msgspec.json.decode(line, type=LedgerEntry)
                is_sound = encode(entry) == line + b"\n" and entry.previous == previous
                is_sound = is_sound and self._is_signed(_signed(entry), bytes.fromhex(entry.signature))
            except (msgspec.DecodeError, ValueError):
                is_sound = False
            if not is_sound:
                return entries, False
            entries.append(entry)
            previous = hash_of(entry)
        return entries, True

    def append(self, subject: str, reason: Reason, *, erased_at: float | None = None) -> LedgerEntry:
        """Add an erasure, unless it is there, and return its entry; on the disk when this returns."""
        self._begin()
        with self._lock:
            entries = self.entries()
            for entry in entries:
                if entry.subject == subject:
                    return entry
            return self._append(entries, subject, reason, utc_now() if erased_at is None else erased_at)

    def merge(self, others: Iterable[LedgerEntry]) -> list[LedgerEntry]:
        """Add what another place's ledger has and this one lacks; return what was added.

        A longer copy of this one is taken as it is. raises CorruptKeyring when an entry is not this keyring's
        """
        theirs = list(others)
        self.decode(b"".join(map(encode, theirs)))
        self._begin()
        with self._lock:
            mine = self.entries()
            if theirs[: len(mine)] == mine:
                added = theirs[len(mine) :]
                self._write(b"".join(map(encode, added)))
                return added
            known = {entry.subject for entry in mine}
            added = []
            for entry in theirs:
                if entry.subject not in known:
                    anew = self._append([*mine, *added], entry.subject, entry.reason, entry.erased_at)
                    added.append(anew)
            return added

    def rewrite(self, subjects: Iterable[tuple[str, float]]) -> None:
        """Begin the ledger anew with erasures known from elsewhere; the damaged file is kept beside it."""
        self._begin()
        with self._lock:
            entries: list[LedgerEntry] = []
            for subject, erased_at in subjects:
                entries.append(self._entry(entries, subject, "asked", erased_at))
            if self.path.exists():
                with disk_errors(self.path):
                    self.path.replace(self.path.with_name(f"{self.path.name}.damaged-{utc_now():.0f}"))
            write_bytes(self.path, b"".join(map(encode, entries)))

    def _append(
        self, before: list[LedgerEntry], subject: str, reason: Reason, erased_at: float
    ) -> LedgerEntry:
        entry = self._entry(before, subject, reason, erased_at)
        self._write(encode(entry))
        return entry

    def _entry(
        self, before: list[LedgerEntry], subject: str, reason: Reason, erased_at: float
    ) -> LedgerEntry:
        entry = LedgerEntry(subject, erased_at, reason, hash_of(before[-1]) if before else FIRST, "")
        return msgspec.structs.replace(entry, signature=self._sign(_signed(entry)).hex())

    def _begin(self) -> None:
        # The keyring is opened before the lock is taken: signing may have to wait for the keystore.
        self._sign(b"")
        with disk_errors(self.path):
            make_private_folder(self.path.parent)

    def _write(self, lines: bytes) -> None:
        if not lines:
            return
        with disk_errors(self.path), self.path.open("a+b") as file:
            file.seek(0)
            # What a killed process left unfinished goes; all before it stays.
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.path.parent)


def encode(entry: LedgerEntry) -> bytes:
    """Return an entry as its line."""
    return msgspec.json.encode(entry) + b"\n"


def hash_of(entry: LedgerEntry) -> str:
    """Return what the next entry carries of this one."""
    return hashlib.sha256(encode(entry)).hexdigest()


def _signed(entry: LedgerEntry) -> bytes:
    return _PURPOSE + msgspec.json.encode(msgspec.structs.replace(entry, signature=""))
