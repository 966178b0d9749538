"""The structured log of a data folder: one JSON object a line, by category.

For people and programs that look later; what a command says now is not its business. Words that may name
something are sealed for whom they belong to; `read_log` opens them for the owner.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import msgspec

from audobon.atomic import make_private_folder, write_bytes
from audobon.errors import (
    AlreadyRunning,
    CorruptKeyring,
    KeyringLost,
    SubjectErased,
    WrongPassphrase,
)
from audobon.processes import FileLock

Category = Literal["job", "page", "worker", "model", "storage", "database", "backup", "data", "recovery"]

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_ROTATE_BYTES = 10 << 20
_KEPT_FILES = 5
# Ids, and words of Audobon's own. What is not here is sealed, so that a fact added later cannot leak.
_CLEAR = {"at", "level", "category", "event", "job", "operation", "code", "status", "fence"}
ERASED = "erased"
LOCKED = "not written: the keyring was locked"
"""What stands for words whose owner was erased."""


class Seal(Protocol):
    """Makes a text unreadable for all but one subject; see `Keys.seal_text`."""

    def __call__(self, subject: str, text: str, *, context: bytes) -> str:
        """Return the sealed text. raises SubjectErased."""


class Log:
    """Writes events to `logs/audobon.jsonl`; every line says when, how grave, and of which category.

    Opened when the first event is written, so that asking for a log costs nothing. Lines of several
    processes do not mix. Never write secrets, nor what a page says: names and figures only.
    """

    def __init__(self, folder: Path, seal: Seal, *, level: str) -> None:
        self._path = folder / "logs" / "audobon.jsonl"
        self._seal = seal
        self._level = level
        self._file: BinaryIO | None = None

    def write(
        self, category: Category, event: str, *, level: str = "info", subject: str = "system", **facts: object
    ) -> None:
        """Write one event with its facts; below the configured level nothing happens.

        On a disk that is full or fails the event is lost: nobody's work ends for it.
        subject  id of whom the words among the facts belong to
        """
        if _LEVELS[level] < _LEVELS[self._level]:
            return
        instant = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        line = {
            "category": category,
            **_sealed(self._seal, subject, facts),
            "event": event,
            "level": level,
            "at": instant,
        }
        with suppress(OSError):
            if self._file is None:
                self._file = self._open()
            # Whole in one go: lines of threads and processes do not mix.
            self._file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Let go of the file; the next event opens it again."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self) -> BinaryIO:
        make_private_folder(self._path.parent)
        _rotate(self._path)
        return self._path.open("ab", buffering=0)


def log_context(field: str) -> bytes:
    """Return what binds sealed words to their field."""
    return b"log\0" + field.encode()


def log_files(folder: Path) -> list[Path]:
    """Return the files of the log, oldest lines first."""
    path = folder / "logs" / "audobon.jsonl"
    older = [path.with_suffix(f".jsonl.{number}") for number in range(_KEPT_FILES, 0, -1)]
    return [each for each in (*older, path) if each.exists()]


def seal_old_lines(folder: Path, seal: Seal) -> int:
    """Seal the words of lines that an earlier Audobon wrote in clear; return how many lines.

    For when nobody else writes: a line that is written meanwhile may be lost.
    """
    count = 0
    for path in log_files(folder):
        lines = path.read_bytes().splitlines()
        sealed = [_sealed_line(seal, line) for line in lines]
        changed = sum(new != old for new, old in zip(sealed, lines, strict=True))
        if changed:
            write_bytes(path, b"".join(line + b"\n" for line in sealed))
        count += changed
    return count


def _sealed_line(seal: Seal, line: bytes) -> bytes:
    try:
        facts = msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError:
        # Torn by a power cut: nobody can read it, and it may name something.
        return b"{}"
    words = {field for field in facts if not _is_sealed(facts[field])}
    return msgspec.json.encode(
        facts | _sealed(seal, "personal", {field: facts[field] for field in facts if field in words})
    )


def _is_sealed(value: object) -> bool:
    return isinstance(value, str) and value.startswith("s1.") and len(value) > len("s1.") + 43


def _sealed(seal: Seal, subject: str, facts: dict[str, object]) -> dict[str, object]:
    return dict(_sealed_facts(seal, subject, facts))


def _sealed_facts(seal: Seal, subject: str, facts: dict[str, object]) -> Iterator[tuple[str, object]]:
    for field, value in facts.items():
        if field in _CLEAR or value is None or isinstance(value, bool | int | float):
            yield field, value
            continue
        words = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        try:
            yield field, seal(subject, words, context=log_context(field))
        except SubjectErased:
            yield field, ERASED
        except (WrongPassphrase, KeyringLost, CorruptKeyring):
            # That something happened is told all the same, without the words.
            yield field, LOCKED


def _rotate(path: Path) -> None:
    """Start a new file when the present one is large; the oldest beyond the kept ones goes."""
    if not path.exists() or path.stat().st_size < _ROTATE_BYTES:
        return
    try:
        with FileLock(path.with_suffix(".lock"), purpose="rotating the log"):
            for number in range(_KEPT_FILES - 1, 0, -1):
                older = path.with_suffix(f".jsonl.{number}")
                if older.exists():
                    older.replace(path.with_suffix(f".jsonl.{number + 1}"))
            path.replace(path.with_suffix(".jsonl.1"))
    except AlreadyRunning:
        # Another process is turning the files at this moment; this one's lines go on in the old file.
        return
