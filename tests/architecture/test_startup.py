"""Commands start quickly because nothing heavy is loaded before it is needed."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from audobon.database.service import Database

HEAVY = {
    "onnxruntime", "onnx", "cv2", "numpy", "PIL", "sqlalchemy", "alembic", "rich", "rapidocr", "psycopg",
    "google", "grpc", "requests",
}  # fmt: skip


def imported_by(*arguments: str, **variables: object) -> set[str]:
    """Run Audobon with these arguments and variables; return the top-level packages it loaded."""
    command = [sys.executable, "-W", "error", "-X", "importtime", "-m", "audobon", *arguments]
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    lines = done.stderr.splitlines()
    times = [line for line in lines if line.startswith("import time:")]
    assert done.returncode == 0, "\n".join(line for line in lines if line not in times)
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in times}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["doctor", "--help"],
        ["resources", "--help"],
        ["queue", "--help"],
        ["queue", "watch", "--help"],
        ["queue", "schedule", "add", "--help"],
    ],
    ids=" ".join,
)
def test_asking_for_help_loads_nothing_heavy(arguments: list[str]) -> None:
    imported = imported_by(*arguments)
    assert "audobon" in imported
    assert imported & HEAVY == set()


@pytest.mark.parametrize(
    "arguments", ["list", "list --tasks", "dead", "pause --all", "configure batch", "schedule list"]
)
def test_looking_after_the_queue_loads_nothing_heavy(tmp_path: Path, arguments: str) -> None:
    with closing(Database(tmp_path).open()):
        imported = imported_by("queue", *arguments.split(), AUDOBON_STORAGE_FOLDER=tmp_path)

    assert "sqlite3" in imported
    assert imported & HEAVY == set()
