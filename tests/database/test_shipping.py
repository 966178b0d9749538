"""Shipping: every commit is in the copy, in order, whatever the log, its rounds and its writers do."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from shipped_desk import Desk, number_in, random_deed

from audobon.database.checkpoints import Checkpoints
from audobon.database.looking import faults_in_copy
from audobon.database.shipping_state import StateFile
from audobon.database.snapshots import hold
from audobon.sqlite import transaction


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def test_every_commit_can_be_restored_exactly(desk: Desk) -> None:
    draw = random.Random(7)
    first = desk.ship().commit
    for _ in range(260):
        desk.write(*random_deed(draw, desk.number))
        if draw.random() < 0.4:
            desk.ship()
        if draw.random() < 0.02:
            desk.reopen()
    last = desk.ship().commit
    assert [generation.first for generation in desk.generations()] == [first]
    numbers = {}
    for commit in draw.sample(range(first, last + 1), 200):
        found = desk.restored(commit)
        assert found == desk.seen[number_in(found)]
        numbers[commit] = number_in(found)
    # Each commit is one further than that before; those that only begin the log anew change nothing.
    steps = [(numbers[commit + 1] - number) for commit, number in numbers.items() if commit + 1 in numbers]
    assert len(steps) > 100
    assert set(steps) <= {0, 1}
    assert steps.count(0) <= last - first - 260
    assert desk.restored() == desk.seen[desk.number]


def test_the_log_is_begun_anew_again_and_again_in_one_generation(desk: Desk) -> None:
    desk.ship()
    sizes = []
    for _ in range(8):
        for _ in range(60):
            desk.write(
                "INSERT INTO note (text) VALUES (hex(randomblob(12000)))", "DELETE FROM note WHERE id % 3 = 0"
            )
        desk.ship()
        sizes.append(desk.path.with_name("audobon.db-wal").stat().st_size)
    assert len(desk.generations()) == 1
    # It was copied into the database and written over, not grown.
    assert max(sizes) < 6_000_000
    assert desk.restored() == desk.seen[desk.number]


def test_nothing_is_shipped_when_nothing_was_committed(desk: Desk) -> None:
    desk.ship()
    objects = desk.objects()
    assert not desk.shipper.has_news()
    assert desk.ship().commit == desk.ship().commit
    assert desk.objects() == objects


def test_a_new_shipper_goes_on_where_the_last_one_stopped(desk: Desk) -> None:
    desk.ship()
    desk.write_many(3)
    position = desk.ship()
    desk.write_many(3)
    desk.shipper.close()
    desk.shipper = desk.new_shipper()
    assert desk.ship().commit == position.commit + 3
    assert len(desk.generations()) == 1


@pytest.mark.parametrize("note", ["lost", "torn", "old"])
def test_a_note_that_is_lost_torn_or_old_costs_no_commit(desk: Desk, note: str) -> None:
    path = desk.folder / "locks" / "audobon.db.shipped"
    desk.ship()
    old = path.read_bytes()
    desk.write_many(3)
    desk.ship()
    desk.write_many(3)
    match note:
        case "lost":
            path.unlink()
        case "torn":
            path.write_bytes(old[:50])
        case "old":
            path.write_bytes(old)
    desk.shipper.close()
    desk.shipper = desk.new_shipper()
    desk.ship()
    assert len(desk.generations()) == 1
    assert desk.restored() == desk.seen[desk.number]


def test_what_was_rolled_back_is_not_shipped(desk: Desk) -> None:
    desk.ship()
    before = desk.ship().commit
    desk.connection.execute("PRAGMA cache_size = 10")

    def give_up() -> None:
        with transaction(desk.connection):
            for _ in range(300):
                desk.connection.execute("INSERT INTO note (text) VALUES (hex(randomblob(2000)))")
            # More than its cache holds: its pages are in the log already, though nothing is committed.
            assert desk.ship().commit == before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        give_up()
    assert desk.ship().commit == before
    desk.write_many(1)
    assert desk.ship().commit == before + 1
    assert desk.restored() == desk.seen[desk.number]


def test_pages_spilled_before_the_commit_arrive_with_it(desk: Desk) -> None:
    desk.ship()
    desk.connection.execute("PRAGMA cache_size = 10")
    before = desk.ship().commit
    with transaction(desk.connection):
        for _ in range(300):
            desk.connection.execute("INSERT INTO note (text) VALUES (hex(randomblob(2000)))")
        desk.ship()
    desk.write_many(1)
    assert desk.ship().commit == before + 2
    assert desk.restored() == desk.seen[desk.number]


def test_savepoints_arrive_as_they_ended(desk: Desk) -> None:
    def give_up() -> None:
        with transaction(desk.connection):
            desk.connection.execute("INSERT INTO note (text) VALUES ('taken back')")
            raise ZeroDivisionError

    desk.ship()
    with transaction(desk.connection):
        desk.connection.execute("INSERT INTO note (text) VALUES ('kept')")
        with pytest.raises(ZeroDivisionError):
            give_up()
    desk.write_many(1)
    desk.ship()
    assert desk.restored() == desk.seen[desk.number]


def test_a_vacuum_is_shipped_like_any_commit(desk: Desk) -> None:
    desk.write_many(400)
    desk.ship()
    desk.write("DELETE FROM note WHERE id % 5")
    desk.connection.execute("VACUUM")
    desk.write_many(1)
    desk.ship()
    assert len(desk.generations()) == 1
    assert desk.restored() == desk.seen[desk.number]


def test_a_database_that_shrinks_is_restored_as_small(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "audobon.db")) as connection:
        connection.execute("PRAGMA auto_vacuum = FULL")
        connection.execute("CREATE TABLE first (x)")
    desk = Desk(tmp_path)
    desk.write("INSERT INTO note (text) VALUES (hex(randomblob(400000)))")
    desk.ship()
    desk.write("DELETE FROM note")
    desk.ship()
    assert desk.restored() == desk.seen[desk.number]
    pages = desk.connection.execute("PRAGMA page_count").fetchone()[0]
    assert (tmp_path / "restored.db").stat().st_size == pages * 4096
    assert pages < 20
    desk.close()


@pytest.mark.parametrize("page_bytes", [512, 1024, 65536])
def test_any_size_of_page_is_shipped(tmp_path: Path, page_bytes: int) -> None:
    with closing(sqlite3.connect(tmp_path / "audobon.db")) as connection:
        connection.execute(f"PRAGMA page_size = {page_bytes}")
        connection.execute("CREATE TABLE first (x)")
    desk = Desk(tmp_path)
    desk.ship()
    desk.write_many(30)
    desk.ship()
    assert desk.restored() == desk.seen[desk.number]
    desk.close()


def test_a_clock_that_goes_back_does_not_disturb_the_order(desk: Desk) -> None:
    desk.write_many(2)
    earlier = desk.ship()
    desk.now -= 500_000
    desk.write_many(2)
    later = desk.ship()
    assert later.commit == earlier.commit + 2
    assert later.at == earlier.at
    assert desk.restored() == desk.seen[desk.number]


def test_a_reader_that_stays_long_keeps_nothing_from_being_shipped(desk: Desk) -> None:
    desk.ship()
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM note").fetchone()
        for _ in range(5):
            for _ in range(100):
                desk.write(
                    "INSERT INTO note (text) VALUES (hex(randomblob(9000)))", "DELETE FROM note WHERE id % 4"
                )
            desk.ship()
        reader.execute("ROLLBACK")
    desk.write_many(2)
    desk.ship()
    assert len(desk.generations()) == 1
    assert desk.restored() == desk.seen[desk.number]


def test_a_new_snapshot_bounds_what_a_restore_has_to_read(desk: Desk) -> None:
    desk.ship()
    for _ in range(14):
        for _ in range(40):
            desk.write(
                "INSERT INTO note (text) VALUES (hex(randomblob(20000)))", "DELETE FROM note WHERE id % 3"
            )
        desk.ship()
    (generation,) = desk.generations()
    assert len(generation.snapshots) >= 2
    assert desk.restored() == desk.seen[desk.number]
    first = min(generation.snapshots)
    assert number_in(desk.restored(first)) == 1


# What others do to the log


def foreign(desk: Desk, *statements: str) -> None:
    """Do something with another tool, which knows nothing of shipping."""
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as tool:
        for statement in statements:
            tool.execute(statement)


def assert_recovered(desk: Desk, *, generations: int) -> None:
    desk.write_many(2)
    desk.ship()
    assert len(desk.generations()) == generations
    assert desk.restored() == desk.seen[desk.number]


def test_another_tool_that_only_writes_is_shipped(desk: Desk) -> None:
    desk.ship()
    foreign(desk, "INSERT INTO note (text) VALUES ('by another')")
    assert_recovered(desk, generations=1)


def test_another_tool_that_begins_the_log_anew_makes_a_new_generation(desk: Desk) -> None:
    desk.ship()
    desk.write_many(3)
    foreign(desk, "PRAGMA wal_checkpoint(TRUNCATE)", "INSERT INTO note (text) VALUES ('by another')")
    assert_recovered(desk, generations=2)


def test_a_log_begun_anew_while_nobody_shipped_makes_a_new_generation(desk: Desk) -> None:
    """As litestream#752: after downtime and a checkpoint, what was shipped could not be restored."""
    desk.ship()
    desk.shipper.close()
    desk.connection.execute("PRAGMA wal_autocheckpoint = 20")
    desk.write_many(300)
    desk.shipper = desk.new_shipper()
    assert_recovered(desk, generations=2)


