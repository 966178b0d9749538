"""Commands start quickly because nothing heavy is loaded before it is needed."""

import subprocess
import sys

import pytest

HEAVY = {"onnxruntime", "onnx", "cv2", "numpy", "PIL", "sqlalchemy", "alembic", "rich", "rapidocr", "psycopg"}


def imported_by(*arguments: str) -> set[str]:
    """Run Audobon with these arguments; return the top-level packages it loaded."""
    command = [sys.executable, "-W", "error", "-X", "importtime", "-m", "audobon", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    times = [line for line in lines if line.startswith("import time:")]
    assert done.returncode == 0, "\n".join(line for line in lines if line not in times)
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in times}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["doctor", "--help"], ["resources", "--help"]], ids=" ".join
)
def test_asking_for_help_loads_nothing_heavy(arguments: list[str]) -> None:
    imported = imported_by(*arguments)
    assert "audobon" in imported
    assert imported & HEAVY == set()
