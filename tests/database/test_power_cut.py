"""A few power cuts, in effigy, while a database is shipped; more: `storms/database/power_cut.py`."""

import subprocess
import sys
from pathlib import Path

STORM = Path(__file__).parents[2] / "storms" / "database" / "power_cut.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, STORM, "--cuts", "12", "--rows", "25", "--seed", "7", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_a_copy_is_never_ahead_of_what_a_power_cut_leaves_nor_behind_what_was_acknowledged() -> None:
    storm = run()
    assert storm.returncode == 0, storm.stdout + storm.stderr


def test_a_copy_that_is_ahead_is_noticed() -> None:
    storm = run("--breaking", "unsynced")
    assert storm.returncode == 1 or "strace is not installed" in storm.stdout, storm.stdout + storm.stderr
