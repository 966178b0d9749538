"""Whoever serves a shared queue takes tasks from workers that vanished, and enqueues what is due."""

from queue_tasks import OpenConnection, TurnedClock, add, claim_one, events

from audobon.queue.embedded import SqliteQueue
from audobon.queue.schedule import Schedule
from audobon.queue.tasks import Needs, Owner
from audobon.queue.upkeep import Upkeep
from audobon.queue.vanished import Vanished


def test_a_worker_without_a_sign_of_life_for_its_lease_loses_its_tasks(
    open_connection: OpenConnection,
) -> None:
    clock, own = TurnedClock(), TurnedClock()
    with SqliteQueue(open_connection(), clock=clock) as queue:
        upkeep = Upkeep(queue, vanished=Vanished(clock=own))
        ids = add(queue, "a", "b")
        for name in ("living", "dead"):
            queue.register(Owner(name, "elsewhere", "boot", 1, 0, 0.0))
            claim_one(queue, name)
        taken = 0
        for _ in range(12):
            own.seconds += 1
            queue.beat(["living"])
            taken += upkeep.look()
        assert taken == 1
        assert [queue.find(task_id).state for task_id in ids] == ["leased", "ready"]
        assert events(queue, ids[1]) == [("given back", "its machine gave no sign of life")]


def test_what_a_schedule_brings_is_enqueued_once(open_connection: OpenConnection) -> None:
    clock = TurnedClock()
    with SqliteQueue(open_connection(), clock=clock) as queue:
        queue.put_schedule(
            Schedule(name="nightly", queue="maintenance", needs=Needs(kind="sweep"), cron="0 3 * * *")
        )
        clock.seconds += 86400
        for _ in range(3):
            Upkeep(queue).look()
        assert [task.kind for task in queue.select()] == ["sweep"]
