"""The tables, as SQLAlchemy Core; imported only to migrate and to check.

Instants are UTC seconds since 1970. Texts named `settings`, `payload`, `result` and `report` hold JSON.
Sealed with the key of the subject (docs/decisions/0021): of a job its settings, source, target and report, of
an entry its name, info and fault, of a task its payload, result and the message of its error; details of
events; payloads of schedules. Rows from before are clear until they are sealed in passing.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# SQLite counts rows in its own INTEGER alone; PostgreSQL's is too small for bytes.
_COUNT = BigInteger().with_variant(Integer, "sqlite")

schema_floor = Table(
    "schema_floor",
    metadata,
    Column("id", Integer, primary_key=True, comment="always 1"),
    Column("revision", Text, nullable=False, comment="the oldest whose code may work with this schema"),
)

job = Table(
    "job",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key", Text, nullable=False, comment="same operation, settings, source and target"),
    Column("operation", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("target", Text),
    Column("document_kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("report", Text),
    Column("subject", Text, nullable=False, server_default=text("'personal'"), comment="whose it is"),
    CheckConstraint("state IN ('running', 'interrupted', 'partial', 'done', 'failed')", name="job_state"),
)
Index("job_by_key", job.c.key, job.c.created_at)

entry = Table(
    "entry",
    metadata,
    Column("job_id", Text, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True),
    Column("ordinal", Integer, primary_key=True, comment="place in the document"),
    Column("name", Text, nullable=False, comment="path inside the document, forward slashes"),
    Column("is_page", Integer, nullable=False),
    Column("blob", Text, comment="its bytes; NULL when they could not be read"),
    Column("size_bytes", _COUNT, nullable=False),
    Column("modified_at", Float),
    Column("info", Text, comment="JSON of the page's header; NULL for other files and faulty pages"),
    Column("fault", Text, comment="JSON of why the page cannot be worked on; NULL when it can"),
)

queue = Table(
    "queue",
    metadata,
    Column("name", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("rules", Text, nullable=False, comment="JSON of its limits, ageing, leases and retries"),
    Column("rate_tokens", Float, comment="tasks that might begin at rate_at; NULL while never limited"),
    Column("rate_at", Float),
    CheckConstraint("state IN ('run', 'pause', 'drain')", name="queue_state"),
)

resource_class = Table(
    "resource_class",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("queue", Text, ForeignKey("queue.name"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("ram_bytes", _COUNT, nullable=False),
    Column("vram_bytes", _COUNT, nullable=False),
    UniqueConstraint(
        "queue", "kind", "model", "device", "ram_bytes", "vram_bytes", name="resource_class_once"
    ),
)

pool = Table(
    "pool",
    metadata,
    Column("name", Text, primary_key=True, comment="a machine"),
    Column("ram_bytes", _COUNT, nullable=False, comment="what tasks may hold together"),
    Column("vram_bytes", _COUNT, nullable=False),
)

owner = Table(
    "owner",
    metadata,
    Column("name", Text, primary_key=True),
    Column("pool", Text, nullable=False),
    Column("boot_id", Text, nullable=False, comment="of its machine; another one means that it rebooted"),
    Column("pid", Integer, nullable=False),
    Column("beat", _COUNT, nullable=False, comment="rises while it lives"),
    Column("started_at", Float, nullable=False),
)

task = Table(
    "task",
    metadata,
    Column("id", _COUNT, primary_key=True),
    # No foreign key: a class is never removed, and to look it up again for every task would double the price
    # of adding one.
    Column("class_id", Integer, nullable=False),
    Column("job_id", Text, ForeignKey("job.id", ondelete="CASCADE")),
    Column("ordinal", Integer, comment="the entry of the job's document it works on"),
    Column("idempotency_key", Text, comment="queue/key"),
    Column("work_key", Text, comment="same operation, settings, model and page bytes"),
    Column("state", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("enqueued_at", Float, nullable=False),
    Column("run_at", Float, nullable=False),
    Column("rank", Float, nullable=False, comment="run_at - lead - priority * ageing step; lowest first"),
    Column("deadline_at", Float),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("max_attempts", Integer, nullable=False),
    Column(
        "token", Integer, nullable=False, server_default=text("0"), comment="rises; fences off late finishers"
    ),
    Column("owner", Text),
    Column("pool", Text),
    Column("ram_bytes", _COUNT, comment="what it holds of its pool while it is leased"),
    Column("vram_bytes", _COUNT),
    Column("payload", Text, nullable=False),
    Column("result_blob", Text),
    Column("result", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("done_units", Integer, nullable=False, server_default=text("0")),
    Column("total_units", Integer, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("stop_asked_at", Float),
    Column("stop_reason", Text),
    Column("subject", Text, nullable=False, server_default=text("'personal'"), comment="whose it is"),
    CheckConstraint(
        "state IN ('waiting', 'ready', 'leased', 'done', 'failed', 'cancelled')", name="task_state"
    ),
    # An id is never given twice, so an old token can never fit another task.
    sqlite_autoincrement=True,
)


def _partial(name: str, *columns: Column[Any], where: str, unique: bool = False) -> None:
    Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


_partial("task_once", task.c.job_id, task.c.ordinal, where="job_id IS NOT NULL", unique=True)
_partial("task_key", task.c.idempotency_key, where="idempotency_key IS NOT NULL", unique=True)
_partial("task_ready", task.c.class_id, task.c.rank, task.c.id, where="state = 'ready'")
_partial("task_waiting", task.c.run_at, where="state = 'waiting'")
_partial("task_leased", task.c.pool, task.c.owner, where="state = 'leased'")
_partial("task_deadline", task.c.deadline_at, where="deadline_at IS NOT NULL AND finished_at IS NULL")
_partial("task_dead", task.c.class_id, where="state = 'failed'")
_partial("task_ended", task.c.finished_at, where="finished_at IS NOT NULL")
_partial(
    "task_ended_of_job",
    task.c.job_id,
    task.c.finished_at,
    where="job_id IS NOT NULL AND finished_at IS NOT NULL",
)
_partial("task_done_work", task.c.work_key, where="state = 'done' AND work_key IS NOT NULL")

task_event = Table(
    "task_event",
    metadata,
    Column("id", _COUNT, primary_key=True),
    Column("task_id", _COUNT, ForeignKey("task.id", ondelete="CASCADE"), nullable=False),
    Column("at", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("task_event_by_task", task_event.c.task_id, task_event.c.id)

released_task = Table(
    "released_task",
    metadata,
    Column("task_id", _COUNT, ForeignKey("task.id", ondelete="CASCADE"), primary_key=True),
    Column("token", Integer, nullable=False, comment="of the task when it was released"),
    Column("lane", Text, nullable=False, comment="the queue of Cloud Tasks it lies in"),
    Column("url", Text, nullable=False, comment="of the worker service it is for"),
    Column("name", Text, nullable=False, comment="its name there, drawn by lot"),
    Column("released_at", Float, nullable=False),
    Column("created_at", Float, comment="known to lie there since; NULL while in doubt"),
    Column("taken_at", Float, comment="when it was delivered and taken up"),
)

schedule = Table(
    "schedule",
    metadata,
    Column("name", Text, primary_key=True),
    Column("queue", Text, ForeignKey("queue.name"), nullable=False),
    Column("needs", Text, nullable=False, comment="JSON of what its tasks need"),
    Column("cron", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("misfire", Text, nullable=False),
    Column("is_paused", Integer, nullable=False),
    Column("next_at", Float, nullable=False),
    CheckConstraint("misfire IN ('skip', 'once', 'all')", name="schedule_misfire"),
)

once = Table(
    "once",
    metadata,
    Column("deed", Text, primary_key=True, comment="what was done once to all rows there were"),
    Column("done_at", Float, nullable=False),
)

backup_mark = Table(
    "backup_mark",
    metadata,
    Column("id", _COUNT, primary_key=True),
    Column("sentinel", Text, nullable=False, comment="random; named by the backup's manifest"),
    Column("at", Float, nullable=False),
    UniqueConstraint("sentinel", name="backup_mark_once"),
)
