"""The storm over what is stored, in small: nothing unnoticed, nothing unmended; and it has teeth."""

import os
import re
import subprocess
import sys
from pathlib import Path

STORM = Path(__file__).parents[2] / "storms" / "storage" / "run.py"


def storm(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(STORM), "--only", "corruption", "--quick", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)


def test_a_small_storm_finds_nothing_unnoticed_and_nothing_unmended() -> None:
    done = storm("--seed", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("nothing went unnoticed, unmended or lost\n")


def test_a_checker_broken_on_purpose_is_noticed() -> None:
    done = storm("--seed", "1", "--blind", "places")
    assert done.returncode == 1
    (count,) = re.findall(r"not noticed +(\d+)\n", done.stdout)
    assert int(count) > 3
