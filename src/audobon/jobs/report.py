"""What a job is asked, what it tells while it runs, and what came of it."""

from pathlib import Path
from typing import Any, Protocol

import msgspec

from audobon.errors import Cancelled
from audobon.keys.service import PERSONAL
from audobon.pages.operations import Operation, Settings

NEW_SUBJECT = "new"
"""Stands for a person or project that a run would make: nothing is kept for it yet."""


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one document.

    target        where the result goes; None: findings are only returned
    overwrite     the target may be replaced
    budget_bytes  memory for all processes together
    is_budget_asked  the user named the budget; otherwise an engine's own holds
    use_cache     results from before may be used, and what is made may be kept
    deadline_at   instant after which pages not done by then are given up, UTC seconds; None for never
    subject       id of the person or project it is done for; all that is kept of it is sealed for them
    """

    operation: Operation
    settings: Settings
    source: Path
    target: Path | None
    overwrite: bool
    budget_bytes: int
    is_budget_asked: bool = False
    use_cache: bool = True
    deadline_at: float | None = None
    subject: str = PERSONAL


class PageReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of one page.

    name        inside the document
    state       done or failed
    is_resumed  it was finished before this run
    is_cached   it was in the result cache; else cached_tiles of its tiles may have been
    tiles       looked up in the result cache
    seconds     work on it, when it was done
    tile_px     side of the tiles it was worked in; 0 when not in tiles
    code        of the error, when it failed
    notes       what changed on the way
    """

    name: str
    state: str
    is_resumed: bool = False
    is_cached: bool = False
    tiles: int = 0
    cached_tiles: int = 0
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    tile_px: int = 0
    code: str = ""
    message: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_called_off(self) -> bool:
        """Whether somebody wanted it no more; nothing is wrong with it."""
        return self.state == "failed" and self.code == Cancelled.code


class JobReport(msgspec.Struct, frozen=True):
    """What came of a job.

    state              done, partial or failed
    place              where it ran
    seconds            this run, from request to published output
    peak_memory_bytes  most memory all processes of the run held together, shared pages counted each time
    is_engine_joined   pages were done by an engine that ran already; the peak includes its processes
    loss_db            PSNR of a draft's pages against the full model's, as its card says; None: not a draft
    cost_micros        millionths of a US dollar
    files              what was written into the output folder; empty for a single file
    unread_pictures    pictures of formats that are not worked on, carried over as they were
    left_out           files of the document that were neither worked on nor carried over
    pages_cached       pages that were in the result cache; they count as done before this run
    tiles              of the other pages, looked up in the result cache; tiles_cached of them were there
    """

    job: str
    operation: str
    settings: dict[str, Any]
    models: tuple[str, ...]
    state: str
    place: str
    source: str
    output: str | None
    seconds: float
    peak_memory_bytes: int
    cost_micros: int
    pages_done: int
    pages_failed: int
    pages_resumed: int
    pages: list[PageReport]
    files: list[str]
    unread_pictures: list[str]
    left_out: list[str]
    loss_db: float | None = None
    pages_cached: int = 0
    tiles: int = 0
    tiles_cached: int = 0
    is_engine_joined: bool = False


class JobOutcome(msgspec.Struct, frozen=True):
    """A report, and the findings of operations that make them, as a JSON-ready tree."""

    report: JobReport
    findings: dict[str, Any] | None


class Counts(msgspec.Struct, frozen=True):
    """How far a job is: tasks by state, and model runs; those of failed pages are not among them."""

    tasks: int
    done: int
    failed: int
    done_units: int
    total_units: int


class Watcher(Protocol):
    """Is told how a job goes, in the thread that runs it."""

    def stage(self, words: str) -> None:
        """Something that takes a moment begins, such as reading the document."""
        ...

    def started(self, job_id: str, pages: int, resumed: int) -> None:
        """The pages are known and work begins; some may be finished from before."""
        ...

    def tick(self, counts: Counts) -> None:
        """Called about ten times a second with how far the job is."""
        ...

    def page(self, page: PageReport) -> None:
        """A page was finished or failed."""
        ...

    def finished(self) -> None:
        """The output is published."""
        ...
