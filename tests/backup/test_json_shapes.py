"""What `audobon backup --json` prints is what its page says, and a name is of one type wherever it stands."""

import json
import re
from pathlib import Path
from types import NoneType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from test_backup_commands import Command

from audobon.backup.drill import DrillReport, Step
from audobon.backup.making import Made
from audobon.backup.pruning import Pruned
from audobon.backup.repairing import Repaired
from audobon.backup.restoring import Restored
from audobon.backup.service import Failure
from audobon.backup.standing import Standing
from audobon.backup.verifying import Fault, Verified
from audobon.cli.backup_entries import Entry

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "backup-json.md"
SHAPES: dict[str, type[msgspec.Struct]] = {
    "failure": Failure,
    "made": Made,
    "backup": Entry,
    "place": Standing,
    "verified": Verified,
    "fault": Fault,
    "repaired": Repaired,
    "pruned": Pruned,
    "drill": DrillReport,
    "step": Step,
    "restored": Restored,
}


def documented(shape: str) -> set[str]:
    """Return the fields that the page names of a shape."""
    section = PAGE.read_text().partition(f"\n## {shape}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def without_none(kind: Any) -> Any:
    """Return a type without `None`."""
    if get_origin(kind) in (Union, type(int | str)):
        return Union[tuple(each for each in get_args(kind) if each is not NoneType)]  # noqa: UP007
    return kind


@pytest.mark.parametrize("shape", SHAPES)
def test_the_page_names_every_field_and_no_other(shape: str) -> None:
    assert documented(shape) == set(SHAPES[shape].__struct_fields__)


def test_a_name_is_of_one_type_wherever_it_stands() -> None:
    kinds: dict[str, set[Any]] = {}
    for shape in SHAPES.values():
        for name, kind in get_type_hints(shape).items():
            if name in shape.__struct_fields__:
                kinds.setdefault(name, set()).add(without_none(kind))
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}


def test_each_command_prints_the_object_that_the_page_says(tmp_path: Path) -> None:
    audobon = Command(tmp_path / "old")
    place, page = tmp_path / "disk", tmp_path / "page"
    page.write_bytes(b"a page")
    audobon("storage", "put", page)

    def keys(*arguments: object) -> set[str]:
        return set(json.loads(audobon("backup", *arguments, "--json").stdout))

    def fields(told: dict[str, Any]) -> set[str]:
        return set(told)

    assert keys("add", place) == {"place", "is_new"}
    assert keys("now", "--dry-run") == keys("now") == {"backups", "failures", "is_dry_run"}
    (listed,) = json.loads(audobon("backup", "list", "--json").stdout)["places"]
    assert fields(listed) == documented("place") | {"backups"}
    assert fields(listed["backups"][0]) == documented("backup")
    (fresh,) = json.loads(audobon("backup", "list", "--from", place, "--json").stdout)["places"]
    assert (fields(fresh), fresh["backups"]) == ({"place", "backups", "damaged"}, listed["backups"])
    (standing,) = json.loads(audobon("backup", "status", "--json").stdout)["places"]
    assert {**standing, "backups": listed["backups"]} == listed
    assert keys("verify") == {"places", "failures", "repaired"}
    assert keys("prune") == {"places", "failures", "is_dry_run"}
    assert keys("drill") == {"drills", "failures"}
    planned = ("restore", "--into", tmp_path / "restored")
    assert keys(*planned, "--dry-run") == {"id", "place", "at", "packs", "size_bytes", "is_dry_run"}
    assert keys(*planned) == documented("restored")
    assert keys("schedule") == keys("schedule", "--remove") == {"schedules", "removed"}
    assert keys("remove", place) == {"place"}
