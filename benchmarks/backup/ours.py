"""Audobon as a program that keeps copies: files into its storage, and that into a place, by its commands."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from backup.contenders import Contender

ROOT = Path(__file__).parents[2]
AUDOBON = ROOT / ".venv" / "bin" / "audobon"


class Ours(Contender):
    """`audobon storage put` of every file: encrypted, each stored once, on the disk when it returns."""

    name = "audobon"

    def version(self) -> str | None:
        return self._audobon("--version").strip()

    def begin(self) -> None:
        super().begin()
        self.copy.mkdir(parents=True)
        self._keys: dict[str, str] = {}
        # As `restic init`: the keyring is there before the clock runs.
        first = self.folder / "first.txt"
        first.write_text("the first blob makes the keyring and the index")
        self._audobon("storage", "put", first)

    def keep(self, source: Path) -> None:
        told = json.loads(self._audobon("storage", "put", "--json", source))
        self._keys = {str(Path(each["file"]).relative_to(source)): each["key"] for each in told}

    def restore(self, source: Path, target: Path) -> None:
        self._write_out(self.copy / "data", target)

    def begin_place(self) -> None:
        """Begin backups in a place beside."""
        self._audobon("backup", "add", self.copy / "place")

    def back_up(self) -> None:
        """Bring what was kept into the place."""
        self._audobon("backup", "now")

    def restore_place(self, target: Path) -> None:
        """Bring the whole data folder back from the place, and write its files out."""
        self._audobon("backup", "restore", "--into", self.copy / "restored")
        self._write_out(self.copy / "restored", target)

    def check(self) -> bool | None:
        # Whatever is damaged ends it with another status than 0.
        self._audobon("backup", "verify")
        return True

    def size_bytes(self) -> int:
        """Return what the place takes."""
        return sum(path.stat().st_size for path in (self.copy / "place").rglob("*") if path.is_file())

    def _write_out(self, data: Path, target: Path) -> None:
        listed = self.folder / "keys.json"
        listed.write_text(json.dumps(self._keys), encoding="utf-8")
        command = [sys.executable, __file__, data, self.copy / "config" / "audobon", listed, target]
        self._run(command)
        os.sync()

    def _audobon(self, *arguments: str | Path) -> str:
        return self._run([AUDOBON, *arguments])

    def _run(self, command: list[str | Path]) -> str:
        environment = {
            **os.environ,
            "AUDOBON_STORAGE_FOLDER": str(self.copy / "data"),
            "XDG_CONFIG_HOME": str(self.copy / "config"),
            "HOME": str(self.copy),
            "PYTHONPATH": str(ROOT / "benchmarks"),
        }
        # As a person has it: Python compiles what it loads once.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        done = subprocess.run(
            [str(part) for part in command], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"{command[:3]} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout


def write_out(data: Path, config: Path, listed: Path, target: Path) -> None:
    """Write every listed blob of a data folder to its file, two at a time as all that is restored."""
    from audobon.backup.copying import at_once
    from audobon.keys.unlocking import open_keys
    from audobon.storage.service import Storage

    keys = open_keys(data, unlock_folder=config / "keyrings")
    with closing(Storage(data, keys)) as storage:

        def write(named: tuple[str, str]) -> None:
            path = target / named[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                storage.copy_to(named[1], file)

        for _ in at_once(write, json.loads(listed.read_text(encoding="utf-8")).items()):
            pass


if __name__ == "__main__":
    write_out(*(Path(argument) for argument in sys.argv[1:]))
