"""Upkeep is scheduled once, and then belongs to the user."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from audobon.compute.maintenance_kinds import DEFAULT_SCHEDULES, MAINTENANCE_KINDS
from audobon.database.service import Database
from audobon.jobs.default_schedules import put_default_schedules
from audobon.queue.embedded import SqliteQueue
from audobon.queue.schedule import Schedule, next_after
from audobon.queue.tasks import Needs

Opened = tuple[sqlite3.Connection, SqliteQueue]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    with closing(Database(tmp_path).open()) as connection, SqliteQueue(connection) as queue:
        yield connection, queue


def test_an_empty_folder_gets_all_of_them(opened: Opened) -> None:
    connection, queue = opened

    assert put_default_schedules(connection, queue) == list(DEFAULT_SCHEDULES)
    assert {each.name: (each.needs.kind, each.queue, each.cron) for each in queue.schedules()} == {
        kind: (kind, "maintenance", cron) for kind, cron in DEFAULT_SCHEDULES.items()
    }
    assert put_default_schedules(connection, queue) == []


def test_what_the_user_changed_removed_or_paused_stays(opened: Opened) -> None:
    connection, queue = opened
    put_default_schedules(connection, queue)
    found = {each.name: each for each in queue.schedules()}
    queue.remove_schedule("prune-tasks")
    queue.put_schedule(msgspec.structs.replace(found["sweep-blobs"], is_paused=True, cron="0 1 * * *"))
    before = queue.schedules()

    assert put_default_schedules(connection, queue) == []
    assert queue.schedules() == before


def test_a_kind_that_the_user_scheduled_gets_no_second_schedule(opened: Opened) -> None:
    connection, queue = opened
    mine = Schedule(name="mine", queue="maintenance", needs=Needs(kind="sweep-blobs"), cron="0 1 * * *")
    queue.put_schedule(mine)

    assert "sweep-blobs" not in put_default_schedules(connection, queue)
    queue.remove_schedule("mine")
    assert put_default_schedules(connection, queue) == []


def test_a_kind_of_a_later_version_is_added_alone(opened: Opened) -> None:
    connection, queue = opened
    put_default_schedules(connection, queue, defaults={"sweep-blobs": "0 1 * * *"})
    queue.remove_schedule("sweep-blobs")

    later = {"sweep-blobs": "0 1 * * *", "prune-tasks": "0 2 * * *"}
    assert put_default_schedules(connection, queue, defaults=later) == ["prune-tasks"]


def test_each_default_is_of_a_kind_there_is_and_names_an_instant() -> None:
    assert DEFAULT_SCHEDULES.keys() <= MAINTENANCE_KINDS.keys()
    assert all(next_after(cron, 0.0) > 0 for cron in DEFAULT_SCHEDULES.values())
