"""What goes through the queue: tasks, what they need, leases, and the views others get of them."""

from typing import Literal

import msgspec

from audobon.keys.service import PERSONAL

Category = Literal["interactive", "batch", "maintenance"]
"""Which queue a task waits in."""

CATEGORIES: tuple[Category, ...] = ("interactive", "batch", "maintenance")

QueueState = Literal["run", "pause", "drain"]
"""run: takes and hands out tasks; pause: takes but hands out none; drain: hands out but takes none."""

TaskState = Literal["waiting", "ready", "leased", "done", "failed", "cancelled"]
"""waiting: not yet due; failed: a dead letter, kept with its reason until replayed or removed."""

Standing = Literal["held", "asked to stop", "lost"]
"""How a lease stands: go on; stop soon, the task was cancelled or is late; void, another has the task."""


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a task needs to run; tasks with equal needs form a resource class.

    kind        what is to be done, which decides who can do it and how it is retried
    model       model it runs first; "" when none
    device      "any", "cpu" or "cuda"
    ram_bytes   least memory it can run in
    vram_bytes  least graphics memory
    """

    kind: str
    model: str = ""
    device: str = "any"
    ram_bytes: int = 0
    vram_bytes: int = 0


class NewTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task to enqueue.

    payload          JSON for the worker
    priority         each step counts as much as waiting for one ageing step
    delay_seconds    before which it does not run
    deadline_at      instant after which it is given up; None for never
    idempotency_key  a second task with the same key in the same queue is not added; it stays readable, so
                     no name of the user's may be in it
    job_id, ordinal  the job it belongs to, and the entry of the job's document; both or neither
    subject          whom its payload and all that comes of it belong to; they are sealed for it
    work_key         equal for equal work, so that a finished result can be adopted
    total_units      steps expected
    """

    needs: Needs
    payload: str = "{}"
    priority: int = 0
    delay_seconds: float = 0.0
    deadline_at: float | None = None
    idempotency_key: str | None = None
    job_id: str | None = None
    ordinal: int | None = None
    work_key: str | None = None
    total_units: int = 1
    subject: str = PERSONAL


class Lease(msgspec.Struct, frozen=True):
    """The right to work on a task; void once another token was given out."""

    id: int
    token: int
    attempt: int
    queue: str
    kind: str
    model: str
    payload: str
    job_id: str | None
    ordinal: int | None
    ram_bytes: int
    vram_bytes: int
    deadline_at: float | None
    subject: str = PERSONAL


class Result(msgspec.Struct, frozen=True):
    """What came of a leased task.

    blob    key of the bytes it made; None when it made none
    result  JSON for others
    """

    lease: Lease
    blob: str | None = None
    result: str | None = None


class Claimant(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for tasks, and what it can do.

    owner    its name on leases
    pool     the machine whose capacity its tasks are taken from; None: capacity is not counted
    kinds    the kinds of task it can do; None for all
    queues   the queues it serves; None for all
    devices  what it can run on, besides "any"
    models   the models it holds in memory now; their tasks count as a little older
    """

    owner: str
    pool: str | None = None
    kinds: frozenset[str] | None = None
    queues: frozenset[str] | None = None
    devices: frozenset[str] = frozenset({"cpu"})
    models: frozenset[str] = frozenset()


class Capacity(msgspec.Struct, frozen=True):
    """Memory of a machine: what tasks may hold together."""

    ram_bytes: int
    vram_bytes: int = 0


class TaskView(msgspec.Struct, frozen=True):
    """A page of a job as the job sees it."""

    id: int
    ordinal: int
    state: TaskState
    attempt: int
    owner: str | None
    result_blob: str | None
    result: str | None
    error_code: str | None
    error_message: str | None
    done_units: int
    total_units: int
    finished_at: float | None


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A task as operators see it; instants are UTC seconds, and None until they come."""

    id: int
    queue: str
    kind: str
    model: str
    device: str
    state: TaskState
    priority: int
    job_id: str | None
    ordinal: int | None
    idempotency_key: str | None
    attempt: int
    max_attempts: int
    token: int
    owner: str | None
    pool: str | None
    ram_bytes: int
    vram_bytes: int
    payload: str
    result_blob: str | None
    result: str | None
    error_code: str | None
    error_message: str | None
    done_units: int
    total_units: int
    enqueued_at: float
    run_at: float
    deadline_at: float | None
    started_at: float | None
    finished_at: float | None
    stop_asked_at: float | None


class TaskEvent(msgspec.Struct, frozen=True):
    """Something that happened to a task; ids rise, so a reader goes on after the last it saw."""

    id: int
    task_id: int
    at: float
    kind: str
    detail: str


class Owner(msgspec.Struct, frozen=True):
    """A worker that holds leases, or may.

    boot_id  of the machine it runs on, so that a reboot is seen
    beat     rises while it lives; who watches compares beats by its own clock
    """

    name: str
    pool: str
    boot_id: str
    pid: int
    beat: int
    started_at: float


class StopRequest(msgspec.Struct, frozen=True):
    """A leased task whose worker is to stop: cancelled, or past its deadline."""

    task_id: int
    owner: str
    asked_at: float
    reason: str