def test_a_log_that_the_last_to_close_removed_makes_a_new_generation(desk: Desk) -> None:
    desk.ship()
    desk.shipper.close()
    desk.connection.close()
    foreign(desk, "INSERT INTO note (text) VALUES ('alone')")
    assert not desk.path.with_name("audobon.db-wal").exists()
    desk.reopen()
    assert_recovered(desk, generations=2)


def test_a_log_outlasts_our_own_last_close(desk: Desk) -> None:
    desk.ship()
    for _ in range(5):
        desk.write_many(2)
        desk.reopen()
    assert_recovered(desk, generations=1)


def test_a_database_put_in_place_of_another_makes_a_new_generation(desk: Desk) -> None:
    desk.write_many(5)
    position = desk.ship()
    seen = desk.seen[desk.number]
    desk.write_many(5)
    desk.ship()
    desk.shipper.close()
    desk.connection.close()
    desk.restored(position.commit)
    for ending in ("-wal", "-shm"):
        Path(f"{desk.path}{ending}").unlink()
    (desk.folder / "restored.db").replace(desk.path)
    desk.reopen()
    assert_recovered(desk, generations=2)
    assert desk.restored(position.commit) == seen


def test_another_size_of_pages_makes_a_new_generation(desk: Desk) -> None:
    desk.ship()
    desk.shipper.close()
    desk.connection.close()
    foreign(desk, "PRAGMA journal_mode = DELETE", "PRAGMA page_size = 8192", "VACUUM")
    desk.reopen()
    assert_recovered(desk, generations=2)


