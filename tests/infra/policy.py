"""Hold a plan against the rules in infra/checks/policy."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import regopy
from offline import INFRA

POLICY = INFRA / "checks" / "policy"


class Fault(NamedTuple):
    """What a rule does not let pass."""

    rule: str
    address: str
    why: str

    def __str__(self) -> str:
        return f"{self.address} {self.why} ({self.rule})"


def faults(plan: dict[str, Any], *, stage: str, folder: Path = POLICY) -> list[Fault]:
    """Return every fault of a plan of one stage, in order of rules."""
    rego = regopy.Interpreter()
    for path in sorted(folder.glob("*.rego")):
        rego.add_module(path.name, path.read_text(encoding="utf-8"))
    rego.set_input_term(json.dumps({"stage": stage, "resource_changes": plan["resource_changes"]}))
    answer = json.loads(str(rego.query("x = data.audobon.deny")))
    found = answer["bindings"]["x"]
    return sorted(Fault(each["rule"], each["address"], each["why"]) for each in found)


def rules(folder: Path = POLICY) -> set[str]:
    """Return the names of all rules."""
    text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.rego"))
    return {part.split('"')[0] for part in text.split('deny contains fault("')[1:]}
