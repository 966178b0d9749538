"""What strikes a victim, and the fork in which it is struck."""

import os
import random
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import faults
from audobon.errors import AudobonError

# kill … eio: at a call of ours on files, see tests/faults.py. The others reach into SQLite and all C code as
# well: full and cut at the write that makes a file longer than allowed (an error; the end), instant anywhere.
KINDS = ("kill", "kill-after", "torn", "enospc", "enospc-lasting", "eio", "full", "cut", "instant")
_PLANNED: dict[str, faults.Fault] = {
    "kill": "kill",
    "kill-after": "kill-after",
    "torn": "torn",
    "enospc": "enospc",
    "enospc-lasting": "enospc",
    "eio": "eio",
}
_LEAST_FILE_BYTES, _MOST_FILE_BYTES = 1 << 10, 1 << 22
_MOST_SECONDS = 120.0

Act = Callable[[Callable[..., None]], object]
"""Does something; it is given what notes, for good, that something was acknowledged."""


class Blow(msgspec.Struct, frozen=True):
    """One blow: at which call, at which length of a file, or after how many seconds."""

    kind: str
    at: int = 0
    seconds: float = 0.0


class Scale(msgspec.Struct):
    """What an undisturbed deed takes, so that blows fall within it."""

    calls: int
    seconds: float


class Outcome(msgspec.Struct):
    """How a victim ended: "done", "killed", "stuck", the class of an error of ours, or "unnamed" of another.

    is_struck  whether the blow fell before it ended
    acks       what it acknowledged
    """

    ended: str = "killed"
    words: str = ""
    is_struck: bool = True
    acks: list[dict[str, object]] = []
    calls: int = 0
    seconds: float = 0.0


class _End(msgspec.Struct):
    ended: str
    words: str
    is_struck: bool
    calls: int


def draw_blow(draw: random.Random, scale: Scale) -> Blow:
    """Return a blow somewhere in a deed."""
    kind = draw.choice(KINDS)
    if kind in ("full", "cut"):
        return Blow(kind, int(_LEAST_FILE_BYTES * (_MOST_FILE_BYTES / _LEAST_FILE_BYTES) ** draw.random()))
    if kind == "instant":
        return Blow(kind, seconds=draw.uniform(0.0005, max(0.001, scale.seconds)))
    return Blow(kind, draw.randint(1, max(1, scale.calls)))


def strike(victims: Sequence[tuple[Act, Blow | None]], *, below: Path) -> list[Outcome]:
    """Have victims act at once, each in a fork of its own, and return how they ended.

    below  calls on files below this folder count
    """
    running: dict[int, tuple[int, int, bytearray]] = {}
    begun = time.monotonic()
    outcomes = [Outcome() for _ in victims]
    for number, (act, blow) in enumerate(victims):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _be_struck(act, blow, below, writing)
        os.close(writing)
        running[reading] = (number, pid, bytearray())
    while running:
        ready, _, _ = select.select(list(running), [], [], 1.0)
        for reading in ready:
            number, pid, data = running[reading]
            piece = os.read(reading, 1 << 16)
            if piece:
                data += piece
                continue
            os.close(reading)
            del running[reading]
            os.waitpid(pid, 0)
            _read(outcomes[number], bytes(data))
            outcomes[number].seconds = time.monotonic() - begun
        if running and time.monotonic() - begun > _MOST_SECONDS:
            for number, pid, _ in running.values():
                os.kill(pid, signal.SIGKILL)
                outcomes[number].words = "it did not come to an end"
            begun = time.monotonic()
    for outcome in outcomes:
        if outcome.words == "it did not come to an end":
            outcome.ended = "stuck"
    return outcomes


def _read(outcome: Outcome, data: bytes) -> None:
    # A line without its end was never acknowledged.
    for line in data.split(b"\n")[:-1]:
        if line.startswith(b"="):
            end = msgspec.json.decode(line[1:], type=_End)
            outcome.ended, outcome.words = end.ended, end.words
            outcome.is_struck, outcome.calls = end.is_struck, end.calls
        else:
            outcome.acks.append(msgspec.json.decode(line))


def _be_struck(act: Act, blow: Blow | None, below: Path, pipe: int) -> None:
    """Act under a blow, tell how it ended, and end this process."""
    shim: faults.Faults | None = None
    write = os.write

    def acknowledge(**facts: object) -> None:
        write(pipe, msgspec.json.encode(facts) + b"\n")

    ended, words = "done", ""
    try:
        # Else what is printed may be cut off as a file is.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        shim = _prepare(blow, below)
        act(acknowledge)
    except AudobonError as error:
        ended, words = type(error).__name__, error.message
    except BaseException:  # noqa: BLE001  told to the parent
        ended, words = "unnamed", traceback.format_exc()
    is_struck = blow is not None and ended != "done"
    if blow is not None and shim is not None and len(shim.calls) >= blow.at > 0 and blow.kind in _PLANNED:
        is_struck = True
    calls = 0 if shim is None else len(shim.calls)
    write(pipe, b"=" + msgspec.json.encode(_End(ended, words, is_struck, calls)) + b"\n")
    os.kill(os.getpid(), signal.SIGKILL)


def _prepare(blow: Blow | None, below: Path) -> faults.Faults:
    plan = faults.Plan(below=str(below))
    if blow is not None and blow.kind in _PLANNED:
        plan = faults.Plan(_PLANNED[blow.kind], blow.at, str(below), lasting=blow.kind == "enospc-lasting")
    elif blow is not None and blow.kind == "instant":
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, blow.seconds)
    elif blow is not None:
        handler = signal.SIG_IGN if blow.kind == "full" else signal.SIG_DFL
        signal.signal(signal.SIGXFSZ, handler)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (blow.at, resource.RLIM_INFINITY))
    shim = faults.Faults(plan)
    shim.install()
    return shim
