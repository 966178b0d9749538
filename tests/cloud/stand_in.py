"""A stand-in for Terraform: answers as a recording says, and writes down what it was asked."""

import json
import stat
import sys
from pathlib import Path
from typing import Any

_PROGRAM = """#!{python}
import json, os, signal, sys
from pathlib import Path

here = Path(__file__).parent
arguments = [each for each in sys.argv[1:] if not each.startswith("-chdir=")]
recording = json.loads((here / "recording.json").read_text())
with (here / "asked.jsonl").open("a") as asked:
    asked.write(json.dumps({{"arguments": sys.argv[1:], "notes": os.environ["TF_DATA_DIR"]}}) + "\\n")
if arguments[:1] == ["plan"]:
    for each in arguments:
        if each.startswith("-out="):
            Path(each.removeprefix("-out=")).write_bytes(b"a plan")
        if each.startswith("-var-file="):
            (here / "variables.json").write_text(Path(each.removeprefix("-var-file=")).read_text())
answer = recording.get(" ".join(arguments[:2]), recording.get(arguments[0]))
if answer.get("waits"):
    def interrupted(number, frame):
        print("Interrupt received.", flush=True)
        print("Gracefully shutting down...", flush=True)
        sys.exit(1)
    signal.signal(signal.SIGINT, interrupted)
    print("module.stage: Creating...", flush=True)
    signal.pause()
print(answer["says"], end="")
sys.exit(answer.get("status", 0))
"""

VERSION = '{"terraform_version": "1.11.4", "platform": "linux_amd64", "provider_selections": {}}\n'
INIT = "\nInitializing the backend...\n\nTerraform has been successfully initialized!\n"
NOTHING = '{"format_version": "1.2", "resource_changes": []}\n'


def change(address: str, *actions: str) -> dict[str, Any]:
    """Return one change as `terraform show -json` writes it."""
    kind = address.removeprefix("module.stage.").rpartition(".")[0].rpartition(".")[2]
    return {
        "address": address,
        "mode": "managed",
        "type": kind,
        "change": {"actions": list(actions), "before": None, "after": {}},
    }


def shown(*changes: dict[str, Any]) -> str:
    """Return a plan as `terraform show -json` writes it."""
    return json.dumps({"format_version": "1.2", "resource_changes": changes}) + "\n"


class StandIn:
    """One stand-in, in a folder of its own."""

    def __init__(self, folder: Path, name: str = "terraform") -> None:
        folder.mkdir(parents=True)
        self.program = folder / name
        self.program.write_text(_PROGRAM.format(python=sys.executable), encoding="utf-8")
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        self._recording = folder / "recording.json"
        self._asked = folder / "asked.jsonl"
        self.variables_file = folder / "variables.json"
        self._answers: dict[str, dict[str, Any]] = {}
        self.answers("version", VERSION)
        self.answers("init", INIT)
        self.answers("plan", "Plan: 2 to add.\n", status=2)
        self.answers("show", NOTHING)
        self.answers("apply", "Apply complete!\n")
        self.answers("output", "{}\n")

    def answers(self, command: str, says: str, *, status: int = 0, waits: bool = False) -> None:
        """Say what a command answers from now on."""
        self._answers[command] = {"says": says, "status": status, "waits": waits}
        self._recording.write_text(json.dumps(self._answers), encoding="utf-8")

    @property
    def asked(self) -> list[list[str]]:
        """What it was asked, in order."""
        if not self._asked.exists():
            return []
        lines = self._asked.read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["arguments"] for line in lines]

    @property
    def commands(self) -> list[str]:
        """The commands it was asked, by their first word."""
        return [next(each for each in asked if not each.startswith("-")) for asked in self.asked]
