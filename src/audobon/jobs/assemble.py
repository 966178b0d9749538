"""Puts the results of a job together: files to write, findings to tell."""

import zipfile
from collections.abc import Iterator
from functools import partial
from typing import IO, Any

import msgspec

from audobon.compute.work import PageResult
from audobon.jobs.ingest import TakenEntry
from audobon.jobs.report import PageReport
from audobon.jobs.target import Piece
from audobon.queue.service import TaskView
from audobon.storage.service import Storage


class Page(msgspec.Struct, frozen=True):
    """A file of the document with its task, if it has one."""

    taken: TakenEntry
    task: TaskView | None

    @property
    def result(self) -> PageResult | None:
        """What came of it, when it was done."""
        if self.task is None or self.task.state != "done" or self.task.result is None:
            return None
        return msgspec.json.decode(self.task.result, type=PageResult)


def page_report(page: Page, *, is_resumed: bool) -> PageReport:
    """Return what to tell of a page that was finished or failed."""
    name = page.taken.entry.name
    if (result := page.result) is not None:
        return PageReport(
            name,
            "done",
            is_resumed=is_resumed,
            width=result.width,
            height=result.height,
            seconds=result.seconds,
            tile_px=result.placement.tile_px,
            notes=result.notes,
        )
    if page.taken.fault is not None:
        hint = f" ({page.taken.fault.hint})" if page.taken.fault.hint else ""
        return PageReport(name, "failed", code=page.taken.fault.code, message=page.taken.fault.message + hint)
    code = page.task.error_code if page.task is not None else None
    message = page.task.error_message if page.task is not None else None
    return PageReport(name, "failed", code=code or "error", message=message or "it was not done")


def picture_pieces(pages: list[Page], storage: Storage) -> Iterator[Piece]:
    """Yield the files of the output document in order.

    A page that failed is carried over as it was, so that no book comes out a page short.
    """
    for page in pages:
        entry = page.taken.entry
        done = page.task is not None and page.task.state == "done"
        blob = page.task.result_blob if done and page.task is not None else page.taken.blob
        if blob is not None:
            yield Piece(entry.name, entry.modified_at, partial(storage.copy_to, blob))


def gather_findings(operation: str, document: str, pages: list[Page]) -> dict[str, Any]:
    """Return the findings of all pages as one JSON-ready tree."""
    told: list[dict[str, Any]] = []
    for page in pages:
        if not page.taken.entry.is_page:
            continue
        if (result := page.result) is not None:
            found = msgspec.json.decode(result.findings, type=dict[str, Any])
            told.append(
                {"name": page.taken.entry.name, "width": result.width, "height": result.height, **found}
            )
        else:
            report = page_report(page, is_resumed=False)
            told.append({"name": report.name, "error": {"code": report.code, "message": report.message}})
    return {"operation": operation, "document": document, "pages": told}


def findings_json(findings: dict[str, Any]) -> bytes:
    """Return findings as people and programs read them."""
    return msgspec.json.format(msgspec.json.encode(findings), indent=2) + b"\n"


def findings_pieces(findings: dict[str, Any], pages: list[Page], storage: Storage) -> Iterator[Piece]:
    """Yield the files of a folder of findings: the JSON, and each page's pictures in a folder of its own."""
    operation = str(findings["operation"])
    data = findings_json(findings)
    yield Piece(f"{operation}.json", None, partial(write_bytes, data=data))
    for page in pages:
        if page.task is None or page.task.result_blob is None:
            continue
        with storage.open(page.task.result_blob) as file, zipfile.ZipFile(file) as pieces:
            for name in pieces.namelist():
                picture = pieces.read(name)
                yield Piece(f"{page.taken.entry.name}/{name}", None, partial(write_bytes, data=picture))


def write_bytes(target: IO[bytes], data: bytes) -> None:
    """Write some bytes to a stream."""
    target.write(data)
