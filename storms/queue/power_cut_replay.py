"""What was written to a disk, from a trace of strace, and what of it a power cut may leave."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_SECTOR_BYTES = 512
_TRACED = "trace=pwrite64,write,fsync,fdatasync,ftruncate"
# -y names the file behind a descriptor; -xx and -s write all bytes out.
STRACE = ["-f", "-qq", "-y", "-xx", "-s", "1000000", "-e", _TRACED]
_CALL = re.compile(r"^\d+ +(\w+)\((\d+)<([^>]*)>(?:, (.*))?\) += (-?\d+)")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
_UNFINISHED = re.compile(r"^(\d+) +(.*) <unfinished \.\.\.>$")
_TEXT = re.compile(r'^"((?:\\x[0-9a-f]{2})*)"')


class Deed(NamedTuple):
    """A call in the trace.

    kind  write, sync, truncate or note (an acknowledgement)
    at    offset, or new size
    """

    kind: str
    file: str
    at: int = 0
    data: bytes = b""


def deeds_of(trace: Path, data: Path) -> Iterator[Deed]:
    """Yield what the processes did to the database of a data folder, and what they told, as it happened."""
    offsets: dict[str, int] = {}
    for line in _whole_lines(trace):
        match = _CALL.match(line)
        if match is None or int(match[5]) < 0:
            continue
        call, descriptor, path, rest = match[1], int(match[2]), match[3], match[4] or ""
        path = _decoded(path).decode()
        if call == "write" and descriptor == 1:
            yield Deed("note", "", data=_bytes(rest))
        elif not path.startswith(f"{data}/audobon.db") or path.endswith("-shm"):
            continue
        elif call == "pwrite64":
            at = int(rest.rsplit(", ", 1)[1])
            yield Deed("write", Path(path).name, at, _bytes(rest))
        elif call in ("fsync", "fdatasync"):
            yield Deed("sync", Path(path).name)
        elif call == "ftruncate":
            yield Deed("truncate", Path(path).name, int(rest))
        else:
            raise SystemExit(f"the replay does not know this call: {line[:120]} {offsets}")


def _whole_lines(trace: Path) -> Iterator[str]:
    """Yield the calls, those that others ran into put together; a call counts when it ended."""
    begun: dict[str, str] = {}
    with trace.open(encoding="ascii") as file:
        for line in file:
            if match := _UNFINISHED.match(line):
                begun[match[1]] = match[2]
            elif match := _RESUMED.match(line):
                yield f"{match[1]} {begun.pop(match[1], '')}{match[3]}"
            else:
                yield line


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if "\\x" in text else text.encode()


def _bytes(rest: str) -> bytes:
    match = _TEXT.match(rest)
    return b"" if match is None else _decoded(match[1])


def imagine(deeds: list[Deed], folder: Path, draw: random.Random) -> None:
    """Write what the disk could hold after these deeds and a power cut."""
    synced = {deed.file: index for index, deed in enumerate(deeds) if deed.kind == "sync"}
    # A disk that kept nothing of what it need not, one that kept most, and all between.
    kept = draw.choice([0.0, 0.5, 0.9, 1.0])
    for index, deed in enumerate(deeds):
        if deed.kind not in ("write", "truncate"):
            continue
        is_safe = index < synced.get(deed.file, -1)
        path = folder / deed.file
        path.touch()
        if deed.kind == "truncate":
            if is_safe or draw.random() < kept:
                with path.open("r+b") as file:
                    file.truncate(deed.at)
            continue
        with path.open("r+b") as file:
            for start in range(0, len(deed.data), _SECTOR_BYTES):
                if is_safe or draw.random() < kept:
                    file.seek(deed.at + start)
                    file.write(deed.data[start : start + _SECTOR_BYTES])
