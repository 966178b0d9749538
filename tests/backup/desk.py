"""A data folder with jobs and blobs, and places for its backups, for tests."""

import random
from contextlib import closing
from pathlib import Path

from audobon.backup.keyrings import from_folder
from audobon.backup.places import Places
from audobon.backup.repository import Repository, open_repository
from audobon.backup.restoring import Point, Restorer
from audobon.backup.rules import KeepRules
from audobon.backup.service import Backups
from audobon.backup.sources import Sources, tell_nobody
from audobon.backup.standing import Limits
from audobon.database.service import Database
from audobon.keys.service import PERSONAL, Keys
from audobon.keys.unlocking import open_keys
from audobon.storage.port import Rights
from audobon.storage.service import Storage
from audobon.telemetry.logs import Log

HOUR = 3600.0
DAY = 24 * HOUR


class Desk:
    """One machine: a data folder, its keyring, its backups. `now` is its clock."""

    def __init__(self, root: Path, *, name: str = "data") -> None:
        self.root = root
        self.folder = root / name
        self.unlock = root / "keyrings"
        self.now = 1_800_000_000.0
        self.keys = open_keys(self.folder, unlock_folder=self.unlock, protector="unlock-file")
        self.storage = Storage(self.folder, self.keys)
        self.database = Database(self.folder)
        self.chance = random.Random(7)
        self.sources = Sources(
            folder=self.folder,
            keys=self.keys,
            storage=self.storage,
            database=self.database,
            settings_file=root / "audobon.toml",
            clock=lambda: self.now,
        )
        self.log = Log(self.folder, self.keys.seal_text, level="info")
        self.backups = Backups(
            self.sources,
            Places(self.folder, []),
            self.log,
            limits=Limits(),
            rules=KeepRules(),
        )
        self.place = root / "place"

    def put(self, size_bytes: int = 10_000, *, subject: str = PERSONAL) -> str:
        return self.storage.put(self.chance.randbytes(size_bytes), subject=subject, kind="page")

    def add_job(self, name: str, keys: list[str]) -> None:
        """Record an unfinished job whose pages are these blobs."""
        with closing(self.database.open()) as connection:
            connection.execute(
                "INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
                " VALUES (?, ?, 'upscale', '{}', '/comic', 'folder', 'interrupted', ?)",
                (name, name, self.now),
            )
            for ordinal, key in enumerate(keys):
                connection.execute(
                    "INSERT INTO entry (job_id, ordinal, name, is_page, blob, size_bytes)"
                    " VALUES (?, ?, ?, 1, ?, 1)",
                    (name, ordinal, f"page{ordinal:02}.png", key),
                )

    def repository(self, rights: Rights = "read", *, place: Path | None = None) -> Repository:
        return open_repository(place or self.place, self.keys, rights=rights)

    def open_keys(self, folder: Path) -> Keys:
        return open_keys(folder, unlock_folder=self.unlock)

    def restorer(self, *, place: Path | None = None) -> Restorer:
        return Restorer(
            self.repository(place=place),
            from_folder(self.folder),
            self.open_keys,
            self.backups.ledgers(),
            tell_nobody,
        )

    def restore(self, into: Path, *, number: int | None = None) -> None:
        repository = self.repository()
        stored = repository.newest() if number is None else repository.manifest(number)
        assert stored is not None
        self.restorer().restore(Point([stored]), into)

    def objects(self, prefix: str = "", *, place: Path | None = None) -> list[str]:
        return [info.name for info in self.repository(place=place).store.list(prefix)]

    def close(self) -> None:
        self.log.close()
        self.storage.close()
        self.keys.close()


def files_below(folder: Path) -> dict[str, tuple[int, int]]:
    """Return every file with its inode and change time: what must not be touched."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def flip(path: Path, chance: random.Random) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data))
    data[at] ^= 1 << chance.randrange(8)
    before = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(data)
    assert path.read_bytes() != before
