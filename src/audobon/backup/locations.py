"""Where a place for backups is: a folder, or a bucket of Cloud Storage below a prefix."""

import re
from pathlib import Path

import blake3
import msgspec

from audobon.config import spool_folder
from audobon.errors import InvalidInput
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.object_names import is_name
from audobon.storage.port import ObjectStore, Rights

BUCKETS = "gs://"
"""What the address of a bucket begins with."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


class BucketFolder(msgspec.Struct, frozen=True):
    """Objects of a bucket below a prefix; as text gs://BUCKET/PREFIX. It is handled as a path is."""

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        """Return its address."""
        return f"{BUCKETS}{self.bucket}/{self.prefix}".rstrip("/")

    def __truediv__(self, name: str) -> "BucketFolder":
        """Return what lies below it under a name."""
        return BucketFolder(self.bucket, f"{self.prefix}/{name}".strip("/"))

    def absolute(self) -> "BucketFolder":
        """Return itself: an address says it all."""
        return self


Location = Path | BucketFolder


def parse_location(text: str) -> Location:
    """Return the location of a path, or of gs://BUCKET/PREFIX. raises InvalidInput."""
    if not text.startswith(BUCKETS):
        return Path(text)
    bucket, _, prefix = text.removeprefix(BUCKETS).partition("/")
    prefix = prefix.rstrip("/")
    if not _BUCKET.fullmatch(bucket) or (prefix and not is_name(prefix)):
        raise InvalidInput(
            f"{text!r} is no address of a bucket",
            hint="write it like gs://my-bucket/audobon, with letters, digits, . _ - and /",
        )
    return BucketFolder(bucket, prefix)


def open_store(location: Location, *, rights: Rights) -> ObjectStore:
    """Return the objects at a location; nothing is asked of it before they are used.

    raises  Misconfigured where the packages of Google Cloud are missing, CloudDenied without credentials
    """
    if isinstance(location, Path):
        return FolderObjectStore({"standard": location}, rights=rights)
    # Dear to import, and there only with the extra `gcp`.
    from audobon.storage.gcp import BucketObjectStore

    return BucketObjectStore(location.bucket, location.prefix, spool=_here(location) / "spool", rights=rights)


def lock_file(location: Location) -> Path:
    """Return the file whose lock keeps the processes of this machine from each other at a location."""
    return (location if isinstance(location, Path) else _here(location)) / ".lock"


def _here(location: BucketFolder) -> Path:
    """Return what this machine keeps for a bucket while it works with it; it may be deleted."""
    return spool_folder() / blake3.blake3(str(location).encode()).hexdigest(8)
