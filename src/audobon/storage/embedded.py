"""Objects as files in folders, one folder for each tier, which may lie on different disks."""

import os
import re
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO

from audobon.atomic import disk_errors, is_alive, sync_folder, temporary_beside, write_bytes
from audobon.errors import (
    Denied,
    Misconfigured,
    ObjectExists,
    ObjectNotFound,
    Unavailable,
)
from audobon.processes import FileLock
from audobon.storage.folder_files import NO_SECOND_NAMES, duplicate, files_below, make_folder
from audobon.storage.object_names import demand_name, folder_of_prefix
from audobon.storage.port import TIERS, ObjectInfo, ObjectStore, Rights, Tier

_LOCKS = 256
_MARK = ".tier-of-audobon"

# As `atomic.temporary_beside` names what is being written.
_UNFINISHED = re.compile(r"\..*\.(\d{1,10})-[0-9a-f]{8}\.part")


class FolderObjectStore(ObjectStore):
    """Objects as files below a folder for each tier.

    folders  by tier; "standard" must be among them; a tier without a folder lies hidden inside standard's
    rights   what may be done through this object; `Denied` for the rest
    follows_links  whether a link to a file is an object: it could lead out of the folder, so only where
                   Audobon made all that lies there
    raises   Misconfigured when a folder is, or lies in, that of another tier

    Who creates, moves or deletes a name holds its lock, so that it is in one tier only; reading takes none.
    """

    def __init__(
        self, folders: Mapping[Tier, Path], *, rights: Rights = "full", follows_links: bool = False
    ) -> None:
        self._standard = folders["standard"]
        self._folders: dict[Tier, Path] = {
            tier: folders.get(tier, self._standard / f".{tier}") for tier in TIERS
        }
        self._elsewhere: list[Tier] = [tier for tier in TIERS if tier != "standard" and tier in folders]
        self._rights = rights
        self._follows_links = follows_links
        self._demand_apart()

    def create(self, name: str, *, tier: Tier = "standard") -> AbstractContextManager[IO[bytes]]:
        """Write a new object; see the port."""
        if self._rights == "read":
            raise Denied(f"{self._standard} is opened for reading alone")
        return self._create(name, tier)

    @contextmanager
    def _create(self, name: str, tier: Tier) -> Iterator[IO[bytes]]:
        if self._find(name) is not None:
            raise _exists(name)
        path = self._ready(name, tier)
        temporary = temporary_beside(path)
        with disk_errors(path):
            try:
                with temporary.open("xb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                with self._alone(name):
                    if self._find(name) is not None:
                        raise _exists(name)
                    _publish(temporary, path, name)
            except BaseException:
                # What cannot be removed now is hidden, and `clear_unfinished` finds it.
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise

    def take_in(self, file: Path, name: str) -> None:
        """Make a whole, synced file of the same disk a new object; raises as `create`."""
        if self._rights == "read":
            raise Denied(f"{self._standard} is opened for reading alone")
        path = self._ready(name, "standard")
        with disk_errors(path), self._alone(name):
            if self._find(name) is not None:
                raise _exists(name)
            _publish(file, path, name)

    @contextmanager
    def replacing(self, name: str, *, tier: Tier = "standard") -> Iterator[IO[bytes]]:
        """Write an object anew, be there one or none; it changes at once, when the block ends well.

        To mend what is damaged: whole objects never change.
        """
        self._demand_full("replace", name)
        path = self._ready(name, tier)
        temporary = temporary_beside(path)
        with disk_errors(path):
            try:
                with temporary.open("x+b") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                with self._alone(name):
                    temporary.replace(path)
                    sync_folder(path.parent)
                    self._remove_but(tier, name)
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)

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
                    return _info(name, found[0], found[1].stat())
                except FileNotFoundError:
                    continue
        raise _missing(name)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose names begin so; see the port."""
        folder = folder_of_prefix(prefix)
        self._demand_attached()
        seen: dict[str, ObjectInfo] = {}
        # There and back: what moves while this looks is met on one of the two ways.
        for tier in (*TIERS, *reversed(TIERS[:-1])):
            root = self._folders[tier]
            with disk_errors(root):
                for path, status in files_below(root / folder, follows_links=self._follows_links):
                    name = path.relative_to(root).as_posix()
                    if name.startswith(prefix) and name not in seen:
                        seen[name] = _info(name, tier, status)
        yield from (seen[name] for name in sorted(seen))

    def delete(self, name: str) -> None:
        """Remove an object; see the port."""
        self._demand_full("delete", name)
        if self._find(name) is None:
            raise _missing(name)
        with self._alone(name):
            # A move that was broken off leaves it twice.
            if not self._remove_but(None, name):
                raise _missing(name)

    def set_tier(self, name: str, tier: Tier) -> None:
        """Move an object to a tier; see the port."""
        self._demand_full("move", name)
        found = self._find(name, ahead=tier)
        if found is None:
            raise _missing(name)
        target = self._ready(name, tier)
        temporary = temporary_beside(target)
        with disk_errors(target):
            try:
                if found[0] != tier:
                    duplicate(found[1], temporary)
                with self._alone(name):
                    found = self._find(name, ahead=tier)
                    if found is None:
                        raise _missing(name)
                    if found[0] != tier:
                        temporary.rename(target)
                    # Also one who broke off before may have left the new name unsynced.
                    sync_folder(target.parent)
                    self._remove_but(tier, name)
            except FileNotFoundError as error:
                raise _missing(name) from error
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)

    def clear_unfinished(self, *, before: float) -> int:
        """Remove what broken-off writes left; see the port."""
        self._demand_full("clear", "unfinished objects")
        freed = 0
        for tier in TIERS:
            root = self._folders[tier]
            with disk_errors(root):
                for path, status in files_below(root, unfinished=True):
                    if status.st_mtime < before:
                        path.unlink(missing_ok=True)
                        # A name linked but not yet rid of its first name takes no room of its own.
                        freed += status.st_size if status.st_nlink == 1 else 0
        return freed

    def path(self, name: str) -> Path:
        """Return where an object lies now; ObjectNotFound when there is none."""
        found = self._find(name)
        if found is None:
            raise _missing(name)
        return found[1]

    def clear_abandoned(self) -> None:
        """Remove what killed processes of this machine left half written; whole objects are never touched."""
        for root in set(self._folders.values()):
            with disk_errors(root):
                for path, _ in files_below(root, unfinished=True):
                    match = _UNFINISHED.fullmatch(path.name)
                    if match is not None and not is_alive(int(match[1])):
                        path.unlink(missing_ok=True)

    @property
    def folder(self) -> Path:
        """Where the objects of the standard tier lie."""
        return self._standard

    def tier_folder(self, tier: Tier) -> Path:
        """Return the folder of a tier, which may not exist before something lies there."""
        return self._folders[tier]

    def _demand_full(self, deed: str, name: str) -> None:
        if self._rights != "full":
            raise Denied(f"not allowed to {deed} {name}: {self._standard} is opened to {self._rights} only")

    def _demand_apart(self) -> None:
        places = {
            tier: Path(os.path.realpath(self._folders[tier])) for tier in ("standard", *self._elsewhere)
        }
        for tier, place in places.items():
            for other, its_place in places.items():
                if tier != other and place.is_relative_to(its_place):
                    raise Misconfigured(
                        f"the tier {tier} may not lie in the folder of {other}: {self._folders[tier]}",
                        hint=f"set storage.{other if tier == 'standard' else tier} to a folder of its own",
                    )

    def _demand_attached(self) -> None:
        """Refuse to guess while the folder of a tier that is in use cannot be seen."""
        for tier in self._elsewhere:
            if self._note_of(tier).exists() and not (self._folders[tier] / _MARK).exists():
                raise Unavailable(
                    f"the folder of the tier {tier} is not there: {self._folders[tier]}",
                    hint=f"attach its disk, or set storage.{tier} to where its files lie now",
                )

    def _note_of(self, tier: Tier) -> Path:
        return self._standard / f".{tier}-is-used"

    def _ready(self, name: str, tier: Tier) -> Path:
        """Return the path of a name in a tier, with the folder that it needs."""
        path, root = self._path(name, tier), self._folders[tier]
        with disk_errors(path):
            # A place for backups is there by now, and others may be given rights in it.
            make_folder(self._standard, is_private=True)
            if tier in self._elsewhere and not ((root / _MARK).exists() and self._note_of(tier).exists()):
                self._demand_attached()
                make_folder(root, is_private=True)
                write_bytes(root / _MARK, f"the tier {tier} of {self._standard}\n".encode())
                write_bytes(self._note_of(tier), f"{root}\n".encode())
            try:
                make_folder(path.parent)
            except (FileExistsError, NotADirectoryError) as error:
                raise ObjectExists(f"a part of the name {name} is an object itself") from error
        return path

    def _alone(self, name: str) -> FileLock:
        number = zlib.crc32(name.encode()) % _LOCKS
        lock = self._standard / ".locks" / f"{number:02x}.lock"
        return FileLock(lock, purpose=f"work on {name}", wait=True)

    def _find(self, name: str, *, ahead: Tier | None = None) -> tuple[Tier, Path] | None:
        for tier in sorted(TIERS, key=lambda tier: tier != ahead):
            path = self._path(name, tier)
            with disk_errors(path):
                try:
                    # Another's link is no object of ours.
                    if stat.S_ISREG(path.stat(follow_symlinks=self._follows_links).st_mode):
                        return tier, path
                except (FileNotFoundError, NotADirectoryError):
                    continue
        self._demand_attached()
        return None

    def _remove_but(self, kept: Tier | None, name: str) -> bool:
        """Remove a name from all tiers but one; tell whether there was any."""
        removed = False
        for tier in TIERS:
            path = self._path(name, tier)
            if tier != kept:
                with disk_errors(path), suppress(FileNotFoundError, NotADirectoryError):
                    path.unlink()
                    removed = True
                    sync_folder(path.parent)
        return removed

    def _path(self, name: str, tier: Tier) -> Path:
        return self._folders[tier] / demand_name(name)


def tier_folders(standard: Path, others: Mapping[Tier, Path]) -> dict[Tier, Path]:
    """Return a folder for each tier; those that were not chosen lie beside standard's."""
    beside: dict[Tier, Path] = {
        tier: standard.with_name(f"{standard.name}-{tier}") for tier in TIERS if tier != "standard"
    }
    return {**beside, **others, "standard": standard}


def _publish(temporary: Path, path: Path, name: str) -> None:
    """Give a written file its name, for good; or leave no trace of it."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise _exists(name) from None
    except OSError as error:
        if error.errno not in NO_SECOND_NAMES:
            raise
        temporary.rename(path)
    else:
        # Before the sync, which then serves both; what cannot be removed now is found by `clear_unfinished`.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    try:
        sync_folder(path.parent)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _info(name: str, tier: Tier, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(name, status.st_size, status.st_mtime, tier)


def _exists(name: str) -> ObjectExists:
    return ObjectExists(f"there is an object {name} already")


def _missing(name: str) -> ObjectNotFound:
    return ObjectNotFound(f"there is no object {name}")
