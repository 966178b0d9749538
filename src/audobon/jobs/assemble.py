"""Puts the pages of a job together again."""

from functools import partial
from typing import IO

import msgspec

from audobon.compute.work import PageResult
from audobon.jobs.ingest import TakenEntry
from audobon.jobs.report import PageReport
from audobon.jobs.target import Piece
from audobon.queue.tasks import TaskView
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
            is_cached=result.is_cached,
            tiles=result.tiles,
            cached_tiles=result.cached_tiles,
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


def picture_pieces(pages: list[Page], storage: Storage) -> list[Piece]:
    """Return the files of the output document in order.

    A page that failed is carried over as it was, as long as its bytes could be read.
    """
    pieces = []
    for page in pages:
        entry = page.taken.entry
        done = page.task is not None and page.task.state == "done"
        blob = page.task.result_blob if done and page.task is not None else page.taken.blob
        if blob is not None:
            pieces.append(Piece(entry.name, entry.modified_at, partial(storage.copy_to, blob)))
    return pieces


def write_bytes(target: IO[bytes], data: bytes) -> None:
    """Write some bytes to a stream."""
    target.write(data)
