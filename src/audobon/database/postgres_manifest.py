"""The manifest of a base backup, and the proof that files are those it lists.

source  postgresql.org/docs/18/backup-manifest-format.html
"""

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from audobon.errors import CorruptBackup

NAME = "backup_manifest"
# Fits into a core's own memory: tarfile copies each piece a few times.
_READ_BYTES = 1 << 18


class Readable(Protocol):
    """What a base backup is read from, in order."""

    def read(self, count: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""


class ManifestFile(msgspec.Struct, frozen=True):
    """A file as the server sent it; its checksum is the SHA-256 in hexadecimal."""

    path: str = msgspec.field(name="Path")
    size_bytes: int = msgspec.field(name="Size")
    checksum: str = msgspec.field(name="Checksum")
    algorithm: str = msgspec.field(name="Checksum-Algorithm")


class WalRange(msgspec.Struct, frozen=True):
    """The log that the backup needs to be whole."""

    timeline: int = msgspec.field(name="Timeline")
    start_lsn: str = msgspec.field(name="Start-LSN")
    end_lsn: str = msgspec.field(name="End-LSN")


class Manifest(msgspec.Struct, frozen=True):
    """All files of a base backup."""

    version: int = msgspec.field(name="PostgreSQL-Backup-Manifest-Version")
    system_identifier: int = msgspec.field(name="System-Identifier")
    files: list[ManifestFile] = msgspec.field(name="Files")
    ranges: list[WalRange] = msgspec.field(name="WAL-Ranges")
    own_checksum: str = msgspec.field(name="Manifest-Checksum")


Seen = dict[str, tuple[int, str]]
"""Size and SHA-256 of files, by path."""


def parse(data: bytes, *, what: str) -> Manifest:
    """Return a manifest that is whole by its own checksum. raises CorruptBackup naming `what`."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise CorruptBackup(f"the manifest of {what} cannot be read: {error}") from error
    before, mark, _ = data.rpartition(b'"Manifest-Checksum"')
    if not mark or hashlib.sha256(before).hexdigest() != manifest.own_checksum:
        raise CorruptBackup(f"the manifest of {what} is not as the server wrote it")
    if any(file.algorithm != "SHA256" for file in manifest.files):
        raise CorruptBackup(f"the manifest of {what} has checksums other than SHA-256")
    return manifest


def prove(manifest: Manifest, seen: Seen, *, what: str) -> None:
    """Raise CorruptBackup, naming the first, unless files are those of a manifest."""
    listed = {file.path: (file.size_bytes, file.checksum) for file in manifest.files}
    for path in sorted(listed.keys() | seen.keys()):
        if path not in seen:
            raise CorruptBackup(f"{what} lacks the file {path}")
        if path not in listed:
            raise CorruptBackup(f"{what} has a file {path} that its manifest does not list")
        if listed[path][0] != seen[path][0]:
            raise CorruptBackup(f"{what}: {path} has {seen[path][0]} bytes and should have {listed[path][0]}")
        if listed[path][1] != seen[path][1]:
            raise CorruptBackup(f"{what}: {path} is not as the server sent it")


def walk(stream: Readable, *, what: str, into: Path | None = None) -> tuple[Seen, bytes]:
    """Read a base backup from its tar file; return what was seen, and its manifest.

    into    where its files are written, which exists; None: nowhere
    raises  CorruptBackup
    """
    seen: Seen = {}
    manifest = b""
    try:
        # Its type asks for more than a stream that is read in order needs.
        source: Any = stream
        with tarfile.open(fileobj=source, mode="r|", bufsize=_READ_BYTES) as archive:
            for member in archive:
                target = None if into is None else _place(into, member.name, what)
                if member.isdir():
                    if target is not None:
                        target.mkdir(mode=0o700, parents=True, exist_ok=True)
                    continue
                file = archive.extractfile(member)
                if not member.isfile() or file is None:
                    # Links are to tablespaces elsewhere, which Audobon does not use.
                    raise CorruptBackup(f"{what} has {member.name}, which is no file")
                if member.name == NAME:
                    manifest = file.read()
                    if target is not None:
                        target.write_bytes(manifest)
                    continue
                seen[member.name] = _take(file.read, target)
    except (tarfile.TarError, EOFError) as error:
        raise CorruptBackup(f"{what} cannot be read: {error}") from error
    if not manifest:
        raise CorruptBackup(f"{what} has no manifest")
    return seen, manifest


def prove_sizes(folder: Path, *, what: str) -> None:
    """Raise CorruptBackup unless a folder has the files of its manifest, in their sizes."""
    try:
        manifest = msgspec.json.decode((folder / NAME).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise CorruptBackup(f"the manifest of {what} cannot be read: {error}") from error
    for file in manifest.files:
        path = folder / file.path
        if not path.is_file() or path.stat().st_size != file.size_bytes:
            raise CorruptBackup(f"{what}: {file.path} is missing or cut")


def _take(read: Callable[[int], bytes], target: Path | None) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    file: Any = None if target is None else target.open("wb")
    try:
        while data := read(_READ_BYTES):
            digest.update(data)
            size += len(data)
            if file is not None:
                file.write(data)
    finally:
        if file is not None:
            file.close()
    return size, digest.hexdigest()


def _place(into: Path, name: str, what: str) -> Path:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise CorruptBackup(f"{what} has a file {name!r} that would lie elsewhere")
    return into / path
