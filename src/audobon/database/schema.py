"""The tables, as SQLAlchemy Core; imported only to migrate and to check.

Instants are UTC seconds since 1970. Texts named `settings`, `payload`, `result` and `report` hold JSON.
"""

from sqlalchemy import (
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
    Column("size_bytes", Integer, nullable=False),
    Column("modified_at", Float),
    Column("info", Text, comment="JSON of the page's header; NULL for other files and faulty pages"),
    Column("fault", Text, comment="JSON of why the page cannot be worked on; NULL when it can"),
)

queue = Table(
    "queue",
    metadata,
    Column("name", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("ageing_step_seconds", Float, nullable=False),
    Column("lease_seconds", Float, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    CheckConstraint("state IN ('run', 'pause', 'drain')", name="queue_state"),
)

resource_class = Table(
    "resource_class",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("queue", Text, ForeignKey("queue.name"), nullable=False),
    Column("model", Text, nullable=False),
    Column("ram_bytes", Integer, nullable=False),
    Column("vram_bytes", Integer, nullable=False),
    UniqueConstraint("queue", "model", "ram_bytes", "vram_bytes", name="resource_class_once"),
)

task = Table(
    "task",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", Text, ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    Column("ordinal", Integer, nullable=False, comment="the entry it works on"),
    Column("class_id", Integer, ForeignKey("resource_class.id"), nullable=False),
    Column("work_key", Text, nullable=False, comment="same operation, settings, model and page bytes"),
    Column("state", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("run_at", Float, nullable=False),
    Column("rank", Float, nullable=False, comment="run_at - priority * ageing step; lowest first"),
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("token", Integer, nullable=False, comment="rises with every lease; fences off late finishers"),
    Column("owner", Text),
    Column("lease_until", Float),
    Column("payload", Text, nullable=False),
    Column("result_blob", Text),
    Column("result", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("done_units", Integer, nullable=False),
    Column("total_units", Integer, nullable=False),
    Column("finished_at", Float),
    CheckConstraint("state IN ('ready', 'leased', 'done', 'failed')", name="task_state"),
    UniqueConstraint("job_id", "ordinal", name="task_once"),
)
Index("task_ready", task.c.job_id, task.c.rank, task.c.id, sqlite_where=text("state = 'ready'"))
Index("task_leased", task.c.job_id, task.c.owner, sqlite_where=text("state = 'leased'"))
Index("task_finished", task.c.job_id, task.c.finished_at, sqlite_where=text("state IN ('done', 'failed')"))
Index("task_done_work", task.c.work_key, sqlite_where=text("state = 'done'"))

task_event = Table(
    "task_event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("task_id", Integer, ForeignKey("task.id", ondelete="CASCADE"), nullable=False),
    Column("at", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),
)
Index("task_event_by_task", task_event.c.task_id, task_event.c.id)

TABLES = metadata.tables
