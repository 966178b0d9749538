"""A machine that misbehaves: clocks that are set, a locked database, no room on the disk."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from audobon_command import Audobon, wait_until, without_privileges
from broken_processes import broken_in
from drawn_pages import book_of
from running_engine import engine_up

COMMAND = ("run", "upscale", "fox.cbz", "-o", "print.cbz")
PAGES = [f"page{number}.png" for number in range(1, 7)]

# Every process of the folder reads how far its clock is off from a file, as if somebody set it.
CLOCK_IS_OFF = """
import pathlib, time
real, file = time.time, pathlib.Path(__file__).with_name("clock is off by")
time.time = lambda: real() + float(file.read_text())
"""
BUSY_IS_SHORT = """
from audobon import sqlite
sqlite.BUSY_SECONDS = 0.3
"""
DISK_IS_FULL = """
import errno, pathlib, sys
if "audobon.jobs.worker" in sys.orig_argv:
    from audobon.storage.service import BlobWriter
    mark = pathlib.Path(__file__).with_name("there is room")
    write = BlobWriter.write
    def write_without_room(self, data):
        if not mark.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)
    BlobWriter.write = write_without_room
"""
DATABASE_IS_FULL = """
import pathlib, sys
if "audobon.jobs.worker" in sys.orig_argv:
    from audobon import sqlite
    from audobon.database import service
    mark = pathlib.Path(__file__).with_name("there is room")
    connect = sqlite.connect
    def connect_without_room(path, **rest):
        connection = connect(path, **rest)
        if not mark.exists():
            connection.execute("PRAGMA max_page_count = 1")
        return connection
    service.connect = connect_without_room
    from audobon.queue.embedded import SqliteQueue
    finish = SqliteQueue.finish
    def finish_with_much(self, lease, *, blob=None, result=None):
        if not mark.exists():
            result = "x" * (1 << 20)
        finish(self, lease, blob=blob, result=result)
    SqliteQueue.finish = finish_with_much
"""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Keep all others from writing during the block."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=20)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("moved", [3600, -3600])
def test_a_clock_that_is_set_by_an_hour_takes_no_live_task_away_and_starves_none(
    audobon: Audobon, moved: int
) -> None:
    # given
    book_of(audobon.folder / "fox.cbz", 4, 150, 200)
    env = broken_in(audobon.folder.parent / "broken", CLOCK_IS_OFF)
    clock = audobon.folder.parent / "broken" / "clock is off by"
    clock.write_text("0")

    with engine_up(audobon, env=env):
        # A task that rests between two attempts is not to rest an hour longer.
        run = audobon.start(*COMMAND, env=env)
        audobon.wait_for_work_after(1)
        with closing(sqlite3.connect(audobon.data / "audobon.db", timeout=20)) as connection:
            resting = "UPDATE task SET state = 'waiting', run_at = run_at + 2 WHERE ordinal = 3"
            connection.execute(f"{resting} AND state = 'ready'")
            connection.commit()

        # when
        clock.write_text(str(moved))
        outcome = audobon.outcome(run)

    # then
    assert outcome.status == 0, outcome.err
    assert audobon.done_events() == [(name, 1) for name in PAGES[:4]]
    assert audobon.query("SELECT DISTINCT attempt FROM task") == [(1,)]
    assert audobon.query("SELECT count(*) FROM task_event") == [(0,)]


def test_a_database_that_is_locked_for_a_while_only_holds_the_work_up(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 3, 150, 200)
    with engine_up(audobon) as engine:
        run = audobon.start(*COMMAND)
        audobon.wait_for_work_after(1)
        with locked(audobon.data / "audobon.db"), pytest.raises(AssertionError):
            wait_until(lambda: run.poll() is not None or engine.poll() is not None, "an end", seconds=2)
        outcome = audobon.outcome(run)

    assert outcome.status == 0, outcome.err
    assert audobon.done_events() == [(name, 1) for name in PAGES[:3]]
    assert audobon.query("SELECT count(*) FROM task_event") == [(0,)]


def test_a_database_that_stays_locked_ends_the_engine_with_words_and_loses_nothing(
    audobon: Audobon,
) -> None:
    book_of(audobon.folder / "fox.cbz", 3, 150, 200)
    env = broken_in(audobon.folder.parent / "broken", BUSY_IS_SHORT)
    with engine_up(audobon, env=env) as engine:
        run = audobon.start(*COMMAND, env=env)
        audobon.wait_for_work_after(1)
        with locked(audobon.data / "audobon.db"):
            out, err = engine.communicate(timeout=20)
            stopped = audobon.outcome(run)
    again = audobon.run(*COMMAND)

    said = f"error: {audobon.data}/audobon.db is kept locked by another process\nhint: try again later\n"
    assert (engine.returncode, out) == (8, "")
    assert err.endswith(said)
    assert stopped.status == 8
    assert stopped.err.endswith(said)
    assert again.status == 0, again.err
    assert audobon.done_events() == [(name, 1) for name in PAGES[:3]]
    assert audobon.query("SELECT DISTINCT attempt FROM task") == [(1,)]


def test_a_data_folder_that_may_not_be_written_is_said_and_not_worked_in(audobon: Audobon) -> None:
    with engine_up(audobon):
        pass
    (audobon.data / "audobon.db").chmod(0o400)
    refused = audobon.run("up", preexec_fn=without_privileges)

    assert (refused.status, refused.out) == (6, "")
    assert refused.err.startswith(f"error: not allowed: {audobon.data}/audobon.db: ")
    assert refused.err.endswith("\nhint: check the permissions of its folder\n")


@pytest.mark.parametrize("code", [DISK_IS_FULL, DATABASE_IS_FULL], ids=["results", "database"])
def test_a_full_disk_ends_the_engine_with_words_and_what_was_at_work_is_done_when_there_is_room(
    audobon: Audobon, code: str
) -> None:
    book_of(audobon.folder / "fox.cbz", 2, 48, 64)
    env = broken_in(audobon.folder.parent / "broken", code)
    with engine_up(audobon, env=env) as engine:
        run = audobon.start(*COMMAND)
        out, err = engine.communicate(timeout=20)
        (audobon.folder.parent / "broken" / "there is room").touch()
        outcome = audobon.outcome(run)

    assert (engine.returncode, out) == (7, "")
    assert "error: no room left" in err
    assert err.endswith("hint: free some space and run the same command again\n")
    assert outcome.status == 0, outcome.err
    assert audobon.done_events() == [(name, 1) for name in PAGES[:2]]
    assert audobon.query("SELECT DISTINCT attempt FROM task") == [(1,)]
    assert audobon.leftovers() == []
