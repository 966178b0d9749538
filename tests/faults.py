"""Makes the disk fail, or the process die, at the Nth thing done to files; for tests of any code of ours.

In this process, for errors (counting first shows how many points there are):

    with faults.watching(below=folder) as calls:            # fails nothing, notes every call
        deed()
    for number in range(1, len(calls) + 1):
        with faults.failing(errno.ENOSPC, at=number, below=folder), pytest.raises(DiskFull):
            deed()

In a fork of this process, for deaths (and it says how the deed ended: "done", "killed" or an error's name):

    outcome = 'killed'; number = 0
    while outcome == "killed":
        number += 1
        outcome = faults.in_child(deed, faults.Plan(fault="kill", at=number, below=str(folder)))

In a command and all its children, by the environment (see `environment`):

    subprocess.run([audobon, "storage", "gc"], env=faults.environment(faults.Plan("kill", at=7)))

What counts: writes, truncations, fsyncs, renames, links, unlinks, new folders, changed times, new files,
by `os` or by `open`. What does not: what C code does by itself, as SQLite and mmap; and what a module
took from `os` by `from os import fsync`. Each process counts for itself.
"""

import builtins
import errno
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

import audobon

VARIABLE = "FAULTS_OF_FILES"
Fault = Literal["none", "enospc", "eio", "kill", "kill-after", "torn"]
_NUMBERS = {"enospc": errno.ENOSPC, "eio": errno.EIO}
_BY_PATH = ("rename", "replace", "link", "symlink", "unlink", "remove", "rmdir", "mkdir", "truncate")
_BY_HANDLE = ("fsync", "fdatasync", "ftruncate")
_KILLED = -signal.SIGKILL


class Call(msgspec.Struct, frozen=True):
    """Something done to a file: "write", "fsync", "open" (of a new file), "rename" …, and to which."""

    deed: str
    path: str


class Plan(msgspec.Struct, frozen=True):
    """What goes wrong, and where.

    fault   enospc, eio: the call fails and does nothing; kill: the process dies instead of the call;
            kill-after: right after it; torn: a write lands by half, then the process dies (else as kill)
    at      at which call, from 1; and with `lasting` at all later ones as well (a disk stays full)
    below   only calls on paths that begin so count
    deeds   only these count; none: all
    """

    fault: Fault = "none"
    at: int = 1
    below: str = ""
    deeds: tuple[str, ...] = ()
    lasting: bool = False


