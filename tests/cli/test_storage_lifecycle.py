"""`audobon storage lifecycle`, `hold`, `release` and `keep`: what a person sees."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from audobon.app import open_app
from audobon.cli.main import audobon
from audobon.errors import BlobNotFound, InvalidInput, OnHold

DAY = 86_400.0


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDOBON_STORAGE_FOLDER", str(tmp_path / "data"))
    return tmp_path


def command(*words: object) -> Result:
    return CliRunner().invoke(audobon, ["storage", *map(str, words)])


def put(data: bytes, *, days: float = 0, kind: Any = "result") -> str:
    storage = open_app().storage
    key = storage.put(data, kind=kind)
    with storage.index.changing() as connection:
        connection.execute("UPDATE blob SET created_at = ?", (time.time() - days * DAY,))
        connection.execute("UPDATE pack SET created_at = ?", (time.time() - days * DAY,))
    storage.close()
    return key


def rules_file(folder: Path, *rules: tuple[str, dict[str, Any]]) -> Path:
    path = folder / "rules.json"
    written = [
        {
            "action": {"type": "Delete"}
            if what == "Delete"
            else {"type": "SetStorageClass", "storageClass": what},
            "condition": condition,
        }
        for what, condition in rules
    ]
    path.write_text(json.dumps({"lifecycle": {"rule": written}}))
    return path


def test_show_tells_the_rules_and_what_lies_where() -> None:
    put(os.urandom(3 << 20))
    shown = command("lifecycle", "show").stdout.splitlines()
    assert shown == [
        "the rules that Audobon comes with",
        "  1  move to NEARLINE when age 30; matchesPrefix result/, page/",
        "  2  move to ARCHIVE when age 365; matchesPrefix result/, page/",
        "  3  clear unfinished writes when age 7",
        "standard      3.0 MB   under $0.0001 a month in the cloud",
        "nearline         0 B   $0 a month in the cloud",
        "archive          0 B   $0 a month in the cloud",
        "prices as of 2026-09-20: https://cloud.google.com/storage/pricing",
    ]
    told = json.loads(command("lifecycle", "show", "--json").stdout)
    assert (told["are_own"], len(told["rules"]["rule"]), sorted(told["tiers"])) == (
        False,
        3,
        ["archive", "nearline", "standard"],
    )


def test_a_dry_run_tells_and_a_run_does(data_folder: Path) -> None:
    key = put(b"x" * (2 << 20), days=31)
    told = command("lifecycle", "run", "--dry-run")
    first, second = told.stdout.splitlines()
    assert first.startswith("rule 1 would move to nearline: 1 pack (")
    assert second.startswith(
        "in the cloud: under $0.0001 for moving, $0 for deleting early, under $0.0001 a month"
    )
    assert open_app().storage.stat(key).tier == "standard"
    assert json.loads(command("lifecycle", "run", "--dry-run", "--json").stdout)["rules"][0]["packs"] == 1
    done = command("lifecycle", "run")
    assert done.stdout.startswith("moved 1 pack (")
    assert done.stdout.endswith("deleted 0 packs (0 B)\n")
    assert open_app().storage.stat(key).tier == "nearline"
    assert open_app().storage.get(key) == b"x" * (2 << 20)
    assert command("lifecycle", "run", "--dry-run").stdout == (
        "nothing to do: the rules leave all 1 packs as they are\n"
    )
    assert '"event":"lifecycle run"' in (data_folder / "data" / "logs" / "audobon.jsonl").read_text()


def test_rules_are_put_in_force_and_taken_back(data_folder: Path) -> None:
    file = rules_file(data_folder, ("ARCHIVE", {"age": 10, "matchesPrefix": ["result/"]}))
    done = command("lifecycle", "set", file)
    assert done.stderr == "1 rule in force; see: audobon storage lifecycle run --dry-run\n"
    assert command("lifecycle", "show").stdout.startswith(
        "your rules\n  1  move to ARCHIVE when age 10; matchesPrefix result/\n"
    )
    assert command("lifecycle", "set", "--defaults").exit_code == 0
    assert command("lifecycle", "show").stdout.startswith("the rules that Audobon comes with\n")


def test_rules_with_an_error_are_not_put_in_force(data_folder: Path) -> None:
    refused = command("lifecycle", "set", rules_file(data_folder, ("Delete", {})))
    assert isinstance(refused.exception, InvalidInput)
    assert refused.exception.message.startswith("rule 1 has no condition: it deletes everything, at once")
    assert command("lifecycle", "show").stdout.startswith("the rules that Audobon comes with\n")


def test_lint_ends_well_with_warnings_and_badly_with_errors(data_folder: Path) -> None:
    assert command("lifecycle", "lint").stderr == "nothing is wrong with 3 rules\n"
    warned = command("lifecycle", "lint", rules_file(data_folder, ("STANDARD", {"age": 3})))
    assert (warned.exit_code, warned.stderr) == (
        0,
        "warning: rule 1 moves nothing: nothing it meets is dearer at rest than STANDARD\n",
    )
    wrong = command("lifecycle", "lint", rules_file(data_folder, ("Delete", {"age": 0}), ("Delete", {})))
    assert isinstance(wrong.exception, InvalidInput)
    assert wrong.exception.message == f"2 errors in {data_folder / 'rules.json'}"
    assert "rule 2 has no condition" in wrong.stderr


def test_lint_counts_what_is_here(data_folder: Path) -> None:
    put(b"tiny", days=40)
    file = rules_file(data_folder, ("NEARLINE", {"age": 30, "matchesPrefix": ["result/"]}))
    assert "rule 1 would move 1 small packs to NEARLINE" in command("lifecycle", "lint", file).stderr


def test_what_is_on_hold_stays_until_it_is_released(data_folder: Path) -> None:
    key = put(b"x" * (2 << 20), days=100)
    command(
        "lifecycle", "set", rules_file(data_folder, ("Delete", {"age": 90, "matchesPrefix": ["result/"]}))
    )
    assert command("hold", key[:8]).stderr == "on hold: 1 blob\n"
    run = command("lifecycle", "run")
    assert run.stdout.startswith("kept back by a hold: 1 pack (")
    assert isinstance(command("delete", key[:8]).exception, OnHold)
    assert command("gc").exit_code == 0
    assert open_app().storage.has(key)
    assert command("release", "--kind", "result").stderr == "released: 1 blob\n"
    assert "deleted 1 pack" in command("lifecycle", "run").stdout
    assert not open_app().storage.has(key)


def test_what_is_kept_stays_until_the_day_is_over() -> None:
    key = put(b"page")
    assert command("keep", key[:8], "--until", "2100-12-31").stderr == "kept until 2100-12-31: 1 blob\n"
    assert open_app().storage.stat(key).kept_until == 4133980800.0
    shorter = command("keep", key[:8], "--until", "7d")
    assert shorter.stderr == "kept until 7d: 0 blobs; 1 blob longer already\n"
    assert isinstance(command("delete", key[:8]).exception, OnHold)
    command("gc")
    assert open_app().storage.has(key)


@pytest.mark.parametrize("day", ["2001-01-01", "tomorrow", "2026-02-30", "9999-01-01"])
def test_a_day_that_is_none_or_over_is_refused(day: str) -> None:
    assert isinstance(command("keep", "--kind", "page", "--until", day).exception, InvalidInput)


def test_blobs_that_are_not_there_are_named() -> None:
    assert isinstance(command("hold", "abcdef").exception, BlobNotFound)
    assert isinstance(command("hold", "--kind", "page").exception, BlobNotFound)
    assert command("hold").exit_code == 2
