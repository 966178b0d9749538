"""The loop of the worker: what does not fit fails, and what is called off stops."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from queue_of_pages import POOL, add_pages, queue_of_pages

from audobon.compute.perform import LastStep, PageMemory, Performer, Publish, Report
from audobon.compute.work import Work
from audobon.compute.worker import WorkLoop
from audobon.compute.worker_messages import Hello
from audobon.errors import AudobonError, DiskFull, Exhausted, MemoryTooSmall, Unavailable, UnreadablePicture
from audobon.pages.picture_limits import PictureLimits
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Capacity, Claimant, Lease, Needs, NewTask

BUDGET = 1000
HELLO = Hello(
    folder="/nowhere",
    owner="worker",
    pool=POOL,
    threads=1,
    limits=PictureLimits(1 << 20, 1 << 19, 2000),
    max_seconds=1.0,
    budget_bytes=BUDGET,
    idle_seconds=0.001,
)


class MadeUpPerformer(Performer):
    """Does nothing; each task's settings say how it ends."""

    def __init__(
        self,
        *,
        recycled_after: int = 1000,
        meanwhile: Callable[[], None] = lambda: None,
        asks_for_room: bool = False,
        card: str | None = None,
    ) -> None:
        self._card = card
        self._asks_for_room = asks_for_room
        self.order: list[str] = []
        self.kept_within: list[int] = []
        self._recycled_after = recycled_after
        self._meanwhile = meanwhile

    @property
    def needs_recycling(self) -> bool:
        return len(self.order) >= self._recycled_after

    def devices(self) -> frozenset[str]:
        return frozenset({"cpu"}) if self._card is None else frozenset({"cpu", self._card})

    def loaded_models(self) -> frozenset[str]:
        return frozenset({"m"})

    def keep_models_within(self, budget_bytes: int) -> None:
        self.kept_within.append(budget_bytes)

    def perform(
        self, work: Work, *, report: Report, publish: Publish, memory: PageMemory, alone: Callable[[], None]
    ) -> LastStep | None:
        self.order.append(work.settings)
        if work.settings.startswith("last step"):
            return LastStep(
                lambda: self._last_step(work, publish), may_run_beside=work.settings.endswith("beside")
            )
        if work.settings == "too large":
            raise MemoryTooSmall("a page needs more", hint="--memory 2GB")
        if work.settings == "damaged":
            raise UnreadablePicture("cut off")
        if work.settings == "out of memory":
            raise MemoryError("no room for an array")
        if work.settings == "faulty":
            raise ZeroDivisionError("a slip of ours")
        if self._asks_for_room:
            memory.room_bytes()
        if work.settings == "takes up":
            memory.hold(600)
        self._meanwhile()
        report(1, 1)
        publish(None, "{}")
        return None

    def _last_step(self, work: Work, publish: Publish) -> None:
        self.order.append(f"finished {work.settings}")
        if "damaged" in work.settings:
            raise UnreadablePicture("cut off")
        publish(None, "{}")


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[SqliteQueue]:
    with queue_of_pages(tmp_path, pool_bytes=BUDGET) as queue:
        yield queue


def upkeep(lease: Lease) -> str:
    return f'{{"did":"{lease.kind}"}}'


def work_through(queue: SqliteQueue, performer: MadeUpPerformer | None = None) -> list[str]:
    performer = performer or MadeUpPerformer()
    WorkLoop(queue, performer, HELLO, upkeep, between_tasks=lambda: None).run()
    return performer.order


def ends(queue: SqliteQueue) -> list[tuple[str, str | None, str | None]]:
    return [(task.state, task.error_code, task.error_message) for task in queue.tasks("job")]