def test_commits_count_on_over_generations(desk: Desk) -> None:
    first = desk.ship()
    foreign(desk, "PRAGMA wal_checkpoint(TRUNCATE)")
    desk.write_many(1)
    second = desk.ship()
    assert second.generation > first.generation
    assert second.commit > first.commit


def between_the_locks(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    deed: Callable[[], None],
    before: Callable[[], None] = lambda: None,
) -> list[str]:
    """Have something done just when the log is in the database and the lock is free for a moment."""
    kept_out = Checkpoints.writers_kept_out
    entered: list[str] = []

    def entering(checkpoints: Checkpoints) -> AbstractContextManager[sqlite3.Connection]:
        entered.append("")
        if len(entered) == 2:
            deed()
        return kept_out(checkpoints)

    desk.ship()
    for _ in range(260):
        desk.write("INSERT INTO note (text) VALUES (hex(randomblob(9000)))", "DELETE FROM note WHERE id % 3")
    before()
    monkeypatch.setattr(Checkpoints, "writers_kept_out", entering)
    desk.ship()
    return entered


def test_who_begins_the_log_anew_in_our_place_is_shipped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    entered = between_the_locks(desk, monkeypatch, lambda: desk.write_many(2))
    assert len(entered) == 2
    assert_recovered(desk, generations=1)


