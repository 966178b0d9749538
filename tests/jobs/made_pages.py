"""Pages of a job as the queue and the storage would tell of them, made by hand."""

import io

import msgspec

from audobon.compute.placement import Placement
from audobon.compute.work import PageResult
from audobon.jobs.ingest import Fault, TakenEntry
from audobon.jobs.target import Piece
from audobon.pages.documents import Entry
from audobon.queue.tasks import TaskState as State
from audobon.queue.tasks import TaskView

PLACEMENT = Placement("here", 64, False, 1, "here: it fits the budget")


def taken(name: str, blob: str | None = None, fault: Fault | None = None) -> TakenEntry:
    return TakenEntry(Entry(name, name.endswith((".png", ".jpg")), 3, 7.0), blob, 3, None, fault)


def task(state: State, blob: str | None = None, findings: object = None, **error: str) -> TaskView:
    result = PageResult(
        width=20,
        height=30,
        seconds=1.5,
        notes=("palette became RGB",),
        placement=PLACEMENT,
        findings=msgspec.Raw(msgspec.json.encode(findings)),
    )
    return TaskView(
        id=1,
        ordinal=0,
        state=state,
        attempt=1,
        owner=None,
        result_blob=blob,
        result=msgspec.json.encode(result).decode() if state == "done" else None,
        error_code=error.get("code"),
        error_message=error.get("message"),
        done_units=1,
        total_units=1,
        finished_at=None,
    )


def contents(pieces: list[Piece]) -> dict[str, bytes]:
    found = {}
    for piece in pieces:
        target = io.BytesIO()
        piece.copy(target)
        found[piece.name] = target.getvalue()
    return found
