"""Other programs that keep copies, each at its best: what `cp` does, and restic, borg and rclone encrypted.

Each writes through to the disk before it is done, or is followed by `sync`, so that all promise the same.
"""

import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

PASSWORD = "no secret: it guards random bytes"


class Contender(ABC):
    """A program with a copy of its own below a folder; begun anew with `begin`."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.copy = folder / self.name.replace(" ", "-")

    @abstractmethod
    def version(self) -> str | None:
        """Return its version; None when it is not installed."""

    def begin(self) -> None:
        """Remove what there is, and prepare an empty copy; not timed."""
        shutil.rmtree(self.copy, ignore_errors=True)

    @abstractmethod
    def keep(self, source: Path) -> None:
        """Copy a folder; durable when it returns. A second time, only what changed."""

    @abstractmethod
    def restore(self, source: Path, target: Path) -> None:
        """Write what `keep` took from a folder into a new one."""

    def check(self) -> bool | None:
        """Read every byte of the copy; tell whether all is as written. None when it cannot do that."""
        return None

    def size_bytes(self) -> int:
        """Return what the copy takes."""
        return sum(path.stat().st_size for path in self.copy.rglob("*") if path.is_file())


class RawCopy(Contender):
    """`cp -r`: neither encrypted, nor checked, nor sparing."""

    name = "raw copy"

    def version(self) -> str | None:
        return _first_line(["cp", "--version"])

    def keep(self, source: Path) -> None:
        self.copy.mkdir(parents=True, exist_ok=True)
        _run(["cp", "-r", f"{source}/.", self.copy])
        os.sync()

    def restore(self, source: Path, target: Path) -> None:
        target.mkdir(parents=True)
        _run(["cp", "-r", f"{self.copy}/.", target])
        os.sync()


class Restic(Contender):
    """restic, with its defaults and a cache of its own."""

    name = "restic"

    def version(self) -> str | None:
        return _first_line(["restic", "version"])

    def begin(self) -> None:
        super().begin()
        shutil.rmtree(self.folder / "restic-cache", ignore_errors=True)
        self._restic("init")

    def keep(self, source: Path) -> None:
        self._restic("backup", "--quiet", source)
        os.sync()

    def restore(self, source: Path, target: Path) -> None:
        self._restic("restore", "latest", "--target", target)
        os.sync()

    def check(self) -> bool | None:
        return self._restic("check", "--read-data", check=False) == 0

    def _restic(self, *arguments: str | Path, check: bool = True) -> int:
        environment = {
            **os.environ,
            "RESTIC_REPOSITORY": str(self.copy),
            "RESTIC_PASSWORD": PASSWORD,
            "RESTIC_CACHE_DIR": str(self.folder / "restic-cache"),
        }
        return _run(["restic", *arguments], environment, check=check)


class Borg(Contender):
    """borg, repokey-blake2, without compression of what does not shrink."""

    name = "borg"

    def version(self) -> str | None:
        return _first_line(["borg", "--version"])

    def begin(self) -> None:
        super().begin()
        shutil.rmtree(self.folder / "borg-home", ignore_errors=True)
        self._count = 0
        self._borg("init", "--encryption", "repokey-blake2", self.copy)

    def keep(self, source: Path) -> None:
        self._count += 1
        self._borg("create", "--compression", "auto,lz4", f"{self.copy}::take{self._count}", source)
        os.sync()

    def restore(self, source: Path, target: Path) -> None:
        target.mkdir(parents=True)
        self._borg("extract", f"{self.copy}::take{self._count}", folder=target)
        os.sync()

    def check(self) -> bool | None:
        return self._borg("check", "--verify-data", self.copy, check=False) == 0

    def _borg(self, *arguments: str | Path, check: bool = True, folder: Path | None = None) -> int:
        environment = {
            **os.environ,
            "BORG_PASSPHRASE": PASSWORD,
            "BORG_BASE_DIR": str(self.folder / "borg-home"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        }
        return _run(["borg", *arguments], environment, check=check, folder=folder)


class Rclone(Contender):
    """rclone with its `crypt` layer over a folder, four files at once: no snapshots, nothing shared."""

    name = "rclone crypt"

    def version(self) -> str | None:
        return _first_line(["rclone", "version"])

    def begin(self) -> None:
        super().begin()
        self.copy.mkdir(parents=True)
        shown = subprocess.run(
            ["rclone", "obscure", PASSWORD], capture_output=True, text=True, check=True
        ).stdout.strip()
        (self.folder / "rclone.conf").write_text(
            f"[sealed]\ntype = crypt\nremote = {self.copy}\npassword = {shown}\n", encoding="utf-8"
        )

    def keep(self, source: Path) -> None:
        self._rclone("sync", source, "sealed:")
        os.sync()

    def restore(self, source: Path, target: Path) -> None:
        self._rclone("copy", "sealed:", target)
        os.sync()

    def _rclone(self, *arguments: str | Path) -> None:
        _run(["rclone", "--config", self.folder / "rclone.conf", "--transfers", "4", *arguments])


PEERS: tuple[type[Contender], ...] = (Restic, Borg, Rclone)


def _run(
    command: Sequence[str | Path],
    environment: dict[str, str] | None = None,
    *,
    check: bool = True,
    folder: Path | None = None,
) -> int:
    done = subprocess.run(
        [str(part) for part in command],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode != 0:
        raise SystemExit(f"{command[0]} {command[1]} ended with {done.returncode}:\n{done.stderr}")
    return done.returncode


def _first_line(command: Sequence[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[0]
