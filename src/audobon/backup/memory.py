"""What a data folder remembers of its repositories, so that a backup that vanished is missed."""

from pathlib import Path

import blake3
import msgspec

from audobon.atomic import disk_errors, write_bytes
from audobon.errors import Corrupt
from audobon.processes import FileLock


class Remembered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last that was seen of a repository; instants are UTC seconds.

    number, digest  of the newest manifest written from here
    drilled_at      when a drill last went well; None: never
    complaint       what the last drill or proof found wrong; None when it went well
    """

    number: int = 0
    digest: str = ""
    drilled_at: float | None = None
    verified_at: float | None = None
    complaint: str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """`check`: BLAKE3 of what is known, in hexadecimal."""

    known: dict[str, Remembered]
    check: str


class Memory:
    """Remembers repositories by their ids, in backups.json; for many processes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "backups.json"
        self._lock = folder / "locks" / "backups.lock"

    def of(self, repository_id: str) -> Remembered:
        """Return what is known of a repository."""
        return self._read().get(repository_id, Remembered())

    def known(self) -> list[str]:
        """Return the ids of all repositories that are known."""
        return list(self._read())

    def note_manifest(self, repository_id: str, *, number: int, digest: str) -> None:
        """Remember a manifest that was written; of two, the later number."""
        with FileLock(self._lock, purpose="noting a backup", wait=True):
            known = self._read()
            before = known.get(repository_id, Remembered())
            if number > before.number:
                known[repository_id] = msgspec.structs.replace(before, number=number, digest=digest)
                self._write(known)

    def note(
        self, repository_id: str, *, drilled_at: float | None = None, verified_at: float | None = None
    ) -> None:
        """Remember that a repository was proved."""
        self._change(repository_id, drilled_at=drilled_at, verified_at=verified_at, complaint=None)

    def note_complaint(self, repository_id: str, complaint: str) -> None:
        """Remember what is wrong with a repository, until it is proved again."""
        self._change(repository_id, drilled_at=None, verified_at=None, complaint=complaint)

    def _change(
        self,
        repository_id: str,
        *,
        drilled_at: float | None,
        verified_at: float | None,
        complaint: str | None,
    ) -> None:
        with FileLock(self._lock, purpose="noting a backup", wait=True):
            known = self._read()
            before = known.get(repository_id, Remembered())
            known[repository_id] = msgspec.structs.replace(
                before,
                drilled_at=before.drilled_at if drilled_at is None else drilled_at,
                verified_at=before.verified_at if verified_at is None else verified_at,
                complaint=complaint,
            )
            self._write(known)

    def _read(self) -> dict[str, Remembered]:
        with disk_errors(self._path):
            try:
                data = self._path.read_bytes()
            except FileNotFoundError:
                return {}
        try:
            if not data.startswith(b'{"known":'):
                # As an earlier Audobon wrote it.
                return msgspec.json.decode(data, type=dict[str, Remembered])
            found = msgspec.json.decode(data, type=_File)
            if msgspec.json.encode(_file(found.known)) != data:
                raise ValueError("another check")
            return found.known
        except ValueError as error:
            raise Corrupt(
                f"{self._path} is not as it was written",
                hint="move it away, and look at every place: audobon backup verify",
            ) from error

    def _write(self, known: dict[str, Remembered]) -> None:
        write_bytes(self._path, msgspec.json.encode(_file(known)))


def _file(known: dict[str, Remembered]) -> _File:
    return _File(known, blake3.blake3(msgspec.json.encode(known)).hexdigest(16))
