"""A small storm over storage, backups, keys and data on every run of the tests; and that it has teeth.

The whole one, with 500 points, is `make storm-storage`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

STORM = Path(__file__).parents[2] / "storms" / "storage" / "kills.py"


def storm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, STORM, *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def test_nothing_is_lost_half_done_or_left_when_commands_are_struck_down() -> None:
    told = storm("--quick")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "nothing was lost, half done, stuck or left behind" in told.stdout


@pytest.mark.parametrize(
    ("breaking", "deed", "noticed"),
    [
        ("index-before-pack", "put", "is in the index and in no pack"),
        ("acknowledged-early", "put", "lost: the check: blob"),
        ("ledger-after-keys", "erase", "the ledger of erasures lacks"),
        ("manifest-before-packs", "put,backup now", "unsound: the check: packs/"),
    ],
)
def test_the_storm_notices_what_is_broken_on_purpose(breaking: str, deed: str, noticed: str) -> None:
    told = storm("--count", "8", "--seed", "5", "--only", deed, "--breaking", breaking)
    assert told.returncode == 1, told.stdout + told.stderr
    assert noticed in told.stdout, told.stdout
