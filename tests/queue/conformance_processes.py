"""What the queue promises to several processes: nothing twice, nothing lost, and nobody waits in vain."""

import json
import time
from collections.abc import Callable
from subprocess import Popen

import pytest
from queue_tasks import add, claim, claim_one, claimed_names, new_task

from audobon.queue.port import Queue
from audobon.queue.rules import QueueRules, RetryPolicy
from audobon.queue.schedule import Schedule
from audobon.queue.tasks import Capacity, Lease, Needs

StartPython = Callable[..., "Popen[str]"]

# Far longer than anything here takes: whoever really waits that long was not woken.
_LONG_SECONDS = 10.0

_IMPORTS = """
import json, os, sys, time
from audobon.queue.tasks import Claimant, Needs, NewTask
queue = open_queue()
print("here")
sys.stdin.readline()
"""

CLAIM_ALL = """
claimant = Claimant(owner=f"process {os.getpid()}", pool="here")
handed_out, faults = [], []
while queue.has_due():
    leases = queue.claim(claimant, limit=1 + len(handed_out) % 3)
    handed_out += [lease.id for lease in leases]
    pool, = queue.pools()
    if pool.reserved_ram_bytes > pool.ram_bytes:
        faults.append(f"{pool.reserved_ram_bytes} of {pool.ram_bytes} bytes held")
    if len(queue.select(queue="few", states=["leased"])) > 2:
        faults.append("too many at work")
    for lease in leases:
        queue.finish(lease, result=claimant.owner)
    if not leases:
        queue.wait(1.0)
print(json.dumps([handed_out, faults]))
"""

WAIT_FOR_ONE = """
queue.wait(0.0)
print("waiting")
while not (leases := queue.claim(Claimant(owner="waiter"))):
    queue.wait(60.0)
print(leases[0].payload)
"""

ENQUEUE_FOR_EVER = """
number = 0
while True:
    tasks = [NewTask(needs=Needs(kind="page"), payload=str(number)) for _ in range(3)]
    print(*queue.enqueue("batch", tasks))
    number += 1
"""

FINISH_FOR_EVER = """
while True:
    for lease in queue.claim(Claimant(owner="dying"), limit=2):
        queue.finish(lease, blob="blob", result=str(lease.token))
        print(lease.id)
"""

ENQUEUE_AND_HANG = """
with queue.transaction():
    queue.enqueue("batch", [NewTask(needs=Needs(kind="page"))])
    print("hanging")
    sys.stdin.read()
"""

ENQUEUE_KEYED = """
print(json.dumps([
    queue.enqueue("batch", [NewTask(needs=Needs(kind="page"), idempotency_key=str(number))])[0]
    for number in range(30)
]))
"""

RUN_SCHEDULES = "print(queue.run_schedules())"


