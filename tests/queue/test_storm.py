"""A small storm, on every run of the tests: kills at random instants, and what became of every task.

The whole one, with 500 kills, power cuts and 10,000 tasks through the cloud, is `make storm-queue`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

STORM = Path(__file__).parents[2] / "storms" / "queue" / "run.py"


@pytest.mark.parametrize(
    "part", [["light", "--kills", "40"], ["cloud", "--tasks", "150"]], ids=["here", "cloud"]
)
def test_nothing_is_lost_doubled_or_stuck_when_everything_around_the_queue_is_killed(part: list[str]) -> None:
    storm = subprocess.run(
        [sys.executable, STORM, "--only", *part],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert storm.returncode == 0, storm.stdout + storm.stderr
    assert "nothing was lost, published twice or stuck" in storm.stdout
