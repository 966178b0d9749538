"""What handing out by memory promises: never more than there is, and no big task starves."""

from queue_tasks import GIGABYTE, TurnedClock, add, changes, claim, claim_one, claimed_names, names, new_task

from audobon.queue.figures import PoolFigures
from audobon.queue.port import Queue
from audobon.queue.rules import QueueRules
from audobon.queue.tasks import Capacity, Lease, NewTask


def gigabytes(name: str, ram: int, vram: int = 0) -> NewTask:
    return new_task(name, ram_bytes=ram * GIGABYTE, vram_bytes=vram * GIGABYTE)


def big_and_small(queue: Queue, patience_seconds: float = 30.0) -> Lease:
    """Make a pool of 8 with 4 in use; next come one of 8, then three of 2; return what is running."""
    queue.configure(QueueRules(name="batch", patience_seconds=patience_seconds))
    queue.set_capacity("here", Capacity(8 * GIGABYTE))
    add(queue, gigabytes("running", 4))
    running = claim_one(queue, pool="here")
    add(queue, gigabytes("big", 8), *(gigabytes(f"small {number}", 2) for number in range(3)))
    return running


class CountingMemory:
    """claim with a pool, set_capacity, reserve, pools."""

    def test_what_is_handed_out_fits_what_is_free(self, queue: Queue) -> None:
        queue.set_capacity("here", Capacity(8 * GIGABYTE, 2 * GIGABYTE))
        add(queue, gigabytes("a", 5), gigabytes("b", 5), gigabytes("c", 1, 2), gigabytes("d", 1, 1))
        assert claimed_names(queue, pool="here") == ["a", "c"]
        assert queue.pools() == [PoolFigures("here", 8 * GIGABYTE, 2 * GIGABYTE, 6 * GIGABYTE, 2 * GIGABYTE)]

    def test_several_at_once_fit_together(self, queue: Queue) -> None:
        queue.set_capacity("here", Capacity(8 * GIGABYTE))
        add(queue, *(gigabytes(str(number), 3) for number in range(4)), gigabytes("last", 2))
        assert names(claim(queue, limit=9, pool="here")) == ["0", "1", "last"]

    def test_memory_comes_back_when_a_task_ends_however_it_ends(self, queue: Queue) -> None:
        queue.set_capacity("here", Capacity(8 * GIGABYTE))
        for number in range(6):
            add(queue, gigabytes(str(number), 8))
        queue.finish(claim_one(queue, pool="here"))
        queue.fail(claim_one(queue, pool="here"), code="corrupt", message="no", retry=False)
        queue.fail(claim_one(queue, pool="here"), code="corrupt", message="no", retry=True)
        queue.release(claim_one(queue, pool="here"), reason="stop")
        claim_one(queue, "dying", pool="here")
        queue.retire("dying", reason="died", is_blameless=False)
        assert queue.pools() == [PoolFigures("here", 8 * GIGABYTE, 0, 0, 0)]
        assert names(claim(queue, limit=9, pool="here")) == ["3"]

    def test_each_pool_is_counted_alone_and_workers_without_one_not_at_all(self, queue: Queue) -> None:
        for pool in ("here", "there"):
            queue.set_capacity(pool, Capacity(GIGABYTE))
        add(queue, *(gigabytes(str(number), 1) for number in range(4)))
        assert claimed_names(queue, pool="here") == ["0"]
        assert claimed_names(queue, pool="there") == ["1"]
        assert claimed_names(queue, pool=None) == ["2", "3"]
        assert [pool.reserved_ram_bytes for pool in queue.pools()] == [GIGABYTE, GIGABYTE]

    def test_a_pool_nobody_told_of_holds_only_what_needs_no_memory(self, queue: Queue) -> None:
        add(queue, gigabytes("a", 1), "b")
        assert claimed_names(queue, pool="unknown") == ["b"]

    def test_capacity_may_be_lowered_below_what_is_held(self, queue: Queue) -> None:
        queue.set_capacity("here", Capacity(8 * GIGABYTE))
        add(queue, *(gigabytes(str(number), 3) for number in range(4)))
        first = claim_one(queue, pool="here")
        assert names(claim(queue, pool="here")) == ["1"]
        queue.set_capacity("here", Capacity(5 * GIGABYTE))
        assert claim(queue, pool="here") == []
        queue.finish(first)
        assert claim(queue, pool="here") == []
        queue.set_capacity("here", Capacity(6 * GIGABYTE))
        assert claimed_names(queue, pool="here") == ["2"]

    def test_smaller_tasks_pass_a_big_one_within_its_patience(self, queue: Queue, clock: TurnedClock) -> None:
        big_and_small(queue)
        clock.seconds += 29
        assert claimed_names(queue, pool="here") == ["small 0", "small 1"]

    def test_a_big_task_that_waited_keeps_smaller_ones_out_until_it_starts(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        running = big_and_small(queue)
        clock.seconds += 30
        assert claim(queue, pool="here", limit=9) == []
        queue.finish(running)
        assert names(claim(queue, pool="here", limit=9)) == ["big"]

    def test_a_big_task_starts_under_endless_small_load(self, queue: Queue, clock: TurnedClock) -> None:
        at_work = [big_and_small(queue, patience_seconds=10.0)]
        began = clock.seconds
        while "big" not in names(at_work):
            # One ends every second, and another one comes.
            add(queue, gigabytes("small", 2))
            clock.seconds += 1
            if len(at_work) == 3 or clock.seconds - began > 10:
                queue.finish(at_work.pop(0))
            at_work += claim(queue, limit=4, pool="here")
            assert clock.seconds - began < 20, "the big task starved"

    def test_a_task_that_needs_more_than_the_pool_keeps_nobody_out(
        self, queue: Queue, clock: TurnedClock
    ) -> None:
        queue.set_capacity("here", Capacity(8 * GIGABYTE))
        add(queue, gigabytes("too big", 9), gigabytes("small", 1))
        clock.seconds += 3600
        assert claimed_names(queue, pool="here") == ["small"]

    def test_a_task_that_needs_more_than_the_pool_is_handed_out_alone_to_who_may_exceed(
        self, queue: Queue
    ) -> None:
        queue.set_capacity("here", Capacity(8 * GIGABYTE))
        add(queue, gigabytes("too big", 9), gigabytes("small", 1), gigabytes("too big too", 9))
        small = claim_one(queue, pool="here")
        assert names([small]) == ["small"]
        assert claim(queue, pool="here", may_exceed=True) == []
        queue.finish(small)
        assert names(claim(queue, pool="here", may_exceed=True, limit=9)) == ["too big"]
        assert claim(queue, pool="here", may_exceed=True) == []

    def test_whoever_may_exceed_still_waits_for_what_fits_the_pool(self, queue: Queue) -> None:
        queue.set_capacity("here", Capacity(8 * GIGABYTE))
        add(queue, gigabytes("a", 5), gigabytes("b", 5))
        assert names(claim(queue, pool="here", may_exceed=True, limit=9)) == ["a"]

    def test_a_task_may_hold_more_when_that_fits(self, queue: Queue) -> None:
        queue.set_capacity("here", Capacity(8, 4))
        (task_id,) = add(queue, new_task(ram_bytes=5, vram_bytes=1))
        lease = claim_one(queue, pool="here")
        before = queue.find(task_id)
        assert queue.reserve(lease, ram_bytes=8, vram_bytes=4)
        assert changes(before, queue.find(task_id)) == {"ram_bytes": 8, "vram_bytes": 4}
        assert queue.pools() == [PoolFigures("here", 8, 4, 8, 4)]

    def test_a_task_that_asks_for_more_than_fits_keeps_what_it_has(self, queue: Queue) -> None:
        queue.set_capacity("here", Capacity(8, 4))
        add(queue, new_task("a", ram_bytes=5, vram_bytes=1), new_task("b", ram_bytes=2))
        lease, _ = claim(queue, limit=2, pool="here")
        assert not queue.reserve(lease, ram_bytes=7, vram_bytes=1)
        assert not queue.reserve(lease, ram_bytes=5, vram_bytes=5)
        assert not queue.reserve(lease, ram_bytes=1, vram_bytes=5)
        assert queue.pools() == [PoolFigures("here", 8, 4, 7, 1)]
        assert queue.reserve(lease, ram_bytes=6, vram_bytes=1)

    def test_a_task_may_hold_less_though_the_pool_is_overfull(self, queue: Queue) -> None:
        queue.set_capacity("here", Capacity(8, 4))
        add(queue, new_task(ram_bytes=8, vram_bytes=4))
        lease = claim_one(queue, pool="here")
        queue.set_capacity("here", Capacity(2, 1))
        assert queue.reserve(lease, ram_bytes=4, vram_bytes=4)
        assert queue.pools() == [PoolFigures("here", 2, 1, 4, 4)]

    def test_more_of_one_memory_is_not_refused_for_want_of_the_other(self, queue: Queue) -> None:
        queue.set_capacity("here", Capacity(8, 4))
        add(queue, new_task(ram_bytes=2, vram_bytes=4))
        lease = claim_one(queue, pool="here")
        queue.set_capacity("here", Capacity(8, 1))
        assert queue.reserve(lease, ram_bytes=6, vram_bytes=4)
        assert queue.pools() == [PoolFigures("here", 8, 1, 6, 4)]

    def test_what_a_task_gave_back_is_handed_out_and_a_retry_asks_anew(self, queue: Queue) -> None:
        queue.set_capacity("here", Capacity(8))
        add(queue, new_task("a", ram_bytes=8), new_task("b", ram_bytes=6))
        lease = claim_one(queue, pool="here")
        assert claim(queue, pool="here") == []
        assert queue.reserve(lease, ram_bytes=2)
        assert names(claim(queue, "b", pool="here")) == ["b"]
        queue.release(lease, reason="stop")
        assert queue.find(lease.id).ram_bytes == 8
        assert claim(queue, pool="here") == []

    def test_memory_that_is_not_counted_is_granted(self, queue: Queue) -> None:
        add(queue, new_task(ram_bytes=8))
        assert queue.reserve(claim_one(queue, pool=None), ram_bytes=1 << 50)