def killed_once_begun_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the shipper die when the log is begun anew, and nothing of the new round is shipped."""

    class Killed(BaseException):
        pass

    def turning(checkpoints: Checkpoints, ship: Any, began_anew: Any) -> None:
        turn(checkpoints, ship, lambda _: None)
        raise Killed

    turn = Checkpoints.turn
    desk.ship()
    for _ in range(260):
        desk.write("INSERT INTO note (text) VALUES (hex(randomblob(9000)))", "DELETE FROM note WHERE id % 3")
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "turn", turning)
        with pytest.raises(Killed):
            desk.ship()


def test_a_shipper_killed_when_the_log_was_just_begun_anew_costs_no_generation(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_once_begun_anew(desk, monkeypatch)
    desk.write_many(3)
    desk.reopen()
    assert_recovered(desk, generations=1)


def test_once_how_the_log_ended_is_overwritten_there_is_a_new_generation(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_once_begun_anew(desk, monkeypatch)
    for _ in range(260):
        desk.write("INSERT INTO note (text) VALUES (hex(randomblob(12000)))", "DELETE FROM note WHERE id % 3")
    desk.reopen()
    assert_recovered(desk, generations=2)


def test_what_was_written_before_others_began_the_log_anew_is_not_passed_over(desk: Desk) -> None:
    desk.write_many(9)
    desk.ship()
    desk.write_many(3)
    foreign(desk, "PRAGMA wal_checkpoint(PASSIVE)")
    desk.write_many(1)
    desk.reopen()
    assert_recovered(desk, generations=2)


def test_what_was_written_and_overwritten_meanwhile_makes_a_new_generation(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deed() -> None:
        desk.write_many(2)
        foreign(desk, "PRAGMA wal_checkpoint(TRUNCATE)")
        desk.write_many(2)

    entered = between_the_locks(desk, monkeypatch, deed)
    assert len(entered) >= 2
    assert_recovered(desk, generations=2)


def test_commits_that_a_reader_kept_in_the_old_round_are_missed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = sqlite3.connect(desk.path, isolation_level=None)

    def deed() -> None:
        # A reader keeps the round from being begun anew, so these commits go into the old one ...
        desk.write_many(2)
        reader.execute("ROLLBACK")
        # ... and are gone with it: only the count of commits tells, the salts are the next ones.
        foreign(desk, "PRAGMA wal_checkpoint(PASSIVE)")
        desk.write_many(2)

    def reading() -> None:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM note").fetchone()

    entered = between_the_locks(desk, monkeypatch, deed, before=reading)
    reader.close()
    assert len(entered) >= 2
    assert_recovered(desk, generations=2)


def test_a_log_is_only_begun_anew_once_everything_is_shipped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As litestream#1164: a commit that came between the last ship and the checkpoint was lost."""
    copy, late = Checkpoints._copy, []

    def copying(checkpoints: Checkpoints) -> tuple[int, int]:
        if not late:
            # The first copy is made while others write.
            late.append(desk.number)
            desk.write_many(3)
        return copy(checkpoints)

    desk.ship()
    for _ in range(260):
        desk.write("INSERT INTO note (text) VALUES (hex(randomblob(9000)))", "DELETE FROM note WHERE id % 3")
    monkeypatch.setattr(Checkpoints, "_copy", copying)
    desk.ship()
    assert late
    assert_recovered(desk, generations=1)


