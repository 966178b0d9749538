"""The structured log of a data folder: one JSON object a line, by category.

For people and programs that look later; what a command says now is not its business.
"""

from pathlib import Path
from typing import Any, BinaryIO, Literal

from audobon.errors import AlreadyRunning
from audobon.processes import FileLock

Category = Literal["job", "page", "worker", "model", "storage"]

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_ROTATE_BYTES = 10 << 20
_KEPT_FILES = 5


class Log:
    """Writes events to `logs/audobon.jsonl`; every line says when, how grave, and of which category.

    Opened when the first event is written, so that asking for a log costs nothing. Lines of several
    processes do not mix. Never write secrets, nor what a page says: names and figures only.
    """

    def __init__(self, folder: Path, *, level: str) -> None:
        self._path = folder / "logs" / "audobon.jsonl"
        self._level = level
        self._logger: Any = None
        self._file: BinaryIO | None = None

    def write(self, category: Category, event: str, *, level: str = "info", **facts: object) -> None:
        """Write one event with its facts; below the configured level nothing happens."""
        if _LEVELS[level] < _LEVELS[self._level]:
            return
        if self._logger is None:
            self._logger = self._open()
        getattr(self._logger, level)(event, category=category, **facts)

    def close(self) -> None:
        """Let go of the file; the next event opens it again."""
        if self._file is not None:
            self._file.close()
            self._logger = self._file = None

    def _open(self) -> Any:
        # Dear to import, and not needed before the work is under way.
        import msgspec
        import structlog

        self._path.parent.mkdir(parents=True, exist_ok=True)
        _rotate(self._path)
        self._file = self._path.open("ab", buffering=0)
        return structlog.wrap_logger(
            structlog.BytesLogger(self._file),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
                structlog.processors.JSONRenderer(serializer=lambda event, **_: msgspec.json.encode(event)),
            ],
        )


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
