"""`audobon database status | check | points | restore`, as typed."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from audobon.sqlite import keeping_log


@pytest.fixture
def audobon(tmp_path: Path) -> "Audobon":
    return Audobon(tmp_path)


class Audobon:
    """The command, with a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = os.environ | {
            "AUDOBON_STORAGE_FOLDER": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "TZ": "UTC",
        }

    def __call__(self, *arguments: object, status: int = 0) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "audobon", *map(str, arguments)]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done


def test_a_database_is_shipped_by_the_commands_that_write_and_restored_by_commit(audobon: Audobon) -> None:
    assert "there is no database yet" in audobon("database", "status").stderr
    assert "nothing can be restored yet" in audobon("database", "points").stderr
    audobon("queue", "pause", "batch")
    audobon("queue", "resume", "batch")
    status = json.loads(audobon("database", "status", "--json").stdout)
    assert status["shipping"] == "async"
    shipped = status["shipped"]
    assert shipped["lag_bytes"] == 0
    assert shipped["failure"] is None
    last = shipped["commit"]
    (point,) = json.loads(audobon("database", "points", "--json").stdout)
    assert (point["last"], point["why"]) == (last, "the first copy")
    told = audobon("database", "check").stderr
    assert told == f"the database is sound, and so are the {shipped['objects']} objects of its copy\n"

    states = []
    for commit in (last - 1, last):
        into = audobon.folder / f"{commit}.db"
        done = audobon("database", "restore", "--to", commit, "--into", into)
        assert done.stderr.startswith(f"restored commit {commit} of ")
        with closing(sqlite3.connect(into)) as connection:
            states += connection.execute("SELECT state FROM queue WHERE name = 'batch'").fetchone()
    assert states == ["pause", "run"]


def test_what_cannot_be_restored_is_told_with_a_status(audobon: Audobon) -> None:
    audobon("queue", "pause", "batch")
    into = audobon.folder / "x.db"
    assert (
        "there is no commit 999"
        in audobon("database", "restore", "--to", 999, "--into", into, status=4).stderr
    )
    assert (
        "is no time and no commit"
        in audobon("database", "restore", "--to", "monday", "--into", into, status=2).stderr
    )
    into.write_bytes(b"")
    assert "exists already" in audobon("database", "restore", "--into", into, status=5).stderr


def test_a_damaged_copy_is_told_and_restored_as_far_as_it_goes(audobon: Audobon) -> None:
    for word in ("pause", "resume", "pause", "resume"):
        audobon("queue", word, "batch")
    segments = sorted((audobon.folder / "data" / "wal").glob("*/*.segment"))
    raw = bytearray(segments[1].read_bytes())
    raw[-40] ^= 1
    segments[1].write_bytes(raw)
    assert segments[1].name in audobon("database", "check", status=9).stderr
    into = audobon.folder / "x.db"
    refused = audobon("database", "restore", "--into", into, status=9).stderr
    assert segments[1].name in refused
    assert "--as-far-as-possible restores to commit" in refused
    done = audobon("database", "restore", "--into", into, "--as-far-as-possible")
    assert "it ends there because wal/" in done.stderr


def test_a_copy_put_over_the_database_by_hand_is_told_and_both_states_can_be_had(audobon: Audobon) -> None:
    database = audobon.folder / "data" / "audobon.db"
    copy = audobon.folder / "old.db"
    audobon("queue", "pause", "batch")
    audobon("database", "restore", "--into", copy)
    audobon("queue", "resume", "batch")
    last = json.loads(audobon("database", "status", "--json").stdout)["shipped"]["commit"]
    shutil.copyfile(copy, database)

    told = f"{database}: another file lies where the database was, beside the log of that"
    assert audobon("queue", "pause", "interactive", status=9).stderr == (
        f"error: {told}\nhint: audobon recovery mend\n"
    )
    for command in (("database", "check"), ("check",)):
        assert f"{told}; audobon recovery mend\n" in audobon(*command, status=9).stderr
    mended = audobon("recovery", "mend").stderr
    assert "it is the database now, without that log, which is in" in mended
    assert f"audobon database restore --to {last} --in-place" in mended

    assert queue_state(audobon) == "pause"
    audobon("database", "check")
    audobon("check")
    assert len(json.loads(audobon("database", "points", "--json").stdout)) == 2
    audobon("database", "restore", "--to", last, "--in-place")
    assert queue_state(audobon) == "run"


def queue_state(audobon: Audobon) -> str:
    """Return the state of a queue as the database holds it, log and all."""
    with (
        keeping_log(str(audobon.folder / "data" / "audobon.db")),
        closing(sqlite3.connect(audobon.folder / "data" / "audobon.db")) as connection,
    ):
        return str(connection.execute("SELECT state FROM queue WHERE name = 'batch'").fetchone()[0])