def test_two_that_ship_before_there_is_anything_make_one_history(desk: Desk) -> None:
    other = desk.new_shipper()
    desk.shipper.ship(takes_snapshots=False)
    desk.write_many(1)
    other.ship(takes_snapshots=False)
    desk.shipper.snapshot()
    desk.write_many(1)
    other.ship()
    desk.write_many(1)
    desk.shipper.ship()
    other.close()
    assert len(desk.generations()) == 1
    assert desk.restored() == desk.seen[desk.number]


@pytest.mark.parametrize("names", ["0000000a", "f000000a"])
def test_of_two_that_began_alike_the_one_that_went_on_is_the_latest(desk: Desk, names: str) -> None:
    # Noted nowhere, as on a full disk, while a long snapshot was taken.
    made = iter([names, names[::-1]])
    draw = pytest.MonkeyPatch()
    draw.setattr(
        "audobon.database.shipping_state.generation_name", lambda commit: f"{commit:012d}-{next(made)}"
    )
    note = desk.folder / "locks" / "audobon.db.shipped"
    desk.shipper.ship(takes_snapshots=False)
    note.unlink()
    other = desk.new_shipper()
    other.ship(takes_snapshots=False)
    held = note.read_bytes()
    note.unlink()
    # The first, late, stores the snapshot of what nobody goes on with.
    desk.shipper._store_snapshot(*_held(desk))
    note.write_bytes(held)
    for _ in range(3):
        desk.write_many(1)
        other.ship()
    other.close()
    draw.undo()
    assert desk.restored() == desk.seen[desk.number]
    desk.reopen()
    desk.write_many(1)
    desk.ship()
    assert desk.restored() == desk.seen[desk.number]


def _held(desk: Desk) -> tuple[Any, Any]:
    """Return what a snapshot of the desk's own shipper would hold."""
    checkpoints = desk.shipper._checkpoints
    with checkpoints.writers_kept_out():
        held = hold(checkpoints.reader(), checkpoints.log, str(desk.path), checkpoints.index)
    return held, desk.shipper._known()


def test_what_was_shipped_last_and_is_gone_is_told_and_never_counted_again(desk: Desk) -> None:
    for _ in range(3):
        desk.write_many(1)
        desk.ship()
    position = desk.ship()
    last = desk.objects()[-1]
    desk.store.delete(last)
    noted = StateFile(desk.path).read()
    assert list(faults_in_copy(desk.store, desk.keys)) == []
    assert list(faults_in_copy(desk.store, desk.keys, shipped=noted)) == [
        f"{last} of the shipped database is missing: the copy ends with commit {position.commit - 1},"
        f" and reached to {position.commit}"
    ]
    desk.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    desk.write_many(1)
    assert desk.ship().commit > position.commit
    assert desk.restored() == desk.seen[desk.number]


def test_nothing_is_copied_a_second_time_while_others_may_begin_the_log_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SQLite's WAL-reset bug before 3.51.3, which took commits of the new round for copied."""
    copy, copied = Checkpoints._copy, []
    other = sqlite3.connect(desk.path, isolation_level=None, timeout=0)

    def copying(checkpoints: Checkpoints) -> tuple[int, int]:
        try:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
            is_free = True
        except sqlite3.OperationalError:
            is_free = False
        copied.append((is_free, checkpoints.log.copied_frames() == checkpoints.index().frames))
        return copy(checkpoints)

    def refuse() -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(Checkpoints, "_copy", copying)
    # All is copied, and the lock for beginning anew is not had.
    between_the_locks(desk, monkeypatch, refuse)
    desk.shipper._turn()
    for _ in range(30):
        desk.write("INSERT INTO note (text) VALUES (hex(randomblob(90000)))", "DELETE FROM note WHERE id % 3")
        desk.shipper._turn()
        desk.shipper._turn()
    other.close()
    desk.ship()
    assert len(copied) > 30
    assert (True, True) not in copied
    assert desk.restored() == desk.seen[desk.number]
