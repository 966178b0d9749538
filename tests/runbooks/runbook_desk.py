"""A machine with a data folder, two places for backups, and the words on paper, for the runbooks."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from audobon.backup.repository import Repository, open_repository
from audobon.database.restoring import restore_database
from audobon.keys.service import Keys
from audobon.keys.unlocking import open_keys
from audobon.sqlite import connect_to_look
from audobon.storage.service import Storage

PROGRAM = Path(sys.executable).with_name("audobon")
DATA = Path(".local/share/audobon")
# Each backup leaves a mark in the database: that is all a backup changes.
_CHANGED_BY_BACKUPS = ("backup_mark", "sqlite_sequence")


@dataclass(frozen=True)
class State:
    """Everything a data folder holds: jobs as listed, blobs byte for byte, rows of the database."""

    jobs: list[dict[str, Any]]
    blobs: dict[str, bytes]
    rows: dict[str, list[tuple[Any, ...]]]


@dataclass
class Desk:
    """One machine: a home, and disks below /media. The pages name both as a person would.

    names  what the pages call something: what it is called here
    state  what the data folder held when the newest backup was made
    """

    root: Path
    home: Path
    names: dict[str, str] = field(default_factory=dict)
    state: State | None = field(default=None, repr=False)

    @property
    def folder(self) -> Path:
        return self.home / DATA

    @property
    def backup(self) -> Path:
        return self.root / "media" / "backup" / "audobon"

    @property
    def offsite(self) -> Path:
        return self.root / "media" / "offsite" / "audobon"

    @property
    def unlock(self) -> Path:
        return self.home / ".config" / "audobon" / "keyrings"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
        }

    def audobon(self, *arguments: object, status: int = 0) -> str:
        """Run the command; return what it printed on standard output."""
        done = subprocess.run(
            [str(PROGRAM), *map(str, arguments)],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def told(self, *arguments: object) -> Any:
        """Run the command and return its JSON."""
        return json.loads(self.audobon(*arguments, "--json"))

    def placed(self, command: str) -> str:
        """Return a command of a page as it is typed here."""
        for page, here in self.names.items():
            command = command.replace(page, here)
        return re.sub(r"(?<![\w.])/media/", f"{self.root}/media/", command)

    def unplaced(self, printed: str) -> str:
        """Return what was printed here as the pages have it."""
        for page, here in self.names.items():
            # A bare number could be any.
            if not here.isdecimal():
                printed = printed.replace(here, page)
        return printed.replace(f"{self.root}/media/", "/media/").replace(str(self.home), "~")

    def keys(self, folder: Path) -> Keys:
        return open_keys(folder, unlock_folder=self.unlock)

    def repository(self, place: Path) -> Repository:
        return open_repository(place, None, rights="create")

    def look(self, folder: Path | None = None) -> State:
        """Return everything that a data folder holds now."""
        folder = folder or self.folder
        chosen = self.environment | {"AUDOBON_STORAGE_FOLDER": str(folder)}
        listed = subprocess.run(
            [str(PROGRAM), "jobs", "list", "--json"], env=chosen, capture_output=True, check=True
        )
        with closing(self.keys(folder)) as keys, closing(Storage(folder, keys)) as storage:
            blobs = {key: storage.get(key) for key in list(storage.keys())}
        return State(json.loads(listed.stdout), blobs, rows(folder / "audobon.db"))

    def rows_at(self, commit: int) -> dict[str, list[tuple[Any, ...]]]:
        """Return the rows of the database after a commit, as the first place has them."""
        into = self.root / f"commit-{commit}.db"
        with closing(self.keys(self.folder)) as keys:
            restore_database(self.repository(self.backup).store, keys, into, to=commit)
        return rows(into)

    def move_to(self, home: Path) -> None:
        """Go on at another machine, where nothing but the words on paper is."""
        paper = (self.home / "words.txt").read_text(encoding="utf-8")
        home.mkdir()
        (home / "words.txt").write_text(paper, encoding="utf-8")
        self.home = home


def rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of a database that a backup leaves as they are, by table."""
    with closing(connect_to_look(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: sorted((tuple(row) for row in connection.execute(f"SELECT * FROM {name}")), key=repr)
            for (name,) in tables
            if name not in _CHANGED_BY_BACKUPS
        }


def draw_comic(folder: Path, *, offset: int) -> None:
    """Draw three small pages."""
    folder.mkdir()
    for number in range(1, 4):
        page = Image.new("L", (160, 240), 255)
        pen = ImageDraw.Draw(page)
        pen.rectangle((10, 10, 150, 110), outline=0, width=3)
        pen.ellipse((offset + number * 10, 130, 120, 220), outline=0, width=2)
        page.save(folder / f"page-{number}.png")


def make_desk(root: Path) -> Desk:
    """Make a desk by the commands a person types: two real runs, two places, a backup, the words."""
    desk = Desk(root, root / "home")
    desk.home.mkdir(parents=True)
    settings = desk.home / ".config" / "audobon" / "audobon.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('[logs]\nlevel = "info"\n', encoding="utf-8")
    draw_comic(desk.home / "wren", offset=20)
    desk.audobon("run", "clean", "wren", "-o", "wren-clean")
    draw_comic(desk.home / "heron", offset=30)
    cut = desk.home / "heron" / "page-2.png"
    # A job that is not done keeps its pages.
    cut.write_bytes(cut.read_bytes()[:200])
    desk.audobon("run", "clean", "heron", "-o", "heron-clean", status=10)
    desk.audobon("storage", "put", "wren/page-1.png")
    for place in (desk.backup, desk.offsite):
        place.parent.mkdir(parents=True)
        desk.audobon("backup", "add", place)
    desk.audobon("backup", "now")
    desk.audobon("keys", "export-recovery", "--output", "words.txt")
    return desk


def keep_aside(desk: Desk, aside: Path) -> None:
    """Keep a desk as it is."""
    # A pipe by which processes wake each other is no file.
    shutil.copytree(desk.root, aside, symlinks=True, ignore=shutil.ignore_patterns("wake"))


def put_back(aside: Path, root: Path) -> Desk:
    """Return a desk that was kept, where it was: backups name the places by where they lie."""
    shutil.rmtree(root)
    shutil.copytree(aside, root, symlinks=True)
    desk = Desk(root, root / "home")
    desk.state = desk.look()
    return desk


def damage(path: Path) -> None:
    """Write noise over a file, its size staying."""
    noise = os.urandom(path.stat().st_size)
    path.chmod(0o600)
    path.write_bytes(noise)


def database_revision(path: Path) -> str:
    """Return the schema of a database, changing nothing."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
