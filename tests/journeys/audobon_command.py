"""The installed `audobon` command, run as its users run it, in a home of its own."""

import ctypes
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audobon.jobs.records import entry_row
from audobon.keys.service import Keys
from audobon.keys.unlocking import open_keys
from audobon.models.card import built_in_card
from audobon.models.preparing import prepare_apart
from audobon.models.store import is_prepared
from audobon.queue.sealing import cell_context

PROGRAM = Path(sys.executable).with_name("audobon")
DEADLINE_SECONDS = 60.0

_WORKER, _CODEC = "audobon.jobs.worker", "audobon.compute.codec_process"
# source: linux/prctl.h and linux/capability.h
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2


@dataclass(frozen=True)
class Outcome:
    """How a command ended; `told` is `err` with what differs from run to run made equal."""

    status: int
    out: str
    err: str

    @property
    def told(self) -> str:
        return settled(self.err)


def settled(text: str) -> str:
    """Return what a command said with times, sizes and job ids replaced by letters."""
    text = re.sub(r"  \((?:about|up to|less than)?[\w .-]*? left\)", "", text)
    text = re.sub(r"\d+\.\d+ s\b", "T s", text)
    text = re.sub(r"\d+ MB in all", "N MB in all", text)
    return re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}", "JOB", text)


def wait_until(condition: Callable[[], Any], what: str, *, seconds: float = DEADLINE_SECONDS) -> Any:
    """Return the first true answer of a condition; fail when there is none in time."""
    until = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < until, f"waited in vain until {what}"
        time.sleep(0.01)
    return answer


def parent_of(pid: int) -> int:
    """Return the process id of a process's parent; 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def without_privileges() -> None:
    """Make permissions count for the program to be started, even when root starts it."""
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


class Audobon:
    """The command in a folder of its own, with a data folder and a home nobody else uses."""

    def __init__(self, folder: Path, models: Path) -> None:
        self.folder = folder / "desk"
        self.data = folder / "data"
        self.home = folder / "home"
        for path in (self.folder, self.data, self.home):
            path.mkdir()
        self._models = models
        (self.data / "models").symlink_to(models, target_is_directory=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_DATA_HOME": str(self.home / "share"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "AUDOBON_STORAGE_FOLDER": str(self.data),
        }

    def prepare(self, *names: str) -> None:
        """Have models prepared, so that no run of the command has to speak of it."""
        for name in names:
            if not is_prepared(built_in_card(name), self._models):
                prepare_apart(built_in_card(name), self._models)

    def start(self, *arguments: object, **options: Any) -> "subprocess.Popen[str]":
        """Start the command; options go to Popen, `env` is added to the environment."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        options["env"] = self.environment | options.get("env", {})
        command = [str(PROGRAM), *map(str, arguments)]
        return subprocess.Popen(command, cwd=self.folder, encoding="utf-8", **options)

    def run(self, *arguments: object, **options: Any) -> Outcome:
        """Run the command to its end; a traceback is never an answer."""
        outcome = self.outcome(self.start(*arguments, **options))
        assert "Traceback" not in outcome.err, outcome.err
        return outcome

    def outcome(self, process: "subprocess.Popen[str]") -> Outcome:
        out, err = process.communicate(timeout=DEADLINE_SECONDS)
        return Outcome(process.returncode, out, err)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return rows of the database; [] while it does not exist yet."""
        path = self.data / "audobon.db"
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
                return connection.execute(sql).fetchall()
        except sqlite3.OperationalError:
            return []

    def done_events(self) -> list[tuple[str, int]]:
        """Return how often each page was finished by work of its own, over all jobs."""
        rows = self.query(
            "SELECT entry.name, entry.job_id, entry.ordinal FROM task"
            " JOIN entry ON entry.job_id = task.job_id AND entry.ordinal = task.ordinal"
            " WHERE task.state = 'done' AND task.attempt > 0"
        )
        with closing(self.keys()) as keys:
            names = [
                keys.unseal_text(name, context=cell_context("entry.name", entry_row(job_id, ordinal)))
                for name, job_id, ordinal in rows
            ]
        return sorted(Counter(names).items())

    def event_details(self, kind: str) -> list[str]:
        """Return what was noted with every event of a kind."""
        rows = self.query(f"SELECT detail, task_id FROM task_event WHERE kind = '{kind}' ORDER BY id")
        with closing(self.keys()) as keys:
            return [
                keys.unseal_text(detail, context=cell_context("task_event.detail", task))
                for detail, task in rows
            ]

    def keys(self) -> Keys:
        """Return the keyring of the data folder, as its owner has it."""
        return open_keys(self.data, unlock_folder=self.home / "config" / "audobon" / "keyrings")

    def finished_pages(self) -> int:
        return int(self.query("SELECT count(*) FROM task WHERE state = 'done'")[0][0])

    def wait_for_work_after(self, pages: int) -> None:
        """Return when this many pages are finished and another is under way."""
        counts = "SELECT coalesce(sum(state = 'done'), 0), coalesce(sum(state = 'leased'), 0) FROM task"

        def is_so() -> bool:
            rows = self.query(counts)
            return bool(rows) and rows[0][0] >= pages and rows[0][1] > 0

        wait_until(is_so, f"{pages} pages are finished and another is under way")

    def processes(self) -> dict[int, str]:
        """Return the living processes of this data folder: id and command line."""
        mark = f"AUDOBON_STORAGE_FOLDER={self.data}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(folder.name)] = line
            except OSError:
                # It ended between being listed and being read.
                continue
        return found

    def workers(self) -> list[int]:
        """Return the workers; a child that one just forked bears its command line, until it is a codec."""
        found = [pid for pid, line in self.processes().items() if _WORKER in line]
        return [pid for pid in found if parent_of(pid) not in found]

    def codecs_of(self, parent: int) -> list[int]:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        lines = self.processes()
        return [int(pid) for pid in children if _CODEC in lines.get(int(pid), "")]

    def wait_until_all_ended(self) -> None:
        wait_until(lambda: not self.processes(), "no process is left")

    def kill_all(self) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)

    def leftovers(self) -> list[str]:
        """Return unfinished files, wherever the command may have put them."""
        parts = [path for path in self.folder.rglob("*") if path.name.endswith(".part")]
        incoming = list((self.data / "blobs" / ".incoming").glob("*"))
        return [str(path) for path in parts + incoming]

    def files(self) -> list[str]:
        """Return every file on the desk, by its path."""
        return sorted(
            path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()
        )
