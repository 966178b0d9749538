"""What one backup consists of: a signed list, each naming the one before it."""

from typing import Literal

import msgspec

from audobon.backup.signed import Document

FOLDER = "manifests"

FileRole = Literal["settings", "model", "tuning", "log", "places"]


class PackEntry(msgspec.Struct, frozen=True, array_like=True):
    """A pack of the backup.

    name    of the object in the data folder's store; in a repository it lies below packs/
    digest  BLAKE3 of the whole file, in hexadecimal
    """

    name: str
    size_bytes: int
    digest: str


class FileEntry(msgspec.Struct, frozen=True, array_like=True):
    """A small file of the data folder, encrypted in an object of its own.

    sealed_path  where it lies in the data folder, readable with the keys alone
    size_bytes   of the object
    digest       BLAKE3 of the object
    """

    role: FileRole
    sealed_path: str
    object: str
    size_bytes: int
    digest: str


class DatabasePoint(msgspec.Struct, frozen=True):
    """A commit of the database, as the log in the same repository counts them; `at` is UTC seconds."""

    generation: str
    commit: int
    at: float


class Counts(msgspec.Struct, frozen=True):
    """What the database held at that commit; `sentinel` is a row that was written for this backup alone."""

    jobs: int
    entries: int
    tasks: dict[str, int]
    sentinel: str


class KeystoreEntry(msgspec.Struct, frozen=True):
    """The export of the keystore that was written with a backup; `digest` is the BLAKE3 of the object."""

    name: str
    size_bytes: int
    digest: str


class Previous(msgspec.Struct, frozen=True):
    """The manifest before, and the BLAKE3 of its file."""

    number: int
    digest: str


class Manifest(Document, frozen=True, kw_only=True):
    """A backup.

    number          counts the manifests of a repository; none is given twice
    at              UTC seconds, when it was complete
    ledger_head     what the erasure ledger ended with
    lacking         packs that should be here but could not be read, each with the reason
    keystore_fault  why the keystore could not be exported, so that an earlier export is named; None: it was
    added_bytes     what had to be copied for it
    """

    number: int
    id: str
    repository: str
    at: float
    previous: Previous | None
    database: DatabasePoint
    counts: Counts
    packs: list[PackEntry]
    files: list[FileEntry]
    lacking: dict[str, str]
    ledger_head: str
    keystore: KeystoreEntry
    added_bytes: int
    app_version: str
    schema: str
    keystore_fault: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all that it should hold could be read when it was made."""
        return not self.lacking and self.keystore_fault is None

    @property
    def size_bytes(self) -> int:
        """Bytes of the packs and files it needs, the database apart."""
        return sum(pack.size_bytes for pack in self.packs) + sum(file.size_bytes for file in self.files)


class Pruning(Document, frozen=True, kw_only=True):
    """Manifests that were removed on purpose or accepted as lost, by number; `at` is UTC seconds.

    removed  the BLAKE3 of each; empty where nobody knows it any more
    """

    repository: str
    at: float
    removed: dict[int, str]


def object_name(number: int) -> str:
    """Return the name of a manifest: by its number, so that only one can be the next."""
    return f"{FOLDER}/{number:012d}.json"
