"""A damaged, lost or old database is noticed when an engine starts, and mended from what was shipped."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mended_home import Home

from audobon.database.restoring import faults_of
from audobon.errors import Corrupt, CorruptBackup, Unavailable
from audobon.queue.tasks import Needs, NewTask
from audobon.sqlite import connect

Damage = Callable[[Path], None]
StartPython = Callable[..., "subprocess.Popen[str]"]


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def into_file(path: Path) -> None:
    """Have the database itself hold everything, so that damage to it counts."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def flip_a_page(path: Path) -> None:
    into_file(path)
    overwrite(path, 2 * 4096, os.urandom(2048))


def cut_in_half(path: Path) -> None:
    into_file(path)
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    into_file(path)
    os.truncate(path, 0)


def remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def write_over(path: Path) -> None:
    path.write_bytes(b"this is no database at all" * 100)


def cut_the_log(path: Path) -> None:
    log = Path(f"{path}-wal")
    os.truncate(log, log.stat().st_size // 2)


def flip_in_the_log(path: Path) -> None:
    log = Path(f"{path}-wal")
    overwrite(log, log.stat().st_size // 2, b"\xff" * 8)


def flip_the_head_of_the_log(path: Path) -> None:
    overwrite(Path(f"{path}-wal"), 0, b"\xff" * 4)


EVERY_DAMAGE = [
    flip_a_page,
    cut_in_half,
    empty,
    remove,
    write_over,
    cut_the_log,
    flip_in_the_log,
    flip_the_head_of_the_log,
]


@pytest.mark.parametrize("damage", EVERY_DAMAGE)
@pytest.mark.parametrize("is_thorough", [True, False])
def test_a_damaged_database_comes_back_up_to_the_last_commit_that_was_shipped(
    home: Home, damage: Damage, *, is_thorough: bool
) -> None:
    damage(home.database)
    there = {path.name: path.read_bytes() for path in home.folder.glob("audobon.db*")}

    told = home.mend(is_thorough=is_thorough)

    assert [each.what for each in told] == ["database restored"]
    assert told[0].is_grave
    assert "restored from its own copy up to commit" in told[0].words
    assert told[0].facts["broken_off"] is None
    assert home.jobs() == ["first", "second"]
    assert home.lacking() == 0
    # What was there is kept, but for the index that SQLite makes anew at every opening.
    assert {name: data for name, data in home.kept().items() if name == "audobon.db"} == {
        name: data for name, data in there.items() if name == "audobon.db"
    }
    assert faults_of(home.database) == []
    with home.app() as app:
        assert [each.what for each in app.recovery.book.list()] == ["database restored"]
    # The copy goes on: what comes after can be restored too.
    home.add_job("third")
    assert home.restorable() == {"first", "second", "third"}
    assert home.mended() == []


def test_a_sound_database_is_left_as_it_is(home: Home) -> None:
    files = [home.database, Path(f"{home.database}-wal")]
    before = [file.read_bytes() for file in files]
    assert home.mended(is_thorough=True) == []
    assert home.mended(is_thorough=False) == []
    assert [file.read_bytes() for file in files] == before
    assert home.restorable() == {"first", "second"}
    assert not (home.folder / "damaged").exists()


@pytest.mark.parametrize("damage", [empty, remove])
def test_no_other_command_begins_a_lost_database_anew(home: Home, damage: Damage) -> None:
    damage(home.database)
    with pytest.raises(Corrupt) as error:
        home.jobs()
    assert error.value.hint == "audobon recovery mend"
    assert home.mended() == ["database restored"]
    assert home.jobs() == ["first", "second"]


def test_damage_that_a_command_meets_is_looked_for_at_the_next_start(home: Home) -> None:
    cut_in_half(home.database)
    with pytest.raises(Corrupt) as error:
        home.jobs()
    assert error.value.hint == "audobon recovery mend"
    assert (home.folder / "locks" / "audobon.db.damaged").exists()
    assert home.mended(is_thorough=False) == ["database restored"]
    assert not (home.folder / "locks" / "audobon.db.damaged").exists()


def test_a_log_that_another_program_copied_into_the_database_is_no_damage(home: Home) -> None:
    into_file(home.database)
    Path(f"{home.database}-wal").unlink(missing_ok=True)
    Path(f"{home.database}-shm").unlink(missing_ok=True)
    assert home.mended() == []
    assert home.jobs() == ["first", "second"]


def test_an_older_database_that_was_put_back_is_told_of_and_left(home: Home) -> None:
    into_file(home.database)
    old = home.database.read_bytes()
    with home.app() as app, app.queue() as queue:
        queue.enqueue("maintenance", [NewTask(needs=Needs(kind="sweep-blobs"), payload="{}")])
    remove(home.database)
    home.database.write_bytes(old)

    told = home.mend()

    assert [each.what for each in told] == ["database rolled back"]
    commit = told[0].facts["commit"]
    assert f"audobon database restore --to {commit} --in-place" in told[0].words
    assert home.database.read_bytes()[100:] == old[100:]
    # The mend that is told of brings it back; what was put back is kept.
    with home.app() as app:
        app.recovery.restore_database(None, to=commit, as_far_as_possible=False)
    with closing(sqlite3.connect(home.database)) as connection:
        assert connection.execute("SELECT count(*) FROM task").fetchone() == (1,)
    assert home.mended() == []


def test_a_damaged_own_copy_falls_back_to_the_place_and_what_is_newest_wins(home: Home) -> None:
    home.back_up()
    for path in (home.folder / "wal").glob("*/*"):
        overwrite(path, path.stat().st_size // 2, b"\xff" * 16)
    flip_a_page(home.database)

    told = home.mend()

    assert [each.what for each in told] == ["database restored"]
    assert told[0].facts["source"] == str(home.place)
    assert home.jobs() == ["first", "second"]
    home.add_job("third")
    assert home.restorable() == {"first", "second", "third"}


def test_an_own_copy_that_is_damaged_at_its_end_is_followed_as_far_as_it_goes(home: Home) -> None:
    newest = max((home.folder / "wal").glob("*/*.segment"))
    overwrite(newest, newest.stat().st_size // 2, b"\xff" * 16)
    flip_a_page(home.database)

    told = home.mend()

    assert [each.what for each in told] == ["database restored"]
    assert "first" in home.jobs()
    home.add_job("third")
    assert "third" in home.restorable()


def test_nothing_is_touched_when_no_copy_can_be_restored(home: Home) -> None:
    shutil.rmtree(home.folder / "wal")
    flip_a_page(home.database)
    before = home.database.read_bytes()
    with pytest.raises(CorruptBackup, match="no copy of it can be restored") as error:
        home.mend()
    assert error.value.hint is not None
    assert home.database.read_bytes() == before


def test_without_any_copy_a_lost_database_begins_anew_and_that_is_said(home: Home) -> None:
    shutil.rmtree(home.folder / "wal")
    remove(home.database)
    assert home.mended() == ["database lost"]
    assert home.jobs() == []


def test_a_database_that_another_command_has_open_is_not_replaced(
    home: Home, start_python: StartPython
) -> None:
    into_file(home.database)
    other = start_python(
        "import sys, pathlib\nfrom audobon.sqlite import connect\n"
        "c = connect(pathlib.Path(sys.argv[1])); c.execute('SELECT count(*) FROM job').fetchone()\n"
        "print('open', flush=True); sys.stdin.read()",
        home.database,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "open\n"
    overwrite(home.database, 0, b"no database")
    with pytest.raises(Unavailable, match="other commands have it open"):
        home.mend()
    other.communicate("")
    assert home.mended() == ["database restored"]


def test_a_restore_in_place_keeps_what_was_there_and_can_be_undone(home: Home) -> None:
    with home.app() as app:
        from audobon.database.copies import own_copy
        from audobon.database.generations import latest_position

        last = latest_position(own_copy(home.folder), app.keys)
    assert last is not None
    home.add_job("third")
    with home.app() as app:
        put_back = app.recovery.restore_database(None, to=last.commit, as_far_as_possible=False)
    assert home.jobs() == ["first", "second"]
    assert put_back.kept is not None
    # It is no damage, and the history goes on.
    assert home.mended() == []
    assert home.restorable() == {"first", "second"}
    with home.app() as app:
        app.recovery.restore_database(None, to=last.commit + 1, as_far_as_possible=False)
    with closing(connect(home.database)) as connection:
        assert faults_of(home.database) == []
        assert connection.execute("SELECT count(*) FROM job").fetchone()[0] in (2, 3)