class Faults:
    """The shim itself; `calls` lists what was done so far."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.calls: list[Call] = []
        self._undo: list[Callable[[], None]] = []

    def install(self) -> None:
        """Put the shim between Python and the system."""
        self._replace(builtins, "open", self._open)
        self._replace(io, "open", self._open)
        for name in _BY_PATH:
            self._wrap(name, lambda *arguments: os.fspath(arguments[0]))
        for name in _BY_HANDLE:
            self._wrap(name, lambda *arguments: _path_of(arguments[0]))
        for name in ("write", "pwrite"):
            self._wrap(name, lambda *arguments: _path_of(arguments[0]), is_write=True)
        self._wrap(
            "utime",
            lambda *arguments: (
                _path_of(arguments[0]) if isinstance(arguments[0], int) else os.fspath(arguments[0])
            ),
        )

    def remove(self) -> None:
        """Take the shim out again."""
        while self._undo:
            self._undo.pop()()

    def around(self, deed: str, path: Any, call: Callable[[], Any], torn: Callable[[], Any]) -> Any:
        """Do one call, or what the plan has for it."""
        plan, path = self.plan, os.fsdecode(path)
        if not path.startswith(plan.below) or (plan.deeds and deed not in plan.deeds):
            return call()
        self.calls.append(Call(deed, path))
        number = len(self.calls)
        if number != plan.at and not (plan.lasting and number > plan.at):
            return call()
        if plan.fault in _NUMBERS:
            number = _NUMBERS[plan.fault]
            raise OSError(number, os.strerror(number), path)
        if plan.fault == "none":
            return call()
        try:
            if plan.fault == "torn":
                torn()
            elif plan.fault == "kill-after":
                call()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    def _wrap(self, name: str, path_of: Callable[..., Any], *, is_write: bool = False) -> None:
        real = getattr(os, name, None)
        if real is None:
            return

        def instead(*arguments: Any, **options: Any) -> Any:
            def half() -> None:
                if is_write:
                    data = bytes(arguments[1])
                    real(arguments[0], data[: len(data) // 2], *arguments[2:])

            deed = {"remove": "unlink", "pwrite": "write", "replace": "rename"}.get(name, name)
            return self.around(deed, path_of(*arguments), lambda: real(*arguments, **options), half)

        self._replace(os, name, instead)

    def _replace(self, owner: Any, name: str, instead: Any) -> None:
        real = getattr(owner, name)
        setattr(owner, name, instead)
        self._undo.append(lambda: setattr(owner, name, real))

    def _open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if isinstance(file, int) or not set(mode) & set("wxa+") or opener is not None:
            return _real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        plain = "".join(letter for letter in mode if letter not in "bt")
        is_new = plain[0] in "wx" or (plain[0] == "a" and not os.path.lexists(file))

        def opened() -> _FaultyFile:
            return _FaultyFile(file, plain, self)

        raw = self.around("open", os.fspath(file), opened, lambda: None) if is_new else opened()
        if buffering == 0:
            return raw
        buffered = (io.BufferedRandom if "+" in plain else io.BufferedWriter)(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)


class _FaultyFile(io.FileIO):
    def __init__(self, file: Any, mode: str, faults: Faults) -> None:
        super().__init__(file, mode)
        self._faults = faults

    def write(self, data: Any) -> int:
        piece = bytes(data)
        return self._faults.around(
            "write",
            _path_of(self.fileno()),
            lambda: super(_FaultyFile, self).write(piece),
            lambda: super(_FaultyFile, self).write(piece[: len(piece) // 2]),
        )

    def truncate(self, size: int | None = None) -> int:
        return self._faults.around(
            "ftruncate",
            _path_of(self.fileno()),
            lambda: super(_FaultyFile, self).truncate(size),
            lambda: None,
        )


_real_open = io.open


def _path_of(handle: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{handle}").readlink())
    except OSError:
        return f"handle {handle}"


@contextmanager
def installed(plan: Plan) -> Iterator[list[Call]]:
    """Have the plan in force for a block; yields the calls as they come."""
    faults = Faults(plan)
    faults.install()
    try:
        yield faults.calls
    finally:
        faults.remove()


def watching(*, below: Path | str = "") -> Any:
    """Note every call and fail none."""
    return installed(Plan(below=str(below)))


def failing(number: int, *, at: int, below: Path | str = "", lasting: bool = False) -> Any:
    """Fail the Nth call with ENOSPC or EIO, and with `lasting` all after it."""
    fault: Fault = "enospc" if number == errno.ENOSPC else "eio"
    return installed(Plan(fault, at, str(below), lasting=lasting))


def in_child(deed: Callable[[], object], plan: Plan) -> str:
    """Do a deed in a fork under a plan; return "done", "killed" or the name of the error's class."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        outcome = "done"
        try:
            os.close(reading)
            with installed(plan):
                deed()
        except BaseException as error:  # noqa: BLE001  told to the parent
            outcome = type(error).__name__
            if "--faults-verbose" in sys.argv:
                traceback.print_exc()
        os.write(writing, outcome.encode())
        os._exit(0)
    os.close(writing)
    with _real_open(reading, "rb") as pipe:
        told = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) == _KILLED:
        return "killed"
    return told


def environment(plan: Plan) -> dict[str, str]:
    """Return an environment in which every Python process starts with the plan in force."""
    tests, source = Path(__file__).parent, Path(audobon.__file__).parents[1]
    path = os.pathsep.join([str(tests / "faults_at_start"), str(tests), str(source)])
    return os.environ | {VARIABLE: json.dumps(msgspec.to_builtins(plan)), "PYTHONPATH": path}


def install_from_environment() -> None:
    """Put the plan of the environment in force for the rest of this process, when there is one."""
    if text := os.environ.get(VARIABLE):
        Faults(msgspec.json.decode(text, type=Plan)).install()
