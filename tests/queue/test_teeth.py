"""The conformance suite has teeth: a driver that breaks one promise fails the tests of that promise."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import conformance_processes
import msgspec
import pytest
from conformance import QueueConformance
from queue_tasks import FixedDraw, TurnedClock

from audobon.database.service import Database
from audobon.queue import looking, statements
from audobon.queue.choosing import Room
from audobon.queue.embedded import SqliteQueue
from audobon.queue.schedule import Schedule
from audobon.queue.sql import QueueRow
from audobon.queue.tasks import Lease


class Rewritten(SqliteQueue):
    """Runs some statements with another text in a place of theirs."""

    instead: ClassVar[dict[str, tuple[str, str]]] = {}

    def _rows(self, statement: str, values: dict[str, Any]) -> list[Sequence[Any]]:
        return super()._rows(self._rewritten(statement), values)

    def _count(self, statement: str, values: dict[str, Any]) -> int:
        return super()._count(self._rewritten(statement), values)

    def _rewritten(self, statement: str) -> str:
        old, new = self.instead.get(statement, ("", ""))
        assert old in statement
        return statement.replace(old, new) if old else statement


class FinishesWithoutAToken(Rewritten):
    instead: ClassVar = {statements.FINISH: ("token = :token", ":token > 0")}


class FailsWithoutAToken(Rewritten):
    instead: ClassVar = {
        statements.HELD: ("token = :token", ":token > 0"),
        statements.LET_GO: ("token = :token", ":token > 0"),
    }


class HandsOutTwice(Rewritten):
    instead: ClassVar = {statements.CLAIM: ("state = 'leased', owner", "owner")}


class KeepsLateTasks(Rewritten):
    instead: ClassVar = {statements.EXPIRE: ("deadline_at <= :now", "deadline_at < :now - 1e9")}


class AsksNobodyToStop(Rewritten):
    instead: ClassVar = {statements.STOP_REQUESTS: ("stop_asked_at IS NOT NULL OR", "")}


class RunsSchedulesAgain(Rewritten):
    instead: ClassVar = {
        looking.ADVANCE_SCHEDULE: ("next_at = :next_at WHERE", "name = :name WHERE :next_at > 0 AND")
    }


class ForgetsNothing(Rewritten):
    instead: ClassVar = {statements.PRUNE: ("finished_at < :before", "finished_at < :before - 1e9")}


class CountsNoMemory(SqliteQueue):
    def _room(self, pool: str | None, limited: dict[str, QueueRow], now: float) -> Room:
        return super()._room(None, limited, now)


class KnowsNoLimits(SqliteQueue):
    def _room(self, pool: str | None, limited: dict[str, QueueRow], now: float) -> Room:
        return super()._room(pool, {}, now)


class AgesNobody(SqliteQueue):
    def _add_rows(self, rows: Any) -> None:
        rank, priority = statements.TASK_COLUMNS.index("rank"), statements.TASK_COLUMNS.index("priority")
        super()._add_rows([(*row[:rank], -row[priority] * 1e9, *row[rank + 1 :]) for row in rows])


class ForgetsKeys(SqliteQueue):
    def _add_rows(self, rows: Any) -> None:
        key = statements.TASK_COLUMNS.index("idempotency_key")
        super()._add_rows([(*row[:key], None, *row[key + 1 :]) for row in rows])


class RollsNothingBack(SqliteQueue):
    @contextmanager
    def transaction(self) -> Iterator[None]:
        error: ArithmeticError | None = None
        with super().transaction():
            try:
                yield
            except ArithmeticError as caught:
                error = caught
        if error is not None:
            raise error


class JoinsWithoutASavepoint(SqliteQueue):
    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._connection.in_transaction:
            yield
            return
        with super().transaction():
            yield


class OtherRules(SqliteQueue):
    """Treats every queue by rules of its own."""

    rules_instead: ClassVar[dict[str, Any]] = {}

    def _queues(self) -> dict[str, QueueRow]:
        return {
            name: row._replace(rules=msgspec.structs.replace(row.rules, **self.rules_instead))
            for name, row in super()._queues().items()
        }


class HandsOutPaused(OtherRules):
    rules_instead: ClassVar = {"state": "run"}


class PrefersWarmForEver(OtherRules):
    rules_instead: ClassVar = {"warm_bonus_seconds": 1e9}


class PassesBigOnesOver(OtherRules):
    rules_instead: ClassVar = {"patience_seconds": 1e9}


class KnowsOnePolicy(OtherRules):
    rules_instead: ClassVar = {"retry_by_kind": {}}


class NeverRests(SqliteQueue):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options | {"draw": lambda: 0.0})


class NeverWakes(SqliteQueue):
    def wake(self) -> None:
        pass


class WakesTooEarly(SqliteQueue):
    def wake(self) -> None:
        self._bell.ring()


class BlamesNobody(SqliteQueue):
    def retire(self, owner: str, *, reason: str, is_blameless: bool) -> int:
        return super().retire(owner, reason=reason, is_blameless=True)


class GrantsEverything(SqliteQueue):
    def reserve(self, lease: Lease, *, ram_bytes: int, vram_bytes: int = 0) -> bool:
        return super().reserve(lease, ram_bytes=lease.ram_bytes, vram_bytes=lease.vram_bytes) or True


class MakesUpForAll(SqliteQueue):
    def put_schedule(self, schedule: Schedule) -> Schedule:
        return super().put_schedule(msgspec.structs.replace(schedule, misfire="all"))


LOST = "test_whoever_lost_a_lease_changes_nothing"
AGEING = "test_a_low_task_starts_under_endless_high_load_once_it_aged_by_the_gap"
WOKEN = "test_who_waits_returns_at_once_when_a_task_may_have_become_claimable"

BROKEN: list[tuple[type[SqliteQueue], str, dict[str, Any]]] = [
    (FinishesWithoutAToken, LOST, {"taken": "retired and leased anew"}),
    (FinishesWithoutAToken, LOST, {"taken": "retired and leased anew by the same"}),
    (FailsWithoutAToken, LOST, {"taken": "failed and replayed"}),
    (HandsOutTwice, "test_what_is_leased_is_not_handed_out_again", {}),
    (KeepsLateTasks, "test_a_task_whose_deadline_passes_before_its_turn_is_given_up", {}),
    (AsksNobodyToStop, "test_a_task_at_work_is_asked_to_stop", {}),
    (RunsSchedulesAgain, "test_a_run_is_enqueued_when_it_is_due_as_the_schedule_says", {}),
    (ForgetsNothing, "test_ended_tasks_without_a_job_are_forgotten_with_their_events", {}),
    (CountsNoMemory, "test_what_is_handed_out_fits_what_is_free", {}),
    (CountsNoMemory, "test_several_at_once_fit_together", {}),
    (KnowsNoLimits, "test_no_more_are_at_work_than_a_queue_allows", {}),
    (KnowsNoLimits, "test_a_rate_lets_a_burst_begin_and_then_so_many_a_second", {}),
    (AgesNobody, AGEING, {}),
    (ForgetsKeys, "test_a_task_whose_key_is_known_gets_the_id_of_the_one_that_is_there", {}),
    (RollsNothingBack, "test_nothing_of_a_block_that_fails_is_left", {}),
    (
        JoinsWithoutASavepoint,
        "test_nothing_of_an_inner_block_that_fails_is_left_when_the_outer_goes_on",
        {},
    ),
    (HandsOutPaused, "test_a_paused_queue_goes_on_where_it_was", {}),
    (PrefersWarmForEver, "test_a_model_in_memory_goes_first_for_as_long_as_its_bonus", {}),
    (
        PrefersWarmForEver,
        "test_a_stream_for_the_model_in_memory_passes_another_task_over_for_its_bonus_at_most",
        {},
    ),
    (PassesBigOnesOver, "test_a_big_task_that_waited_keeps_smaller_ones_out_until_it_starts", {}),
    (PassesBigOnesOver, "test_a_big_task_starts_under_endless_small_load", {}),
    (KnowsOnePolicy, "test_a_kind_may_have_a_policy_of_its_own", {}),
    (NeverRests, "test_a_task_that_may_succeed_later_rests_and_is_tried_again", {}),
    (NeverWakes, WOKEN, {"cause": "enqueue"}),
    (NeverWakes, WOKEN, {"cause": "finish"}),
    (WakesTooEarly, "test_who_waits_is_woken_when_the_callers_block_ends_and_not_before", {}),
    (BlamesNobody, "test_a_task_whose_owners_keep_dying_is_given_up", {}),
    (GrantsEverything, "test_a_task_that_asks_for_more_than_fits_keeps_what_it_has", {}),
    (MakesUpForAll, "test_missed_runs_are_skipped_or_run_once_or_each", {"misfire": "skip", "runs": 0}),
]

RunTest = Callable[[type[SqliteQueue], str, dict[str, Any]], None]


@pytest.fixture
def run_test(tmp_path: Path, migrated_bytes: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunTest]:
    """Run one test of the suite over a driver."""
    # Who is not woken need not wait long to know it.
    monkeypatch.setattr(conformance_processes, "_LONG_SECONDS", 0.4)
    (tmp_path / "audobon.db").write_bytes(migrated_bytes)
    connections = [Database(tmp_path).open(durable=False) for _ in range(2)]

    def run(driver: type[SqliteQueue], name: str, parameters: dict[str, Any]) -> None:
        clock, draw = TurnedClock(), FixedDraw()
        queue, other_queue = (driver(connection, clock=clock, draw=draw) for connection in connections)
        offered = {"queue": queue, "other_queue": other_queue, "clock": clock, "draw": draw, **parameters}
        test = getattr(QueueConformance(), name)
        with queue, other_queue:
            test(**{wanted: offered[wanted] for wanted in inspect.signature(test).parameters})

    yield run
    for connection in connections:
        connection.close()


@pytest.mark.parametrize(("driver", "name", "parameters"), BROKEN)
def test_a_driver_that_breaks_a_promise_is_found_out(
    run_test: RunTest, driver: type[SqliteQueue], name: str, parameters: dict[str, Any]
) -> None:
    # A test finds out by what it asserts, or by being handed less or more than it unpacks.
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        run_test(driver, name, parameters)


@pytest.mark.parametrize(("name", "parameters"), [(name, parameters) for _, name, parameters in BROKEN])
def test_what_finds_out_broken_drivers_passes_the_whole_one(
    run_test: RunTest, name: str, parameters: dict[str, Any]
) -> None:
    run_test(SqliteQueue, name, parameters)
