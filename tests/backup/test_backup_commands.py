"""`audobon backup` as its users run it: what is printed, and the status it ends with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("audobon")


class Command:
    """The installed command, in a home of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(root / "home"),
            "XDG_CONFIG_HOME": str(root / "home" / "config"),
            "AUDOBON_STORAGE_FOLDER": str(root / "data"),
        }
        (root / "home").mkdir(parents=True)

    def __call__(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [str(PROGRAM), *map(str, arguments)],
            env=self.environment,
            cwd=self.root,
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done


@pytest.fixture
def audobon(tmp_path: Path) -> Command:
    return Command(tmp_path / "old")


def test_the_three_commands_of_the_guide(audobon: Command) -> None:
    place = audobon.root / "disk"
    told = audobon("backup", "now")
    assert (told.returncode, told.stderr) == (
        4,
        "error: there is no place for backups yet\nhint: audobon backup add FOLDER\n",
    )
    assert audobon("backup", "add", place).stderr == (
        f"{place} is a place for backups now; fill it with: audobon backup now\n"
    )
    late = audobon("backup", "status")
    assert (late.returncode, late.stderr) == (
        10,
        f"error: {place}: there is no backup yet\nhint: audobon backup now\n",
    )
    made = json.loads(audobon("backup", "now", "--json").stdout)
    assert (made["failures"], made["backups"][0]["place"]) == ([], str(place))
    drilled = json.loads(audobon("backup", "drill", "--json").stdout)["drills"][0]
    assert [step["is_well"] for step in drilled["steps"]] == [True] * 6
    assert audobon("backup", "status").returncode == 0
    assert audobon("backup", "verify").returncode == 0


def test_damage_ends_verifying_and_drills_with_status_9(audobon: Command) -> None:
    place = audobon.root / "disk"
    audobon("backup", "add", place)
    audobon("backup", "now")
    (segment,) = place.rglob("*.snapshot")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    assert audobon("backup", "verify").returncode == 9
    assert audobon("backup", "drill").returncode == 9


def test_a_place_that_is_unplugged_ends_with_status_8_and_beside_another_with_10(audobon: Command) -> None:
    one, two = audobon.root / "one", audobon.root / "two"
    audobon("backup", "add", one)
    one.rename(audobon.root / "away")
    assert audobon("backup", "now").returncode == 8
    audobon("backup", "add", two)
    done = audobon("backup", "now")
    assert (done.returncode, one.exists()) == (10, False)
    assert f"{one}: failed: the place {one} is not there\n" in done.stderr


def test_a_fresh_machine_needs_a_place_and_the_words(audobon: Command, tmp_path: Path) -> None:
    place, words = tmp_path / "disk", tmp_path / "words"
    audobon("backup", "add", place)
    audobon("backup", "now")
    assert audobon("keys", "export-recovery", "--yes", "--output", words).returncode == 0

    fresh = Command(tmp_path / "new")
    data = tmp_path / "new" / "data"
    done = fresh("backup", "restore", "--from", place, "--recovery-words-file", words, "--into", data)
    assert done.returncode == 0, done.stderr
    # It goes on from there: the same place, the same keyring.
    assert fresh("backup", "now").returncode == 0
    assert len(json.loads(fresh("backup", "list", "--json").stdout)["places"][0]["backups"]) == 2
    assert fresh("backup", "verify").returncode == 0


def test_schedules_are_proposed_and_taken_away(audobon: Command) -> None:
    put = json.loads(audobon("backup", "schedule", "--json").stdout)["schedules"]
    assert [(each["name"], each["cron"]) for each in put] == [
        ("backup-now", "0 1 * * *"),
        ("backup-drill", "0 3 * * *"),
        ("backup-verify", "0 5 * * 0"),
    ]
    every = audobon("backup", "schedule", "drill", "--every", "6h", "--json")
    (drill,) = json.loads(every.stdout)["schedules"]
    assert drill["cron"] == "0 */6 * * *"
    assert audobon("backup", "schedule", "now", "--every", "7h").returncode == 2
    assert audobon("backup", "schedule", "--remove").stderr == (
        "removed: backup-now, backup-drill, backup-verify\n"
    )
