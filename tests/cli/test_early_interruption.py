"""Ctrl-C while the program is still being loaded: it ends with 130, and says nothing."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("audobon")
COMMANDS = [("--version",), ("jobs", "list"), ("backup", "list")]
NEVER = -1
_IMPORTED = re.compile(r"^import time:.*\n", re.MULTILINE)


def interrupted(root: Path, command: tuple[str, ...], after: int) -> tuple[int, str, str]:
    """Interrupt a command once it has imported so many modules of its own; return how it ended.

    Python tells on standard error of each module that it has imported: that is our clock.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(root),
        "AUDOBON_STORAGE_FOLDER": str(root / "data"),
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    process = subprocess.Popen(
        [PROGRAM, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    told, count, has_begun = "", 0, False
    for line in process.stderr:
        told += line
        has_begun = has_begun or line.rstrip().endswith(" audobon.cli.start")
        count += has_begun
        if count == after:
            process.send_signal(signal.SIGINT)
    out = process.stdout.read()
    process.stdout.close()
    process.stderr.close()
    return process.wait(), out, _IMPORTED.sub("", told)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_that_is_interrupted_while_it_loads_ends_quietly(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    whole = interrupted(tmp_path, command, NEVER)
    # From the second on: of the first it is told before what it holds is called.
    ends = [interrupted(tmp_path, command, after) for after in range(2, 130, 16)]
    assert ends[0] == (130, "", "")
    # One that imports less than so much was over before, or about to be.
    quiet = [(130, "", ""), (130, "", "\n"), (130, whole[1], whole[2])]
    assert [end for end in ends if end not in [whole, *quiet]] == []


@pytest.mark.parametrize("event", range(1, 1200, 40))
def test_no_instant_of_loading_shows_a_traceback(tmp_path: Path, event: int) -> None:
    """The signal comes at the very import that was asked for, in the process itself."""
    code = (
        "import os, signal, sys\n"
        "left = [int(sys.argv.pop(1))]\n"
        "from audobon.cli.start import main\n"
        "def look(event, arguments):\n"
        "    if event in ('import', 'open', 'exec', 'compile'):\n"
        "        left[0] -= 1\n"
        "        if left[0] == 0:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.addaudithook(look)\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(event), "backup", "status"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AUDOBON_STORAGE_FOLDER": str(tmp_path / "d"),
        },
        capture_output=True,
        text=True,
    )
    # The line that ^C stands in is ended.
    quiet = [(130, ""), (130, "\n")]
    assert (done.returncode, done.stderr) in [
        *quiet,
        (0, "no places for backups; begin with: audobon backup add FOLDER\n"),
    ]


def test_one_that_is_started_with_interruptions_ignored_goes_on(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"trap '' INT; kill -INT $$; exec {PROGRAM} --version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.split()[0]) == (0, "audobon")
