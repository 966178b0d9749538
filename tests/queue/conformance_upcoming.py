"""What would be handed out next: foretold without a lease, as claims then bear out."""

import pytest

from audobon.queue.port import Queue
from audobon.queue.tasks import Capacity, Claimant, Needs, NewTask

POOL = "here"
SOMEBODY = Claimant(owner="worker", pool=POOL)


def task(model: str, *, ram_bytes: int = 100, priority: int = 0, delay_seconds: float = 0.0) -> NewTask:
    needs = Needs(kind="page", model=model, ram_bytes=ram_bytes)
    return NewTask(needs=needs, priority=priority, delay_seconds=delay_seconds)


def claimed(queue: Queue, claimant: Claimant = SOMEBODY) -> list[str]:
    """Claim one task after the other as a worker does; return their models."""
    found = []
    while leases := queue.claim(claimant):
        found.append(leases[0].model)
        queue.finish(leases[0])
        models = claimant.models | {leases[0].model}
        claimant = Claimant(owner=claimant.owner, pool=claimant.pool, models=models)
    return found


class Foretelling:
    """Looks at what comes next, without taking it."""

    def test_the_models_to_come_are_those_that_claims_then_bring(self, queue: Queue) -> None:
        queue.set_capacity(POOL, Capacity(1000))
        for model in ("a", "b", "a", "c", "b"):
            queue.enqueue("batch", [task(model)])
        queue.enqueue("batch", [task("d", priority=1)])

        foretold = queue.upcoming(SOMEBODY, limit=10)

        assert sorted(foretold) == ["a", "a", "b", "b", "c", "d"]
        assert foretold == claimed(queue)

    def test_looking_leases_nothing_and_takes_no_room(self, queue: Queue) -> None:
        queue.set_capacity(POOL, Capacity(1000))
        (task_id,) = queue.enqueue("batch", [task("a")])

        assert queue.upcoming(SOMEBODY) == ["a"]

        assert [(view.state, view.attempt, view.token) for view in [queue.find(task_id)]] == [("ready", 0, 0)]
        assert [figures.reserved_ram_bytes for figures in queue.pools()] == [0]

    def test_a_model_in_memory_comes_first_among_tasks_of_one_age(self, queue: Queue) -> None:
        queue.set_capacity(POOL, Capacity(1000))
        queue.enqueue("batch", [task("cold"), task("warm")])

        warm = Claimant(owner="worker", pool=POOL, models=frozenset({"warm"}))

        assert queue.upcoming(SOMEBODY, limit=2) == ["cold", "warm"]
        assert queue.upcoming(warm, limit=2) == ["warm", "cold"]

    def test_what_runs_now_is_thought_to_have_ended(self, queue: Queue) -> None:
        queue.set_capacity(POOL, Capacity(150))
        queue.enqueue("batch", [task("now"), task("next")])
        assert [lease.model for lease in queue.claim(SOMEBODY)] == ["now"]
        assert queue.claim(SOMEBODY) == []

        assert queue.upcoming(SOMEBODY) == ["next"]

    @pytest.mark.parametrize(
        "needless",
        [task("", ram_bytes=1), task("huge", ram_bytes=1001), task("later", delay_seconds=60)],
        ids=["needs no model", "fits no pool", "not due"],
    )
    def test_tasks_whose_model_is_not_wanted_soon_are_passed_over(
        self, queue: Queue, needless: NewTask
    ) -> None:
        queue.set_capacity(POOL, Capacity(1000))
        queue.enqueue("batch", [needless, task("a")])

        assert queue.upcoming(SOMEBODY, limit=2) == ["a"]

    def test_a_paused_queue_has_nothing_to_come(self, queue: Queue) -> None:
        queue.set_capacity(POOL, Capacity(1000))
        queue.enqueue("batch", [task("a")])
        queue.set_state("batch", "pause")

        assert queue.upcoming(SOMEBODY) == []

    def test_an_empty_queue_has_nothing_to_come(self, queue: Queue) -> None:
        assert queue.upcoming(SOMEBODY) == []
