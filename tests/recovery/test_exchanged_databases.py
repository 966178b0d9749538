"""A copy of the database that a person puts over it by hand is noticed, kept from its log, and told of."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mended_home import Home

from audobon.database.copies import own_copy
from audobon.database.generations import generations, points
from audobon.database.restoring import faults_of
from audobon.errors import Corrupt
from audobon.sqlite import connect


def copy_of(home: Home) -> Path:
    """Return a copy of the database, whole, as other tools make one."""
    copy = home.folder.parent / "old.db"
    with closing(connect(home.database, keeps_log=True)) as here, closing(sqlite3.connect(copy)) as there:
        here.backup(there)
    return copy


def put_over(copy: Path, home: Home) -> None:
    """Do as `cp` does: other bytes in the same file; its log stays."""
    assert Path(f"{home.database}-wal").stat().st_size > 0
    shutil.copyfile(copy, home.database)


def last_point(home: Home) -> int:
    with home.app() as app:
        return next(points(own_copy(home.folder), app.keys)).last


def test_an_older_copy_put_over_the_database_is_what_it_is_from_then_on_and_the_newer_can_be_had(
    home: Home,
) -> None:
    copy = copy_of(home)
    home.add_job("third")
    last = last_point(home)
    put_over(copy, home)
    log = Path(f"{home.database}-wal").read_bytes()

    # Nobody writes into the mixture.
    with pytest.raises(Corrupt) as error:
        home.add_job("fourth")
    assert error.value.message == (
        f"{home.database}: another file lies where the database was, beside the log of that"
    )
    assert error.value.hint == "audobon recovery mend"

    (told,) = home.mend(is_thorough=False)

    assert told.what == "database rolled back"
    assert told.is_grave
    assert told.words.startswith("another file lies where the database was, beside the log of that; it is")
    assert f"audobon database restore --to {last} --in-place" in told.words
    assert home.kept() == {"audobon.db-wal": log}
    assert str(told.facts["kept"]) in told.words
    assert home.jobs() == home_jobs_of(copy) == ["first", "second"]
    assert faults_of(home.database) == []
    # It goes on as a new history, and the one before is whole.
    assert home.mended() == []
    home.add_job("fourth")
    assert home.restorable() == {"first", "second", "fourth"}
    assert len(generations(own_copy(home.folder))) == 2
    with home.app() as app:
        app.recovery.restore_database(None, to=last, as_far_as_possible=False)
    assert home.jobs() == ["first", "second", "third"]
    assert home.mended() == []


def home_jobs_of(copy: Path) -> list[str]:
    with closing(sqlite3.connect(copy)) as connection:
        return sorted(row[0] for row in connection.execute("SELECT id FROM job"))


def test_the_file_without_its_log_put_over_the_database_after_the_log_was_begun_anew_is_noticed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audobon.database.shipping.TURN_FRAMES", 4)
    home.add_job("third")
    copy = home.folder.parent / "old.db"
    shutil.copyfile(home.database, copy)
    # Its file holds what was in the log then.
    for name in ("fourth", "fifth"):
        home.add_job(name)
    put_over(copy, home)
    with pytest.raises(Corrupt):
        home.add_job("sixth")
    assert home.mended() == ["database rolled back"]
    assert home.jobs() == home_jobs_of(copy)
    assert faults_of(home.database) == []


def no_database(path: Path) -> None:
    path.write_bytes(b"this is no database at all" * 1000)


def another_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipe (words TEXT)")


@pytest.mark.parametrize("make", [no_database, another_database])
def test_what_is_no_database_of_ours_gives_way_to_the_newest_that_was_shipped(
    home: Home, make: Callable[[Path], None]
) -> None:
    other = home.folder.parent / "other"
    make(other)
    put_over(other, home)

    (told,) = home.mend(is_thorough=False)

    assert told.what == "database restored"
    assert told.words.startswith("another file lies where the database was, beside the log of that, and")
    assert home.kept()["audobon.db"] == other.read_bytes()
    assert home.jobs() == ["first", "second"]
    assert home.restorable() == {"first", "second"}


def test_a_file_that_was_only_touched_or_moved_is_no_other(home: Home) -> None:
    os.utime(home.database)
    assert home.mended(is_thorough=False) == []
    home.add_job("third")
    moved = home.folder.with_name("moved")
    shutil.copytree(home.folder, moved)
    shutil.rmtree(home.folder)
    moved.rename(home.folder)
    assert home.jobs() == ["first", "second", "third"]
    assert home.mended(is_thorough=False) == []
    home.add_job("fourth")
    assert home.restorable() == {"first", "second", "third", "fourth"}


def test_an_older_copy_put_back_without_any_log_is_told_of_though_no_row_is_missing(home: Home) -> None:
    copy = copy_of(home)
    with home.app() as app, closing(app.database.open()) as connection:
        connection.execute("UPDATE job SET state = 'done'")
    last = last_point(home)
    for file in home.folder.glob("audobon.db*"):
        file.unlink()
    shutil.copyfile(copy, home.database)

    (told,) = home.mend(is_thorough=False)

    assert told.what == "database rolled back"
    assert f"audobon database restore --to {last} --in-place" in told.words
    with closing(connect(home.database)) as connection:
        assert {row[0] for row in connection.execute("SELECT state FROM job")} == {"interrupted"}
    home.add_job("third")
    assert home.restorable() == {"first", "second", "third"}
    assert home.mended() == []
