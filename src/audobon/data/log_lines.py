"""Finds the lines that the log has of some jobs, and takes lines out of it, beside those who write."""

import os
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from audobon.atomic import disk_errors


def log_files(folder: Path) -> list[Path]:
    """Return the files of a data folder's log, oldest first."""
    logs = folder / "logs"
    numbered = sorted(logs.glob("audobon.jsonl.*"), key=lambda path: -_number(path))
    present = logs / "audobon.jsonl"
    return [path for path in (*numbered, present) if path.is_file()]


def lines_of(folder: Path, jobs: Collection[str]) -> Iterator[bytes]:
    """Yield the lines that name some jobs, oldest first, each with its end."""
    if not jobs:
        return
    for path in log_files(folder):
        with disk_errors(path), path.open("rb") as file:
            for line in file:
                if _facts(line).get("job") in jobs:
                    yield line if line.endswith(b"\n") else line + b"\n"


def blank_lines_of(folder: Path, jobs: Collection[str]) -> int:
    """Take the lines out that name some jobs; return how many."""
    return blank_lines(folder, lambda facts: facts.get("job") in jobs) if jobs else 0


def blank_lines_before(folder: Path, instant: float) -> int:
    """Take the lines out that are older than an instant; return how many. Files left empty go."""

    def is_old(facts: dict[str, Any]) -> bool:
        try:
            return datetime.fromisoformat(facts["at"]).timestamp() < instant
        except (KeyError, TypeError, ValueError):
            return False

    count = blank_lines(folder, is_old)
    for path in log_files(folder):
        if path.suffix != ".jsonl" and not any(not _is_blank(line) for line in _lines(path)):
            with disk_errors(path):
                path.unlink(missing_ok=True)
    return count


def count_lines_before(folder: Path, instant: float) -> int:
    """Return how many lines `blank_lines_before` would take out."""
    count = 0
    for path in log_files(folder):
        for line in _lines(path):
            try:
                count += datetime.fromisoformat(_facts(line)["at"]).timestamp() < instant
            except (KeyError, TypeError, ValueError):
                continue
    return count


def blank_lines(folder: Path, is_meant: Callable[[dict[str, Any]], bool]) -> int:
    """Overwrite lines with spaces where they lie; return how many.

    A file that is written anew would lose what others append to the old one meanwhile. Spaces change nothing
    for them, and programs that read JSON line by line pass over them.
    """
    count = 0
    for path in log_files(folder):
        with disk_errors(path), path.open("r+b") as file:
            at = 0
            while line := file.readline():
                if not _is_blank(line) and is_meant(_facts(line)):
                    room = len(line.rstrip(b"\r\n"))
                    os.pwrite(file.fileno(), b" " * room, at)
                    count += 1
                at += len(line)
            if count:
                os.fsync(file.fileno())
    return count


def _lines(path: Path) -> Iterator[bytes]:
    with disk_errors(path), path.open("rb") as file:
        yield from file


def _is_blank(line: bytes) -> bool:
    return not line.strip()


def _facts(line: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        # A line that a power cut broke off; whose it was cannot be told.
        return {}
    return found if isinstance(found, dict) else {}


def _number(path: Path) -> int:
    ending = path.suffix.removeprefix(".")
    return int(ending) if ending.isdecimal() else 0