def read_line(process: "Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def let_go(*processes: "Popen[str]") -> None:
    """Let processes begin together, once all are there."""
    assert [read_line(process) for process in processes] == ["here"] * len(processes)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("now\n")
        process.stdin.flush()


def kill(process: "Popen[str]") -> list[str]:
    """Kill a process with signal 9; return the whole lines it had still printed."""
    process.kill()
    process.wait()
    assert process.stdout is not None
    return [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]


RINGS: dict[str, Callable[[Queue, Lease], object]] = {
    "enqueue": lambda queue, _: add(queue, "a"),
    "wake": lambda queue, _: queue.wake(),
    "finish": lambda queue, lease: queue.finish(lease),
    "fail": lambda queue, lease: queue.fail(lease, code="corrupt", message="", retry=False),
    "release": lambda queue, lease: queue.release(lease, reason="stop"),
    "reserve less": lambda queue, lease: queue.reserve(lease, ram_bytes=1),
    "retire": lambda queue, _: queue.retire("holder", reason="gone", is_blameless=True),
    "replay": lambda queue, _: queue.replay(job_id="other"),
    "make due": lambda queue, _: queue.make_due("job"),
    "cancel what kept others out": lambda queue, _: queue.cancel(job_id="job", reason="stop"),
    "run a queue": lambda queue, _: queue.set_state("batch", "run"),
    "change its rules": lambda queue, _: queue.configure(QueueRules(name="batch", max_running=9)),
    "give a pool more": lambda queue, _: queue.set_capacity("here", Capacity(1 << 30)),
}


class WithProcesses:
    """wait, wake, and all the rest under several processes that race, die and wait."""

    @pytest.mark.parametrize("cause", RINGS, ids=str)
    def test_who_waits_returns_at_once_when_a_task_may_have_become_claimable(
        self, queue: Queue, other_queue: Queue, cause: str
    ) -> None:
        queue.set_capacity("here", Capacity(8))
        add(queue, new_task("held", ram_bytes=4), new_task("failed", job_id="other", ordinal=0))
        lease, failed = claim(queue, "holder", pool="here", limit=2)
        queue.fail(failed, code="corrupt", message="", retry=False)
        add(queue, new_task(job_id="job", ordinal=0, delay_seconds=10))
        other_queue.wait(0.0)
        other_queue.wait(0.0)
        other_queue.wait(0.0)
        began = time.monotonic()
        other_queue.wait(0.02)
        assert time.monotonic() - began >= 0.015, "nothing happened, and yet it was woken"
        RINGS[cause](queue, lease)
        began = time.monotonic()
        other_queue.wait(_LONG_SECONDS)
        assert time.monotonic() - began < _LONG_SECONDS / 2

    def test_a_task_that_ends_lets_those_look_who_wait_for_its_place(
        self, queue: Queue, other_queue: Queue
    ) -> None:
        queue.configure(QueueRules(name="batch", max_running=1))
        add(queue, "a", "b")
        lease = claim_one(queue)
        assert claim(other_queue) == []
        other_queue.wait(0.0)
        other_queue.wait(0.0)
        queue.finish(lease)
        began = time.monotonic()
        other_queue.wait(_LONG_SECONDS)
        assert time.monotonic() - began < _LONG_SECONDS / 2
        assert claimed_names(other_queue) == ["b"]

    def test_who_waits_is_woken_when_the_callers_block_ends_and_not_before(
        self, queue: Queue, other_queue: Queue
    ) -> None:
        other_queue.wait(0.0)
        other_queue.wait(0.0)
        with queue.transaction():
            add(queue, "a")
            began = time.monotonic()
            other_queue.wait(0.02)
            assert time.monotonic() - began >= 0.015
        began = time.monotonic()
        other_queue.wait(_LONG_SECONDS)
        assert time.monotonic() - began < _LONG_SECONDS / 2
        assert claimed_names(other_queue) == ["a"]

    def test_a_process_that_waits_gets_a_task_at_once(
        self, queue: Queue, opening: str, start_python: StartPython
    ) -> None:
        process = start_python(opening + _IMPORTS + WAIT_FOR_ONE)
        let_go(process)
        assert read_line(process) == "waiting"
        began = time.monotonic()
        add(queue, "a")
        assert read_line(process) == '"a"'
        assert time.monotonic() - began < _LONG_SECONDS / 2

    def test_a_crowd_of_processes_is_handed_every_task_once_and_never_more_than_there_is(
        self, queue: Queue, opening: str, start_python: StartPython
    ) -> None:
        queue.set_capacity("here", Capacity(10))
        queue.configure(QueueRules(name="few", max_running=2))
        ids = add(
            queue, *(new_task(model="ab"[number % 2], ram_bytes=1 + number % 4) for number in range(150))
        )
        ids += add(queue, *(new_task() for _ in range(50)), to="few")
        processes = [start_python(opening + _IMPORTS + CLAIM_ALL) for _ in range(4)]
        let_go(*processes)
        told = [json.loads(process.communicate()[0]) for process in processes]
        assert [faults for _, faults in told] == [[]] * 4
        assert sorted(task_id for handed_out, _ in told for task_id in handed_out) == ids
        assert {(task.state, task.attempt) for task in queue.select(limit=999)} == {("done", 1)}
        assert [pool.reserved_ram_bytes for pool in queue.pools()] == [0]

    def test_processes_that_add_the_same_keys_at_once_add_each_once(
        self, queue: Queue, opening: str, start_python: StartPython
    ) -> None:
        processes = [start_python(opening + _IMPORTS + ENQUEUE_KEYED) for _ in range(3)]
        let_go(*processes)
        told = [json.loads(process.communicate()[0]) for process in processes]
        assert told[0] == told[1] == told[2]
        assert sorted(task.id for task in queue.select(limit=999)) == sorted(told[0])

    def test_processes_that_run_the_schedules_at_once_add_each_run_once(
        self, queue: Queue, opening: str, start_python: StartPython
    ) -> None:
        for number in range(20):
            queue.put_schedule(
                Schedule(name=str(number), queue="batch", needs=Needs(kind="prune"), cron="0 3 1 1 *")
            )
        processes = [start_python(opening + _IMPORTS + RUN_SCHEDULES) for _ in range(3)]
        let_go(*processes)
        assert sum(int(process.communicate()[0]) for process in processes) == 20
        assert len(queue.select()) == 20

    @pytest.mark.parametrize("acknowledged", [1, 7, 40])
    def test_a_kill_while_adding_loses_nothing_acknowledged_and_leaves_no_half_batch(
        self, queue: Queue, opening: str, start_python: StartPython, acknowledged: int
    ) -> None:
        process = start_python(opening + _IMPORTS + ENQUEUE_FOR_EVER)
        let_go(process)
        lines = [read_line(process) for _ in range(acknowledged)]
        lines += kill(process)
        told = {int(number) for line in lines for number in line.split()}
        there = queue.select(limit=100_000)
        assert told <= {task.id for task in there}
        payloads = [task.payload for task in there]
        assert all(payloads.count(payload) == 3 for payload in set(payloads))
        assert len(payloads) - len(told) in (0, 3)
        assert len(claimed_names(queue)) == len(payloads)

    @pytest.mark.parametrize("acknowledged", [1, 8, 31])
    def test_a_kill_while_working_loses_nothing_acknowledged_and_hands_on_what_was_held(
        self, queue: Queue, opening: str, start_python: StartPython, acknowledged: int
    ) -> None:
        queue.configure(QueueRules(name="batch", retry=RetryPolicy(2)))
        ids = add(queue, *(new_task() for _ in range(400)))
        process = start_python(opening + _IMPORTS + FINISH_FOR_EVER)
        let_go(process)
        lines = [read_line(process) for _ in range(acknowledged)]
        lines += kill(process)
        told = {int(line) for line in lines}
        assert {(queue.find(task_id).state, queue.find(task_id).result) for task_id in told} == {
            ("done", "1")
        }
        held = [task.id for task in queue.select(states=["leased"])]
        assert len(held) <= 2
        assert queue.retire("dying", reason="killed", is_blameless=False) == len(held)
        rest = claim(queue, limit=999)
        assert {lease.id for lease in rest if lease.attempt == 2} == set(held)
        done = {task.id for task in queue.select(states=["done"], limit=999)}
        assert sorted([*done, *(lease.id for lease in rest)]) == ids
        assert len(done - told) <= 1

    def test_a_kill_inside_a_block_leaves_nothing_of_it_and_keeps_nobody_out(
        self, queue: Queue, opening: str, start_python: StartPython
    ) -> None:
        process = start_python(opening + _IMPORTS + ENQUEUE_AND_HANG)
        let_go(process)
        assert read_line(process) == "hanging"
        kill(process)
        add(queue, "a")
        assert claimed_names(queue) == ["a"]
        assert len(queue.select()) == 1
