"""Hold a plan against the rules in infra/checks/policy."""

import json
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


def faults(plan: dict[str, Any], *, stage: str, is_whole: bool = True) -> list[Fault]:
    """Return every fault of a plan for a stage, in order of rules; `is_whole` if it is all of that stage."""
    rego = regopy.Interpreter()
    for path in sorted(POLICY.glob("*.rego")):
        rego.add_module(path.name, path.read_text(encoding="utf-8"))
    # What nobody said is left out: not every Rego takes nothing for less than one.
    asked = {"stage": stage, "is_whole": is_whole, "resource_changes": said(plan["resource_changes"])}
    rego.set_input_term(json.dumps(asked))
    answered = rego.query("x = data.audobon.deny")
    assert answered.ok(), "the rules themselves fail: two ways to one value, or a value of another type"
    answer = json.loads(str(answered))
    found = answer["bindings"]["x"]
    return sorted(Fault(each["rule"], each["address"], each["why"]) for each in found)


def said(value: Any) -> Any:
    """Return a value without the nulls and empty lists in it."""
    if isinstance(value, dict):
        return {key: said(each) for key, each in value.items() if each is not None and each != []}
    return [said(each) for each in value] if isinstance(value, list) else value


def rules() -> set[str]:
    """Return the names of all rules."""
    text = "".join(path.read_text(encoding="utf-8") for path in POLICY.glob("*.rego"))
    return {part.split('"')[0] for part in text.split('deny contains fault("')[1:]}
