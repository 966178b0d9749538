"""Takes blobs of before, which lay in clear under `blobs/ab/cdef…`, into packs, under their old keys."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import blake3

from audobon.atomic import sync_folder

_FOLDER = re.compile(r"[0-9a-f]{2}")
_REST = re.compile(r"[0-9a-f]{62}")
_BUNCH_BYTES = 8 << 20


class ClearBlobs:
    """The blobs of before in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def exist(self) -> bool:
        """Whether there are any, or what writers of before left; one look at the folder."""
        try:
            with os.scandir(self._folder) as entries:
                return any(
                    _FOLDER.fullmatch(entry.name) or entry.name in ("incoming", "damaged")
                    for entry in entries
                )
        except (FileNotFoundError, NotADirectoryError):
            return False

    def adopt(
        self,
        keep: Callable[[list[tuple[bytes, bytes]]], None],
        keep_large: Callable[[bytes, Path], None],
        keep_damaged: Callable[[Path], None],
        *,
        large_bytes: int,
    ) -> int:
        """Hand over every blob, and remove it once it was taken; return how many.

        keep          takes keys and bytes; returns when they are durable
        keep_large    takes the key and the file of one large blob
        keep_damaged  takes a file whose bytes do not match its name
        """
        count = 0
        bunch: list[tuple[bytes, bytes]] = []
        paths: list[Path] = []
        size = 0
        for key, path in list(self._blobs()):
            count += 1
            if not _is_intact(key, path):
                keep_damaged(path)
                path.unlink()
            elif path.stat().st_size >= large_bytes:
                keep_large(key, path)
                path.unlink()
            else:
                data = path.read_bytes()
                bunch.append((key, data))
                paths.append(path)
                size += len(data)
            if size >= _BUNCH_BYTES:
                self._hand_over(bunch, paths, keep)
                size = 0
        self._hand_over(bunch, paths, keep)
        for path in list(self._damaged()):
            keep_damaged(path)
            path.unlink()
            count += 1
        self._clear()
        return count

    def _hand_over(
        self,
        bunch: list[tuple[bytes, bytes]],
        paths: list[Path],
        keep: Callable[[list[tuple[bytes, bytes]]], None],
    ) -> None:
        if bunch:
            keep(bunch)
            for path in paths:
                path.unlink()
            bunch.clear()
            paths.clear()

    def _blobs(self) -> Iterator[tuple[bytes, Path]]:
        for folder in sorted(self._folder.iterdir()):
            if _FOLDER.fullmatch(folder.name) and folder.is_dir():
                for path in sorted(folder.iterdir()):
                    if _REST.fullmatch(path.name) and path.is_file():
                        yield bytes.fromhex(folder.name + path.name), path

    def _damaged(self) -> Iterator[Path]:
        folder = self._folder / "damaged"
        if folder.is_dir():
            yield from (path for path in sorted(folder.iterdir()) if path.is_file())

    def _clear(self) -> None:
        incoming = self._folder / "incoming"
        if incoming.is_dir():
            for path in incoming.iterdir():
                path.unlink(missing_ok=True)
        for folder in list(self._folder.iterdir()):
            if _FOLDER.fullmatch(folder.name) or folder.name in ("incoming", "damaged"):
                # What is no blob of ours stays, with its folder.
                with suppress(OSError):
                    folder.rmdir()
        sync_folder(self._folder)


def _is_intact(key: bytes, path: Path) -> bool:
    return blake3.blake3().update_mmap(path).digest() == key
