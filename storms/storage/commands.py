"""Whole commands, killed by strace within their own calls of the system: also those that SQLite makes."""

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
from blows import Outcome
from world import World

PROGRAM = Path(sys.executable).with_name("audobon")
_CALLS = ("pwrite64", "fdatasync", "fsync", "unlink", "rename", "linkat", "ftruncate", "write")
_MOST_CALL = 40
_MOST_SECONDS = 120


class Command(msgspec.Struct, frozen=True):
    """A command: its words, and the deed that goes on with what it leaves undone."""

    words: tuple[str, ...]
    deed: str


COMMANDS = {
    "backup now": Command(("backup", "now"), "backup now"),
    "backup restore --into": Command(("backup", "restore", "--into", "{root}/into"), "restore --into"),
    "storage gc": Command(("storage", "gc"), "gc"),
    "storage lifecycle run": Command(("storage", "lifecycle", "run"), "lifecycle run"),
    "keys rotate": Command(("keys", "rotate"), "rotate"),
    "keys rewrap": Command(("keys", "rewrap"), "rewrap"),
}


def strike_command(world: World, name: str, draw: random.Random) -> tuple[str | None, Outcome]:
    """Kill a command at one of its calls; return which call; None: strace is not installed."""
    strace = shutil.which("strace")
    if strace is None:
        return None, Outcome()
    call = draw.choice(_CALLS)
    inject = f"inject={call}:signal=SIGKILL:when={draw.randint(1, _MOST_CALL)}"
    words = [word.format(root=world.root) for word in COMMANDS[name].words]
    ended = subprocess.run(
        [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, PROGRAM, *words],
        env=world.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_MOST_SECONDS,
        check=False,
    )
    # strace ends as what it traced ended.
    is_killed = ended.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    outcome = Outcome("killed" if is_killed else "done", is_struck=is_killed)
    if not is_killed and ended.returncode:
        outcome.ended, outcome.words = "unnamed", ended.stderr
    return f"strace {call}", outcome
