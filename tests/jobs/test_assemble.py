"""Putting results together: no page is missing, and each failure is told where it stands."""

import io
import json
import zipfile
from pathlib import Path

import msgspec
import pytest

from audobon.compute.placement import Placement
from audobon.compute.work import PageResult
from audobon.jobs.assemble import (
    Page,
    findings_json,
    findings_pieces,
    gather_findings,
    page_report,
    picture_pieces,
)
from audobon.jobs.ingest import Fault, TakenEntry
from audobon.jobs.report import PageReport
from audobon.jobs.target import Piece
from audobon.pages.documents import Entry
from audobon.queue.service import State, TaskView
from audobon.storage.service import Storage

PLACEMENT = Placement("here", 64, False, 1, "here: it fits the budget")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def taken(name: str, blob: str | None = None, fault: Fault | None = None) -> TakenEntry:
    return TakenEntry(Entry(name, name.endswith(".png"), 3, 7.0), blob, 3, None, fault)


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


def test_a_finished_page_is_reported_with_size_time_tiles_and_notes() -> None:
    page = Page(taken("1.png"), task("done"))

    assert page_report(page, is_resumed=True) == PageReport(
        "1.png",
        "done",
        is_resumed=True,
        width=20,
        height=30,
        seconds=1.5,
        tile_px=64,
        notes=("palette became RGB",),
    )


@pytest.mark.parametrize(
    ("page", "code", "message"),
    [
        (Page(taken("1.png", fault=Fault("denied", "no", "ask")), None), "denied", "no (ask)"),
        (Page(taken("1.png", fault=Fault("denied", "no")), None), "denied", "no"),
        (Page(taken("1.png"), task("failed", code="worker_died", message="gone")), "worker_died", "gone"),
        (Page(taken("1.png"), None), "error", "it was not done"),
        (Page(taken("1.png"), task("ready")), "error", "it was not done"),
    ],
)
def test_a_page_that_was_not_done_is_reported_with_the_reason(page: Page, code: str, message: str) -> None:
    assert page_report(page, is_resumed=False) == PageReport("1.png", "failed", code=code, message=message)


def test_the_output_holds_results_other_files_and_failed_pages_as_they_were(storage: Storage) -> None:
    before = {name: storage.put(name.encode()) for name in ("1.png", "2.png", "3.png", "notes.txt")}
    after = storage.put(b"restored")
    pages = [
        Page(taken("1.png", before["1.png"]), task("done", after)),
        Page(taken("2.png", before["2.png"]), task("failed", code="error", message="no")),
        Page(taken("3.png", before["3.png"], Fault("denied", "no")), None),
        Page(taken("4.png", None, Fault("unreadable_picture", "its bytes could not be read")), None),
        Page(taken("notes.txt", before["notes.txt"]), None),
    ]

    pieces = list(picture_pieces(pages, storage))

    assert contents(pieces) == {
        "1.png": b"restored",
        "2.png": b"2.png",
        "3.png": b"3.png",
        "notes.txt": b"notes.txt",
    }
    assert {piece.modified_at for piece in pieces} == {7.0}


def test_findings_hold_every_page_in_order_and_failures_in_their_place() -> None:
    pages = [
        Page(taken("1.png"), task("done", findings={"panels": [1, 2]})),
        Page(taken("2.png", fault=Fault("denied", "no")), None),
        Page(taken("notes.txt"), None),
    ]

    findings = gather_findings("panels", "fox.cbz", pages)

    assert findings == {
        "operation": "panels",
        "document": "fox.cbz",
        "pages": [
            {"name": "1.png", "width": 20, "height": 30, "panels": [1, 2]},
            {"name": "2.png", "error": {"code": "denied", "message": "no"}},
        ],
    }
    assert json.loads(findings_json(findings)) == findings
    assert findings_json(findings).endswith(b"}\n")


def test_pictures_of_findings_get_a_folder_for_each_page(storage: Storage) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as pieces:
        pieces.writestr("panel-01.png", b"one")
        pieces.writestr("overview.png", b"all")
    pages = [
        Page(taken("a/1.png"), task("done", storage.put(packed.getvalue()), {"panels": []})),
        Page(taken("2.png"), task("failed", code="error", message="no")),
    ]
    findings = gather_findings("panels", "fox", pages)

    found = contents(list(findings_pieces(findings, pages, storage)))

    assert found == {
        "panels.json": findings_json(findings),
        "a/1.png/panel-01.png": b"one",
        "a/1.png/overview.png": b"all",
    }
