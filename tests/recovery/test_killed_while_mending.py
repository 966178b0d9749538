"""Mending that is killed, at any file it touches, is finished by the next start; nothing shipped is lost."""

import random
import shutil
from pathlib import Path

import pytest
from mended_home import Home

import faults
from faults import Plan

POINTS_TRIED = 24


def ruin(home: Home) -> None:
    """Lose the database, its log and the index, and a pack; the copy and a place are left."""
    for path in [*home.folder.glob("audobon.db-*"), *home.folder.glob("storage.db*"), *home.packs()]:
        path.unlink()
    home.database.write_bytes(b"no database" * 1000)


def assert_whole(home: Home) -> None:
    assert home.jobs() == ["first", "second"]
    assert home.lacking() == 0
    assert home.mended() == []
    assert home.restorable() == {"first", "second"}
    assert home.kept()["audobon.db"] == b"no database" * 1000
    assert not (home.folder / "restoring").exists()
    assert not (home.folder / "restoring.intent").exists()


@pytest.mark.parametrize("fault", ["kill", "torn"])
def test_killed_ever_later_it_gets_through_in_the_end(home: Home, fault: faults.Fault) -> None:
    home.back_up()
    ruin(home)
    number, outcome = 0, "killed"
    while outcome == "killed":
        number += 3
        outcome = faults.in_child(home.mend, Plan(fault, at=number, below=str(home.folder)))
    assert outcome == "done"
    assert_whole(home)


def test_killed_anywhere_the_next_start_finishes_it(home: Home, tmp_path: Path) -> None:
    home.back_up()
    ruin(home)
    ruined = tmp_path / "ruined"
    shutil.copytree(home.folder, ruined)
    calls = 0
    with faults.watching(below=str(home.folder)) as watched:
        home.mend()
        calls = len(watched)
    assert calls > POINTS_TRIED
    for number in sorted(random.Random(3).sample(range(1, calls + 1), POINTS_TRIED)):
        shutil.rmtree(home.folder)
        shutil.copytree(ruined, home.folder)
        faults.in_child(home.mend, Plan("kill", at=number, below=str(home.folder)))
        home.mend()
        assert_whole(home)


def test_a_restore_in_place_that_was_killed_is_finished_or_was_never_begun(home: Home) -> None:
    from audobon.database.copies import own_copy
    from audobon.database.generations import latest_position

    with home.app() as app:
        last = latest_position(own_copy(home.folder), app.keys)
    assert last is not None
    home.add_job("third")
    whole = home.folder.parent / "whole"
    shutil.copytree(home.folder, whole)

    def restore() -> None:
        with home.app() as app:
            app.recovery.restore_database(None, to=last.commit, as_far_as_possible=False)

    seen = set()
    for number in range(1, 60, 2):
        shutil.rmtree(home.folder)
        shutil.copytree(whole, home.folder)
        outcome = faults.in_child(restore, Plan("kill", at=number, below=str(home.folder)))
        home.mend()
        seen.add(tuple(home.jobs()))
        assert home.mended() == []
        if outcome == "done":
            break
    assert seen == {("first", "second", "third"), ("first", "second")}
