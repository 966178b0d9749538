"""Putting results together: no page is missing, and each failure is told where it stands."""

import pytest
from made_pages import contents, taken, task

from audobon.jobs.assemble import Page, page_report, picture_pieces
from audobon.jobs.ingest import Fault
from audobon.jobs.report import PageReport
from audobon.storage.service import Storage


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

    pieces = picture_pieces(pages, storage)

    assert contents(pieces) == {
        "1.png": b"restored",
        "2.png": b"2.png",
        "3.png": b"3.png",
        "notes.txt": b"notes.txt",
    }
    assert {piece.modified_at for piece in pieces} == {7.0}
