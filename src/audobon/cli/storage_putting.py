"""Puts files of a person into storage, small ones many at a time: they share the waits for the disk."""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audobon.storage.service import Storage

_LARGE_BYTES = 1 << 20
_FILES_AT_ONCE = 1000


def put_files(storage: "Storage", files: Iterable[Path], *, subject: str) -> Iterator[tuple[Path, str]]:
    """Keep files; yield each in turn with its key, once it would survive a power cut."""
    for is_large, run in groupby(files, key=lambda path: path.stat().st_size >= _LARGE_BYTES):
        if is_large:
            for path in run:
                yield path, storage.put_file(path, subject=subject, kind="user")
            continue
        while some := list(islice(run, _FILES_AT_ONCE)):
            with storage.batch(subject=subject, kind="user") as batch:
                keys = [batch.put(path.read_bytes()) for path in some]
            yield from zip(some, keys, strict=True)
