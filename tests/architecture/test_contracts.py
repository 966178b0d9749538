"""The import contracts are kept, and each of them catches the fault it is there for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "audobon"
CONTRACTS = ROOT / ".importlinter"
RUN = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def check_contracts(source: Path) -> tuple[bool, str]:
    """Run the contracts over the package in a folder; say whether they are kept, and what was printed."""
    # The linter looks in the folder it is started in before anywhere else.
    command = [sys.executable, "-W", "error", "-c", RUN, "--config", str(CONTRACTS), "--no-cache"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def package_copy(tmp_path: Path) -> Path:
    shutil.copytree(PACKAGE, tmp_path / "audobon", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "audobon"


def test_every_contract_is_kept() -> None:
    is_kept, printed = check_contracts(PACKAGE.parent)
    assert is_kept, printed
    assert "0 broken" in printed


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        pytest.param(
            "storage/planted.py",
            "from audobon.jobs import service",
            "audobon.storage is not allowed to import audobon.jobs",
            id="a room that calls upward",
        ),
        pytest.param(
            "models/planted.py",
            "import audobon.queue",
            "audobon.models is not allowed to import audobon.queue",
            id="strangers on one floor that know each other",
        ),
        pytest.param(
            "telemetry/planted.py",
            "def late() -> None:\n    import audobon.database",
            "audobon.telemetry is not allowed to import audobon.database",
            id="a call upward that hides in a function",
        ),
        pytest.param(
            "ids.py",
            "import audobon.pages",
            "audobon.ids is not allowed to import audobon.pages",
            id="the ground that knows a room",
        ),
        pytest.param(
            "cli/planted.py",
            "import audobon.api",
            "audobon.cli is not allowed to import audobon.api",
            id="one surface that uses the other",
        ),
        pytest.param("utils.py", "", "audobon.utils", id="a new drawer at the top"),
        pytest.param(
            "pages/planted.py",
            "import onnxruntime",
            "audobon.pages is not allowed to import onnxruntime",
            id="a page operation that runs a model itself",
        ),
    ],
)
def test_a_planted_fault_is_caught(package_copy: Path, file: str, line: str, words: str) -> None:
    if "audobon.api" in line:
        (package_copy / "api").mkdir(exist_ok=True)
        (package_copy / "api" / "__init__.py").touch()
    with (package_copy / file).open("a", encoding="utf-8") as planted:
        planted.write(f"\n{line}\n")
    is_kept, printed = check_contracts(package_copy.parent)
    assert not is_kept
    assert words in printed, printed
