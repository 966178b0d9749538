"""A small storm, on every run of the tests: kills at random instants, and what became of every task.

The whole one, with 500 kills and power cuts, is `make storm-queue`.
"""

import subprocess
import sys
from pathlib import Path

STORM = Path(__file__).parents[2] / "storms" / "queue" / "run.py"


def test_nothing_is_lost_doubled_or_stuck_when_everything_around_the_queue_is_killed() -> None:
    storm = subprocess.run(
        [sys.executable, STORM, "--only", "light", "--kills", "40"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert storm.returncode == 0, storm.stdout + storm.stderr
    assert "nothing was lost, published twice or stuck" in storm.stdout
