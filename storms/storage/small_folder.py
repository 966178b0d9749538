"""A small real data folder with two backup places, and ways to look at it and mend it."""

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from audobon.backup.places import Places
from audobon.backup.rules import KeepRules
from audobon.backup.service import Backups
from audobon.backup.sources import Sources
from audobon.backup.standing import Limits
from audobon.database.service import Database
from audobon.keys.unlocking import open_keys
from audobon.storage.service import Storage
from audobon.telemetry.logs import Log

Tree = dict[str, bytes]


@contextmanager
def opened(root: Path) -> Iterator[Backups]:
    """Open everything anew, as a command does."""
    folder = root / "data"
    keys = open_keys(folder, unlock_folder=root / "keyrings", protector="unlock-file")
    storage = Storage(folder, keys, scrub_days=30)
    sources = Sources(
        folder=folder,
        keys=keys,
        storage=storage,
        database=Database(folder),
        settings_file=root / "audobon.toml",
    )
    log = Log(folder, keys.seal_text, level="info")
    try:
        yield Backups(sources, Places(folder, []), log, limits=Limits(), rules=KeepRules(last=1))
    finally:
        log.close()
        for each in (storage, keys):
            with suppress(Exception):
                each.close()


def build(root: Path, seed: int) -> list[Tree]:
    """Build it; return its files as they were now and then, at last as they are."""
    chance = random.Random(seed)
    (root / "audobon.toml").write_text("[memory]\nshare = 0.4\n")
    trees: list[Tree] = []
    model = root / "data" / "user-models" / "mine" / "card.toml"
    model.parent.mkdir(parents=True)
    model.write_text('name = "mine"\n' * 20)
    for turn in range(4):
        with opened(root) as backups:
            sources = backups.sources
            if turn == 0:
                for name in ("place-a", "place-b"):
                    backups.add(root / name)
            anna = sources.keys.subject(f"Anna {turn}")
            pages = []
            for number in range(4):
                for subject in ("personal", anna):
                    text = b"a page of a comic " * chance.randrange(10, 2000)
                    data = text if number % 2 else chance.randbytes(chance.randrange(100, 20_000))
                    kind = ("page", "result", "user")[number % 3]
                    pages.append(sources.storage.put(data, subject=subject, kind=kind))  # type: ignore[arg-type]
            if turn == 1:
                pages.append(sources.storage.put(chance.randbytes(1_100_000), kind="page"))
                pages.append(sources.storage.put(b"wide and even " * 100_000, kind="page"))
            sources.storage.annotate(pages[:2], temporary_hold=True)
            if turn:
                sources.storage.remove([pages[4]])
            _add_job(sources, f"job{turn}", pages, chance)
            if turn == 2:
                gone = sources.keys.subject("Gone")
                sources.storage.put(b"of somebody who left" * 100, subject=gone)
                sources.keys.erase(gone)
                sources.storage.erase_subject(gone)
            if turn != 1:
                backups.make()
            if turn == 2:
                backups.prune(is_dry=False)
        trees.append(read(root))
    return trees


def _add_job(sources: Sources, name: str, pages: list[str], chance: random.Random) -> None:
    with closing(sources.database.open()) as connection:
        connection.execute(
            "INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
            " VALUES (?, ?, 'upscale', '{}', ?, 'folder', 'interrupted', 1.0)",
            (name, name, "/comics/" + "x" * chance.randrange(2000)),
        )
        for ordinal, key in enumerate(pages):
            connection.execute(
                "INSERT INTO entry (job_id, ordinal, name, is_page, blob, size_bytes)"
                " VALUES (?, ?, ?, 1, ?, 1)",
                (name, ordinal, f"page{ordinal:02}.png", key),
            )


def read(root: Path) -> Tree:
    """Return every file that counts, by its path."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and counts(path.relative_to(root))
    }


def counts(path: Path) -> bool:
    """Tell whether a file holds what must not be lost: no lock, no note of a process, no log."""
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and not set(path.parts) & {"locks", "logs"} and not path.name.endswith("-shm")
