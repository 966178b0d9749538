"""Kills the processes of the real command at random instants, and compares the books that come out."""

import io
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PROGRAM = Path(sys.executable).with_name("audobon")
_PAGES = 12
_RUNS = 2
_MOST_SECONDS = 1800.0
_OPERATIONS = (("upscale", "cbz"), ("clean", "cbz"), ("panels", "json"))
_KINDS = {"worker": "audobon.jobs.worker", "codec": "audobon.compute.codec_process"}


class Book:
    """A book of small pages, no two alike, and the command that works on it."""

    def __init__(self, folder: Path, number: int) -> None:
        self.operation, ending = _OPERATIONS[number % len(_OPERATIONS)]
        self.source = folder / f"book-{number}.cbz"
        self.target = folder / f"out-{number}.{ending}"
        draw = np.random.default_rng(number)
        with zipfile.ZipFile(self.source, "w") as book:
            for page in range(_PAGES):
                file = io.BytesIO()
                Image.fromarray(draw.integers(0, 255, (24, 32, 3), np.uint8)).save(file, "PNG")
                book.writestr(f"{page:03}.png", file.getvalue())

    def command(self, target: Path, *, again: bool) -> list[str]:
        """Return the command; the second time it may replace pages that were given up."""
        line = [str(PROGRAM), "run", self.operation, str(self.source), "-o", str(target), "--quiet"]
        return [*line, "--overwrite"] if again else line

    def contents(self, target: Path) -> list[bytes]:
        """Return what is to be equal in every run."""
        if target.suffix == ".json":
            return [target.read_bytes()]
        with zipfile.ZipFile(target) as book:
            return [book.read(name) for name in book.namelist()]


class ProductStorm:
    """`audobon up`, two of `audobon run`, and a hand that kills one of their processes again and again."""

    def __init__(self, folder: Path, *, kills: int, seed: int) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._kills, self._draw = kills, random.Random(seed)
        self._up: subprocess.Popen[bytes] | None = None
        self._runs: dict[subprocess.Popen[bytes], Book] = {}
        self._tries: Counter[Path] = Counter()
        self._waiting: list[Book] = []
        self._made = 0
        self._done: list[Book] = []
        self.killed: Counter[str] = Counter()

    def run(self) -> dict[str, Any]:
        """Return what was done and what was found wrong."""
        until = time.monotonic() + _MOST_SECONDS
        try:
            while self.killed.total() < self._kills and time.monotonic() < until:
                self._keep_going(new_books=True)
                time.sleep(self._draw.expovariate(1 / 0.6))
                self._strike()
            while (self._runs or self._waiting) and time.monotonic() < until:
                self._keep_going(new_books=False)
                time.sleep(0.05)
            unfinished = len(self._runs) + len(self._waiting)
        finally:
            for process in [*self._runs, *([self._up] if self._up else [])]:
                process.kill()
                process.wait()
        orphans = self._wait_for_none_left()
        return self._judge(unfinished=unfinished, orphans=orphans)

    def _environment(self, data: str) -> dict[str, str]:
        return {**os.environ, "AUDOBON_STORAGE_FOLDER": str(self._folder / data), "HOME": str(self._folder)}

    def _keep_going(self, *, new_books: bool) -> None:
        if self._up is None or self._up.poll() is not None:
            self._up = self._start([str(PROGRAM), "up"])
        for process, book in list(self._runs.items()):
            status = process.poll()
            if status is None:
                continue
            del self._runs[process]
            (self._done if status == 0 else self._waiting).append(book)
        while len(self._runs) < _RUNS:
            if not self._waiting:
                if not new_books:
                    return
                self._made += 1
                self._waiting.append(Book(self._folder, self._made))
            book = self._waiting.pop(0)
            self._tries[book.source] += 1
            command = book.command(book.target, again=self._tries[book.source] > 1)
            self._runs[self._start(command)] = book

    def _start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command,
            env=self._environment("data"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _strike(self) -> None:
        kind = self._draw.choices(["worker", "codec", "up", "run"], [4, 2, 2, 2])[0]
        if kind == "up":
            pids = [self._up.pid] if self._up is not None and self._up.poll() is None else []
        elif kind == "run":
            pids = [process.pid for process in self._runs if process.poll() is None]
        else:
            pids = [pid for pid, line in self._processes().items() if _KINDS[kind] in line]
        if pids:
            try:
                os.kill(self._draw.choice(pids), signal.SIGKILL)
            except ProcessLookupError:
                return
            self.killed[kind] += 1

    def _processes(self) -> dict[int, str]:
        """Return the living processes of this storm: id and command line."""
        mark = f"AUDOBON_STORAGE_FOLDER={self._folder / 'data'}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(folder.name)] = line
            except OSError:
                continue
        return found

    def _wait_for_none_left(self) -> int:
        until = time.monotonic() + 10
        while (left := self._processes()) and time.monotonic() < until:
            time.sleep(0.05)
        return len(left)

    def _judge(self, *, unfinished: int, orphans: int) -> dict[str, Any]:
        different = 0
        for book in self._done:
            quiet = book.target.with_name("quiet-" + book.target.name)
            subprocess.run(book.command(quiet, again=False), env=self._environment("quiet"), check=True)
            different += book.contents(quiet) != book.contents(book.target)
        leftovers = list(self._folder.glob("*.part"))
        return {
            "kills": dict(sorted(self.killed.items())),
            "books": len(self._done),
            "pages": _PAGES * len(self._done),
            "commands_started": self._tries.total(),
            "wrong": {
                "books that never came out": unfinished,
                "books that differ from an undisturbed run": different,
                "processes that outlived their engine": orphans,
                "half files left": len(leftovers),
            },
        }
