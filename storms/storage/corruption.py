"""Damages one thing of a small real data folder at a time: is it noticed, and is it mended?"""

import os
import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from small_folder import build, opened

from audobon.backup.checking import Part, check_part
from audobon.backup.service import Backups
from audobon.database.copies import own_copy
from audobon.database.restoring import restore_database
from audobon.errors import AudobonError

_KINDS = ("flip", "flip", "flip", "flip", "truncate", "delete", "swap", "replay")


class Damage(NamedTuple):
    """What is done: new bytes of files, None for a file that is gone."""

    kind: str
    files: dict[str, bytes | None]

    @property
    def path(self) -> str:
        """The first file."""
        return next(iter(self.files))


class CorruptionStorm:
    """Damages a data folder again and again; each time it is whole again before.

    breaking  a checker that is broken on purpose: it finds nothing
    of        damage only files whose path holds this
    """

    def __init__(
        self, root: Path, *, damages: int, seed: int, breaking: Part | None = None, of: str = ""
    ) -> None:
        self._root = root
        self._damages = damages
        self._chance = random.Random(seed)
        self._breaking = breaking
        self._trees = build(root, seed)
        self._whole = {
            path: data for path, data in self._trees[-1].items() if is_damaged_here(path) and of in path
        }
        self._aside = root.with_name(root.name + ".aside")
        shutil.copytree(root, self._aside, symlinks=True)
        self._noted = self._notes()
        self.told: list[str] = []
        self._found: Counter[str] = Counter()
        self._by: Counter[str] = Counter()
        self._mended: Counter[str] = Counter()
        self._same: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter(
            {"not noticed": 0, "a second copy did not mend it": 0, "sound, and blamed": 0}
        )

    def run(self) -> dict[str, Any]:
        """Return what was found."""
        for part in ("keys", "storage", "database", "places"):
            if faults := self._look(part):
                self._wrong["sound, and blamed"] += 1
                self.told.append(f"sound: {faults}")
        for _ in range(self._damages):
            self._once(self._choose())
        return {
            "damages": self._damages,
            "of_files": dict(sorted(self._found.items())),
            "noticed_by": dict(sorted(self._by.items())),
            "mended": dict(sorted(self._mended.items())),
            "changed_nothing_that_is_stored": dict(sorted(self._same.items())),
            "wrong": dict(self._wrong),
        }

    def _choose(self) -> Damage:
        while True:
            kind = self._chance.choice(_KINDS)
            family = self._chance.choice(sorted({family_of(path) for path in self._whole}))
            paths = [path for path in sorted(self._whole) if family_of(path) == family]
            path = self._chance.choice(paths)
            data = self._whole[path]
            damage = _DAMAGES[kind](self, path, data, paths)
            if damage is not None:
                changed = {name: new for name, new in damage.items() if self._whole.get(name) != new}
                assert changed, "the damage changed nothing"
                return Damage(kind, damage)

    def _flip(self, path: str, data: bytes, _: list[str]) -> dict[str, bytes | None] | None:
        if not data:
            return None
        at = self._chance.randrange(len(data))
        return {path: data[:at] + bytes([data[at] ^ 1 << self._chance.randrange(8)]) + data[at + 1 :]}

    def _truncate(self, path: str, data: bytes, _: list[str]) -> dict[str, bytes | None] | None:
        return {path: data[: self._chance.randrange(len(data))]} if data else None

    def _delete(self, path: str, _: bytes, paths: list[str]) -> dict[str, bytes | None] | None:
        later = [
            each
            for each in paths
            if each != path and each.split("/")[0] == path.split("/")[0] and each[:32] >= path[:32]
        ]
        if family_of(path) in ("place keystores", "place ledger") and later:
            # Nobody needs an older export, or a shorter copy of the ledger.
            return None
        return {path: None}

    def _swap(self, path: str, data: bytes, paths: list[str]) -> dict[str, bytes | None] | None:
        others = [each for each in paths if self._whole[each] != data]
        if family_of(path) == "place files":
            # The same file encrypted twice is as good either way.
            others = [each for each in others if each.split("/")[-1] != path.split("/")[-1]]
        if not others:
            return None
        other = self._chance.choice(others)
        return {path: self._whole[other], other: data}

    def _replay(self, path: str, data: bytes, _: list[str]) -> dict[str, bytes | None] | None:
        if path.endswith("backups.json"):
            # What it knew then is still true.
            return None
        older = [tree[path] for tree in self._trees[:-1] if path in tree and tree[path] != data]
        return {path: self._chance.choice(older)} if older else None

    def _once(self, damage: Damage) -> None:
        part = part_of(damage.path)
        self._found[family_of(damage.path)] += 1
        for path, data in damage.files.items():
            target = self._root / path
            if data is None:
                target.unlink()
            else:
                target.write_bytes(data)
        is_same = self._says_the_same(damage)
        faults = self._look(part)
        if faults:
            self._by[f"{part}: {damage.kind}"] += 1
            self._mend(damage, part)
        elif self._is_back(damage):
            self._mended[f"{family_of(damage.path)}, when it was opened"] += 1
        elif is_same:
            self._same[f"{family_of(damage.path)}: {damage.kind}"] += 1
        else:
            self._wrong["not noticed"] += 1
            self.told.append(f"not noticed: {damage.kind} {list(damage.files)}")
        self._restore()

    def _is_back(self, damage: Damage) -> bool:
        return all(
            (self._root / path).exists() and (self._root / path).read_bytes() == self._whole[path]
            for path in damage.files
        )

    def _look(self, part: Part) -> list[str]:
        if part == self._breaking:
            return []
        with opened(self._root) as backups:
            return check_part(part, backups).faults

    def _mend(self, damage: Damage, part: Part) -> None:
        mend = _MENDING.get(family_of(damage.path))
        if mend is None or not self._has_second_copy(damage):
            return
        try:
            with opened(self._root) as backups:
                mend(backups)
            left = self._look(part)
        except AudobonError as error:
            left = [error.message]
        if left:
            self._wrong["a second copy did not mend it"] += 1
            self.told.append(f"not mended: {damage.kind} {list(damage.files)}: {left[:2]}")
        else:
            self._mended[family_of(damage.path)] += 1

    def _has_second_copy(self, damage: Damage) -> bool:
        """Tell whether what is damaged in a place lies elsewhere: files that hold logs may not."""
        for path in damage.files:
            place, _, inner = path.partition("/")
            other = {"place-a": "place-b", "place-b": "place-a"}.get(place)
            if other is not None and inner.startswith("files/") and f"{other}/{inner}" not in self._whole:
                return False
        return True

    def _says_the_same(self, damage: Damage) -> bool:
        """Tell whether databases say row for row what they said: bytes between rows hold nothing."""
        if damage.path == "data/keyring.id":
            return (damage.files[damage.path] or b"").strip() == self._whole[damage.path].strip()
        return all(
            _database_of(path) is not None
            and _rows(self._root / _database_of(path)) == _rows(self._aside / _database_of(path))  # type: ignore[operator]
            for path in damage.files
        )

    def _notes(self) -> dict[str, tuple[int, int, int]]:
        return {
            str(path.relative_to(self._root)): _note(path)
            for path in self._root.rglob("*")
            if path.is_file() or path.is_symlink()
        }

    def _restore(self) -> None:
        """Make every file what it was."""
        now = self._notes()
        for path in now.keys() - self._noted.keys():
            (self._root / path).unlink(missing_ok=True)
        for path in self._noted:
            if now.get(path) != self._noted[path]:
                target = self._root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):
                    target.unlink()
                shutil.copy2(self._aside / path, target)
                self._noted[path] = _note(target)


