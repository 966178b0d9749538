"""The promise of the queue, kept alike by every driver."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from audobon.queue.figures import PoolFigures, QueueFigures
from audobon.queue.rules import QueueRules
from audobon.queue.schedule import Schedule
from audobon.queue.tasks import (
    Capacity,
    Claimant,
    Lease,
    NewTask,
    Owner,
    QueueState,
    Result,
    Standing,
    StopRequest,
    TaskEvent,
    TaskRecord,
    TaskState,
    TaskView,
)


class Queue(ABC):
    """Durable, prioritised tasks, handed out by what fits and what is in memory.

    Every method is one transaction, or joins the caller's (`transaction`). What was acknowledged outlasts
    the death of any process, and a power cut when the connection is durable. Safe for many processes at
    once; one object is for one thread at a time. Every change of a leased task compares its token, so a
    worker that was given up on changes nothing.
    raises  Unavailable when the database does not answer, DiskFull, Corrupt
    """

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Commit all that the block does, or nothing of it; blocks may be nested.

        An inner block that fails leaves nothing of its own, and the outer may go on; what it did is
        committed with the outer.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection, if this object opened it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Rules and capacity

    @abstractmethod
    def configure(self, rules: QueueRules) -> None:
        """Create a queue or change its rules; InvalidInput when they cannot be kept."""

    @abstractmethod
    def rules(self) -> list[QueueRules]:
        """Return the rules of every queue, by name; the categories are always there."""

    @abstractmethod
    def set_state(self, queue: str, state: QueueState) -> None:
        """Let a queue run, pause or drain; QueueNotFound when there is none of this name."""

    @abstractmethod
    def set_capacity(self, pool: str, capacity: Capacity) -> None:
        """State what the tasks of a machine may hold together; may be lowered below what they hold."""

    # Adding

    @abstractmethod
    def enqueue(self, queue: str, tasks: Iterable[NewTask]) -> list[int]:
        """Add tasks, all or none; return their ids in order.

        A task whose idempotency key is known gets the id of the one that is there.
        raises  QueueNotFound, QueueDrained
        """

    @abstractmethod
    def adopt(self, task_id: int, blob: str | None, result: str | None) -> None:
        """Finish a task nobody took up yet with the result of equal work; otherwise do nothing."""

    # Handing out

    @abstractmethod
    def claim(self, claimant: Claimant, *, limit: int = 1, may_exceed: bool = False) -> list[Lease]:
        """Lease the tasks that come next and fit; [] when none does now.

        Order is by rank across all queues, a model in memory counting as `warm_bonus_seconds` of age. What
        the tasks need is reserved in the pool in the same transaction. A due task that fits the pool but not
        what is free keeps smaller ones out once it has waited for `patience_seconds`.

        limit       several only for tasks that are short and harmless to repeat
        may_exceed  also a task that needs more than the whole pool, when the pool is empty, so that its
                    worker can tell why it cannot run
        """

    @abstractmethod
    def upcoming(self, claimant: Claimant, *, limit: int = 1) -> list[str]:
        """Return the models of the tasks that would be handed to a claimant next, in order; leases nothing.

        As if all that runs now had ended and each model named were loaded by then. Tasks that need no model
        or more than the whole pool are passed over; limits on how many may run or begin do not count. A
        forecast: what comes meanwhile may go first.
        """

    @abstractmethod
    def has_due(self) -> bool:
        """Tell whether a queue that is not paused has a task whose time has come, whatever it needs."""

    @abstractmethod
    def next_run_at(self) -> float | None:
        """Return when the next task that waits for its time in a queue that is not paused is due, or None."""

    @abstractmethod
    def reserve(self, lease: Lease, *, ram_bytes: int, vram_bytes: int = 0) -> bool:
        """Change what a leased task holds of its pool; False, and nothing changed, when that does not fit.

        raises  LeaseLost
        """

    @abstractmethod
    def wait(self, timeout_seconds: float) -> None:
        """Return when a task may have become claimable, or after the time-out; never late, perhaps early."""

    @abstractmethod
    def wake(self) -> None:
        """Let all who wait look again; after a caller's own transaction has added tasks."""

    # Working

    @abstractmethod
    def progress(self, lease: Lease, done_units: int, total_units: int, *, note: str = "") -> Standing:
        """Note how far a task is, and return how its lease stands; a note becomes an event.

        Not durable: a power cut may forget it.
        """

    @abstractmethod
    def standing(self, lease: Lease) -> Standing:
        """Return how a lease stands."""

    @abstractmethod
    def finish(self, lease: Lease, *, blob: str | None = None, result: str | None = None) -> None:
        """Publish a result; the task is done with it, or nothing happened.

        raises  LeaseLost when the task was given to another worker meanwhile
        """

    @abstractmethod
    def finish_all(self, results: Sequence[Result]) -> list[Lease]:
        """Publish results in one commit; return the leases that were lost, and their results with them."""

    @abstractmethod
    def fail(self, lease: Lease, *, code: str, message: str, retry: bool) -> TaskState:
        """Give a task up, or back for another try after a rest; return its new state.

        message  sealed, as it may name what the task was about; reasons elsewhere are Audobon's own words,
                 which stay readable
        retry    may the same task succeed later, unchanged? Its queue's policy for its kind decides how often
        raises   LeaseLost
        """

    @abstractmethod
    def release(self, lease: Lease, *, reason: str) -> None:
        """Hand a task back untried; the attempt does not count. Does nothing when the lease is void."""

    # Owners

    @abstractmethod
    def register(self, owner: Owner) -> None:
        """Make a worker known before it claims."""

    @abstractmethod
    def beat(self, owners: Iterable[str]) -> None:
        """Give a sign of life for workers, from a process that sees them alive. Not durable."""

    @abstractmethod
    def owners(self) -> list[Owner]:
        """Return every worker that is known or holds a task, by name; unknown ones without boot and pid."""

    @abstractmethod
    def retire(self, owner: str, *, reason: str, is_blameless: bool) -> int:
        """Take the tasks of a worker known to be gone, and forget it; return how many tasks it held.

        Each is tried again, given up when it was tried often enough, or cancelled when that was asked.
        is_blameless  it was stopped on purpose, so the attempts do not count
        """

    # Stopping and trying again

    @abstractmethod
    def cancel(self, *, task_ids: Sequence[int] = (), job_id: str | None = None, reason: str) -> int:
        """Cancel tasks that are not finished; return how many.

        One that is at work is asked to stop, and counts as cancelled when it does.
        """

    @abstractmethod
    def stop_requests(self) -> list[StopRequest]:
        """Return the leased tasks that are to stop, earliest request first."""

    @abstractmethod
    def replay(self, *, task_ids: Sequence[int] = (), job_id: str | None = None) -> int:
        """Make failed and cancelled tasks ready again with all their attempts; return how many.

        One that was asked to stop and is still at work is asked no more, and counts as well.
        """

    @abstractmethod
    def amend(self, task_id: int, payload: str) -> bool:
        """Change what a task is to do; False, and nothing changed, when it is at work or done."""

    @abstractmethod
    def make_due(self, job_id: str) -> None:
        """Let every waiting task of a job run at once."""

    @abstractmethod
    def set_deadline(self, job_id: str, deadline_at: float | None) -> None:
        """Set the instant after which the unfinished tasks of a job are given up; None for never."""

    @abstractmethod
    def clock_moved(self, seconds: float) -> None:
        """Keep the order of tasks and the rests between attempts after the machine's clock was set.

        Only for the engine of the machine whose clock the queue goes by. Deadlines stay: they are instants.
        seconds  how much later the clock is than it would be; negative when it was set back
        """

    @abstractmethod
    def prune(self, *, finished_before: float) -> int:
        """Forget tasks without a job that ended before an instant, dead letters too; return how many."""

    # Schedules

    @abstractmethod
    def put_schedule(self, schedule: Schedule) -> Schedule:
        """Create or replace a schedule and work out when it is due; InvalidInput when its line is none."""

    @abstractmethod
    def remove_schedule(self, name: str) -> None:
        """Forget a schedule; ScheduleNotFound when there is none of this name."""

    @abstractmethod
    def schedules(self) -> list[Schedule]:
        """Return all schedules, by name."""

    @abstractmethod
    def run_schedules(self) -> int:
        """Enqueue what is due; return how many tasks. Any number of callers enqueue each run once."""

    # Looking

    @abstractmethod
    def tasks(self, job_id: str) -> list[TaskView]:
        """Return the tasks of a job in the order of its document."""

    @abstractmethod
    def finished_since(self, job_id: str, since: float) -> list[TaskView]:
        """Return the tasks of a job that ended at an instant or later, earliest first."""

    @abstractmethod
    def leased(self, job_id: str) -> list[TaskView]:
        """Return the tasks of a job that are being worked on."""

    @abstractmethod
    def find(self, task_id: int) -> TaskRecord:
        """Return one task; TaskNotFound when there is none."""

    @abstractmethod
    def select(
        self,
        *,
        queue: str | None = None,
        states: Sequence[TaskState] = (),
        job_id: str | None = None,
        limit: int = 100,
    ) -> list[TaskRecord]:
        """Return tasks, newest first; no states: all of them."""

    @abstractmethod
    def ended_since(self, since: float, *, limit: int = 1000) -> list[TaskRecord]:
        """Return the newest tasks that ended at an instant or later, earliest first."""

    @abstractmethod
    def events(self, *, task_id: int | None = None, after_id: int = 0, limit: int = 1000) -> list[TaskEvent]:
        """Return events in the order they happened, those after an id."""

    @abstractmethod
    def figures(self) -> list[QueueFigures]:
        """Return depth, age, rates and failures of every queue, by name."""

    @abstractmethod
    def pools(self) -> list[PoolFigures]:
        """Return the capacity of every machine and what is reserved of it, by name."""
