"""Objects as files in folders, one folder for each tier, which may lie on different disks."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from audobon.atomic import disk_errors, sync_folder, writing
from audobon.errors import Denied, InvalidInput, ObjectExists, ObjectNotFound, OutputExists
from audobon.storage.port import TIERS, ObjectInfo, ObjectStore, Rights, Tier

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


class FolderObjectStore(ObjectStore):
    """Objects as files below a folder for each tier.

    folders  by tier; "standard" must be among them, a tier without a folder of its own lies there as well
    rights   what may be done through this object; `Denied` for the rest
    """

    def __init__(self, folders: Mapping[Tier, Path], *, rights: Rights = "full") -> None:
        standard = folders["standard"]
        self._folders: dict[Tier, Path] = {
            tier: folders.get(tier, standard.parent / f"{standard.name}-{tier}") for tier in TIERS
        }
        self._rights = rights

    @property
    def folder(self) -> Path:
        """Where the objects of the standard tier lie."""
        return self._folders["standard"]

    def create(self, name: str, *, tier: Tier = "standard") -> AbstractContextManager[IO[bytes]]:
        """Write a new object; see the port."""
        if self._rights == "read":
            raise Denied(f"{self._folders['standard']} is opened for reading alone")
        return self._create(name, tier)

    @contextmanager
    def _create(self, name: str, tier: Tier) -> Iterator[IO[bytes]]:
        if self._find(name) is not None:
            raise _exists(name)
        path = self._path(name, tier)
        with disk_errors(path):
            _make_folder(path.parent, below=self._folders[tier])
        try:
            with writing(path, replace=False) as file:
                yield file
        except OutputExists:
            raise _exists(name) from None

    def take_in(self, file: Path, name: str) -> None:
        """Make a whole, synced file of the same disk a new object; it leaves its place. raises as `create`."""
        if self._find(name) is not None:
            raise _exists(name)
        path = self._path(name, "standard")
        with disk_errors(path):
            _make_folder(path.parent, below=self.folder)
            file.replace(path)
            sync_folder(path.parent)

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open an object to read; see the port."""
        file = self._open(name)
        with file:
            yield file

    def _open(self, name: str) -> IO[bytes]:
        # It may be on its way from one tier to another, but it is in one of them at any instant.
        for _ in range(3):
            found = self._find(name)
            if found is None:
                break
            with disk_errors(found[1]):
                try:
                    return found[1].open("rb")
                except FileNotFoundError:
                    continue
        raise _missing(name)

    def stat(self, name: str) -> ObjectInfo:
        """Return what is known of an object; see the port."""
        for _ in range(3):
            found = self._find(name)
            if found is None:
                break
            with disk_errors(found[1]):
                try:
                    return _info(name, found[0], found[1])
                except FileNotFoundError:
                    continue
        raise _missing(name)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose names begin so; see the port."""
        seen: dict[str, ObjectInfo] = {}
        for tier in TIERS:
            root = self._folders[tier]
            start = root / prefix.rpartition("/")[0] if "/" in prefix else root
            for folder, folders, files in os.walk(start):
                folders[:] = [name for name in folders if not name.startswith(".")]
                for file in files:
                    if file.startswith("."):
                        continue
                    path = Path(folder, file)
                    name = path.relative_to(root).as_posix()
                    if name.startswith(prefix) and name not in seen:
                        try:
                            seen[name] = _info(name, tier, path)
                        except FileNotFoundError:
                            continue
        yield from (seen[name] for name in sorted(seen))

    def delete(self, name: str) -> None:
        """Remove an object; see the port."""
        self._demand_full("delete", name)
        found = self._find(name)
        if found is None:
            raise _missing(name)
        while found is not None:
            with disk_errors(found[1]):
                found[1].unlink(missing_ok=True)
                sync_folder(found[1].parent)
            # A move that was broken off leaves it twice.
            found = self._find(name)

    def set_tier(self, name: str, tier: Tier) -> None:
        """Move an object to a tier; see the port."""
        self._demand_full("move", name)
        while (found := self._find(name, ahead=tier)) is not None:
            if found[0] == tier:
                break
            source, target = found[1], self._path(name, tier)
            with disk_errors(target):
                _make_folder(target.parent, below=self._folders[tier])
                status = source.stat()
                with source.open("rb") as file, writing(target) as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)
                # The instant of its creation goes with it.
                os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        else:
            raise _missing(name)
        for other in TIERS:
            if other != tier and (path := self._path(name, other)).exists():
                with disk_errors(path):
                    path.unlink(missing_ok=True)
                    sync_folder(path.parent)

    def path(self, name: str) -> Path:
        """Return where an object lies now; ObjectNotFound when there is none."""
        found = self._find(name)
        if found is None:
            raise _missing(name)
        return found[1]

    def _demand_full(self, deed: str, name: str) -> None:
        if self._rights != "full":
            raise Denied(
                f"not allowed to {deed} {name}: {self._folders['standard']} is opened to create objects only"
            )

    def _find(self, name: str, *, ahead: Tier | None = None) -> tuple[Tier, Path] | None:
        for tier in sorted(TIERS, key=lambda tier: tier != ahead):
            if (path := self._path(name, tier)).is_file():
                return tier, path
        return None

    def _path(self, name: str, tier: Tier) -> Path:
        # Names come from manifests and commands too: none may leave the folder.
        if not _NAME.fullmatch(name) or len(name) > 500:
            raise InvalidInput(f"{name!r} cannot name an object", hint="use letters, digits, . _ - and /")
        return self._folders[tier] / name


def _info(name: str, tier: Tier, path: Path) -> ObjectInfo:
    status = path.stat()
    return ObjectInfo(name, status.st_size, status.st_mtime, tier)


def _make_folder(folder: Path, *, below: Path) -> None:
    """Create a folder so that it lasts through a power cut."""
    new = []
    while not folder.is_dir():
        new.append(folder)
        if folder == below:
            break
        folder = folder.parent
    for each in reversed(new):
        each.mkdir(parents=True, exist_ok=True)
        sync_folder(each.parent)


def _exists(name: str) -> ObjectExists:
    return ObjectExists(f"there is an object {name} already")


def _missing(name: str) -> ObjectNotFound:
    return ObjectNotFound(f"there is no object {name}")