def part_of(path: str) -> Part:
    """Return the checker that answers for a file."""
    place, _, inner = path.partition("/")
    if place != "data" or inner in ("places.json", "backups.json"):
        return "places"
    if inner.startswith("keys/") or inner == "keyring.id":
        return "keys"
    return "database" if inner.startswith(("wal/", "audobon.db")) else "storage"


def family_of(path: str) -> str:
    """Return what a file is, for counting."""
    place, _, inner = path.partition("/")
    head = inner.partition("/")[0]
    if place != "data":
        return f"place {head}"
    if inner.startswith("wal/"):
        return "shipped " + ("snapshots" if inner.endswith("snapshot") else "segments")
    return "packs" if head.startswith("blobs") else inner


def is_damaged_here(path: str) -> bool:
    """Tell whether the storm damages a file: what unlocks the keyring and models are a person's own."""
    place, _, inner = path.partition("/")
    return place.startswith(("data", "place")) and not inner.startswith("user-models")


def _mend_storage(backups: Backups) -> None:
    backups.sources.storage.scrubber.scrub(is_all=True, copies=backups)


def _mend_places(backups: Backups) -> None:
    backups.repair()
    backups.raise_failures()


def _mend_database(backups: Backups) -> None:
    sources = backups.sources
    restore_database(own_copy(sources.folder), sources.keys, sources.database.path, overwrite=True)


_MENDING: dict[str, Callable[[Backups], object]] = {
    "packs": _mend_storage,
    "storage.db": _mend_storage,
    "audobon.db": _mend_database,
    "audobon.db-wal": _mend_database,
    "keys/ledger.jsonl": lambda backups: backups.sources.keys.mend_ledger(),
    **{
        f"place {each}": _mend_places
        for each in (
            "packs",
            "files",
            "wal",
            "manifests",
            "keystores",
            "ledger",
            "prunings",
            "repository.json",
        )
    },
}

# What the index notes for its own use, and nothing else knows: when something was read, moved or proved.
_OF_USE_ONLY = {"reads", "last_read_at", "verified_at", "tier_since", "noncurrent_at"}

_DAMAGES = {
    "flip": CorruptionStorm._flip,
    "truncate": CorruptionStorm._truncate,
    "delete": CorruptionStorm._delete,
    "swap": CorruptionStorm._swap,
    "replay": CorruptionStorm._replay,
}


def _note(path: Path) -> tuple[int, int, int]:
    status = os.lstat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _database_of(path: str) -> str | None:
    stem = path.removesuffix("-wal").removesuffix("-journal")
    return stem if stem.endswith(".db") else None


def _rows(path: Path) -> list[str] | None:
    """Return all that a database says, read from a copy so that nothing beside it changes."""
    with tempfile.TemporaryDirectory() as folder:
        for ending in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copy2(f"{path}{ending}", f"{folder}/x.db{ending}")
        try:
            with closing(sqlite3.connect(f"{folder}/x.db")) as connection:
                connection.text_factory = bytes
                tables = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
                said = [repr(tables), repr(connection.execute("PRAGMA user_version").fetchone())]
                for name, sql in tables:
                    if sql is not None and sql.startswith(b"CREATE TABLE"):
                        columns = [
                            row[1].decode()
                            for row in connection.execute(f'PRAGMA table_info("{name.decode()}")')
                            if row[1].decode() not in _OF_USE_ONLY
                        ]
                        chosen = ", ".join(f'"{column}"' for column in columns)
                        rows = connection.execute(f'SELECT {chosen} FROM "{name.decode()}"').fetchall()
                        said.append(repr(sorted(map(repr, rows))))
                return said
        except (sqlite3.Error, UnicodeDecodeError):
            return None