def test_a_task_that_asks_for_more_than_the_budget_fails_at_once_with_that_reason_and_holds_nobody_up(
    queue: SqliteQueue,
) -> None:
    add_pages(queue, ("too large", BUDGET + 1), ("first", BUDGET), ("second", 1))

    order = work_through(queue)

    assert sorted(order) == ["first", "second", "too large"]
    assert ends(queue) == [
        ("failed", "memory_too_small", "a page needs more (--memory 2GB)"),
        ("done", None, None),
        ("done", None, None),
    ]


def test_a_page_that_cannot_be_read_is_not_tried_again(queue: SqliteQueue) -> None:
    add_pages(queue, ("damaged", 1), ("page", 1))

    assert work_through(queue) == ["damaged", "page"]
    assert ends(queue) == [("failed", "unreadable_picture", "cut off"), ("done", None, None)]


def test_a_page_that_runs_out_of_memory_is_tried_again(queue: SqliteQueue) -> None:
    add_pages(queue, ("out of memory", 1))

    assert work_through(queue) == ["out of memory"] * 3
    assert ends(queue) == [("failed", Exhausted.code, "memory ran out: no room for an array")]


def test_a_fault_of_ours_costs_its_page_alone_and_is_told(
    queue: SqliteQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    add_pages(queue, ("faulty", 1), ("page", 1))

    assert work_through(queue) == ["faulty", "page"]
    assert ends(queue)[0] == ("failed", "error", "a fault in Audobon: ZeroDivisionError: a slip of ours")
    assert capsys.readouterr().err.endswith("ZeroDivisionError: a slip of ours\n")


@pytest.mark.parametrize("failure", [Unavailable("kept locked"), DiskFull("no room left")])
@pytest.mark.parametrize("method", ["progress", "finish", "pools"])
def test_a_queue_that_fails_ends_the_worker_and_blames_no_page(
    queue: SqliteQueue, monkeypatch: pytest.MonkeyPatch, method: str, failure: AudobonError
) -> None:
    add_pages(queue, ("takes up", 1))

    def fail(*_: object, **__: object) -> None:
        monkeypatch.undo()
        raise failure

    monkeypatch.setattr(queue, method, fail)
    with pytest.raises(type(failure), match=failure.message):
        work_through(queue, MadeUpPerformer(asks_for_room=True))

    assert [(task.state, task.attempt) for task in queue.tasks("job")] == [("leased", 1)]
    queue.retire(HELLO.owner, reason="the worker ended with status 8", is_blameless=True)
    assert [(task.state, task.attempt) for task in queue.tasks("job")] == [("ready", 0)]


def test_a_last_step_is_taken_before_the_next_page_unless_there_is_room_beside_it(
    queue: SqliteQueue,
) -> None:
    add_pages(queue, ("last step", 1), ("next", 1))

    assert work_through(queue) == ["last step", "finished last step", "next"]
    assert [state for state, *_ in ends(queue)] == ["done", "done"]


def test_a_last_step_that_fails_beside_the_next_page_fails_its_own_page_alone(queue: SqliteQueue) -> None:
    add_pages(queue, ("last step damaged, beside", 1), ("next", 1))

    work_through(queue)

    assert ends(queue) == [("failed", "unreadable_picture", "cut off"), ("done", None, None)]


def test_upkeep_is_done_by_those_who_know_it(queue: SqliteQueue) -> None:
    (task_id,) = queue.enqueue("maintenance", [NewTask(needs=Needs(kind="sweep-blobs"))])

    assert work_through(queue) == []
    task = queue.find(task_id)
    assert (task.state, task.result) == ("done", '{"did":"sweep-blobs"}')


def test_a_page_called_off_while_it_is_worked_on_stops_and_counts_as_cancelled(queue: SqliteQueue) -> None:
    (task_id,) = add_pages(queue, ("page", 1))
    performer = MadeUpPerformer(meanwhile=lambda: cancel(queue, task_id))

    assert work_through(queue, performer) == ["page"]
    assert ends(queue) == [("cancelled", "cancelled", "not wanted")]


def test_a_page_called_off_and_wanted_again_before_it_stopped_is_done_after_all(queue: SqliteQueue) -> None:
    (task_id,) = add_pages(queue, ("page", 1))

    class Undecided(MadeUpPerformer):
        """Sees the request to stop, and is wanted again before it can say that it stopped."""

        def perform(self, work: Work, *, report: Report, **rest: object) -> LastStep | None:  # type: ignore[override]
            if self.order:
                return super().perform(work, report=report, **rest)  # type: ignore[arg-type]
            self.order.append("stopped")
            cancel(queue, task_id)
            try:
                report(1, 1)
            finally:
                assert queue.replay(task_ids=[task_id]) == 1
            return None

    assert work_through(queue, Undecided()) == ["stopped", "page"]
    assert ends(queue) == [("done", None, None)]
    assert queue.find(task_id).attempt == 1


def cancel(queue: SqliteQueue, task_id: int) -> None:
    queue.cancel(task_ids=[task_id], reason="not wanted")


def test_a_late_finisher_whose_task_was_handed_on_publishes_nothing(queue: SqliteQueue) -> None:
    (task_id,) = add_pages(queue, ("page", 1))
    others: list[Lease] = []

    def hand_on() -> None:
        if not others:
            queue.retire("worker", reason="thought dead", is_blameless=True)
            others.extend(queue.claim(Claimant(owner="other", pool=POOL)))

    assert work_through(queue, MadeUpPerformer(meanwhile=hand_on)) == ["page"]
    task = queue.find(task_id)
    assert (task.state, task.owner, task.token, task.result) == ("leased", "other", others[0].token, None)
    queue.finish(others[0], result='"theirs"')
    assert queue.find(task_id).result == '"theirs"'


def test_a_worker_whose_memory_did_not_come_back_takes_up_nothing_more(queue: SqliteQueue) -> None:
    add_pages(queue, ("one", 1), ("two", 1), ("three", 1))

    assert work_through(queue, MadeUpPerformer(recycled_after=2)) == ["one", "two"]
    assert [state for state, *_ in ends(queue)] == ["done", "done", "ready"]


def test_what_a_page_takes_is_held_of_the_pool_until_it_ends(queue: SqliteQueue) -> None:
    add_pages(queue, ("takes up", 100))
    held: list[int] = []

    def look() -> None:
        held.extend(pool.reserved_ram_bytes for pool in queue.pools())

    work_through(queue, MadeUpPerformer(meanwhile=look))

    assert held == [600]
    assert [pool.reserved_ram_bytes for pool in queue.pools()] == [0]


def test_a_task_that_wants_a_card_waits_for_a_worker_that_has_one(queue: SqliteQueue) -> None:
    queue.set_capacity(POOL, Capacity(BUDGET, 100))
    needs = Needs(kind="sweep", device="cuda", vram_bytes=100)
    (task_id,) = queue.enqueue("maintenance", [NewTask(needs=needs)])

    work_through(queue)
    assert queue.find(task_id).state == "ready"
    work_through(queue, MadeUpPerformer(card="cuda"))
    assert queue.find(task_id).state == "done"


def test_an_idle_worker_lets_go_of_models_whose_memory_another_was_given(queue: SqliteQueue) -> None:
    add_pages(queue, ("page", 700))
    assert queue.claim(Claimant(owner="other", pool=POOL))
    performer = MadeUpPerformer()

    work_through(queue, performer)

    assert set(performer.kept_within) == {BUDGET - 700}


def test_the_fence_is_settled_only_while_no_task_is_at_work(queue: SqliteQueue) -> None:
    add_pages(queue, ("last step, beside", 1), ("next", 1))
    performer = MadeUpPerformer()
    settled: list[int] = []

    WorkLoop(
        queue, performer, HELLO, upkeep, between_tasks=lambda: settled.append(len(queue.leased("job")))
    ).run()

    assert len(settled) >= 2
    assert set(settled) == {0}
