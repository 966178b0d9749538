"""Shows a job while it runs: a bar for a person at a terminal, lines for a log."""

from typing import TYPE_CHECKING

from audobon.cli.terminal import is_terminal, one_line, printable, say
from audobon.jobs.report import Counts, PageReport
from audobon.telemetry.progress import RemainingTime, remaining_in_words

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def watcher_for(*, quiet: bool) -> "LineWatcher":
    """Return what shows a job here: a bar on a terminal, lines elsewhere, nothing when quiet."""
    if quiet:
        return QuietWatcher()
    return BarWatcher() if is_terminal() else LineWatcher()


class LineWatcher:
    """Writes one line for each page, and one for what takes a moment."""

    def __init__(self) -> None:
        self._time = RemainingTime()
        self._pages = 0
        self._seen = 0
        self._told: set[str] = set()
        self.kept = 0
        """Pages finished so far, in this run or before."""

    def stage(self, words: str) -> None:
        """Say what begins."""
        say(one_line(words))

    def started(self, job_id: str, pages: int, resumed: int) -> None:
        """Say what is resumed."""
        self._pages, self._seen, self.kept = pages, resumed, resumed
        if resumed:
            say(f"job {job_id}: {resumed} of {pages} pages were done before")

    def tick(self, counts: Counts) -> None:
        """Follow the work."""
        if counts.total_units:
            self._time.start(counts.total_units)
            self._time.advance(counts.done_units)

    def page(self, page: PageReport) -> None:
        """Write the page's line."""
        self._note(page)
        say(f"[{self._seen}/{self._pages}]  {self._words(page)}{self._rest()}")

    def finished(self) -> None:
        """Nothing to add: the summary follows."""
        self._time.finish()

    def close(self) -> None:
        """Leave the screen clean."""

    def _note(self, page: PageReport) -> None:
        # One that failed and was replayed is told of again.
        self._seen += page.name not in self._told
        self._told.add(page.name)
        self.kept += page.state == "done"

    def _words(self, page: PageReport) -> str:
        if page.is_called_off:
            return f"{one_line(page.name)}  called off: {one_line(page.message)}"
        if page.state == "failed":
            return f"{one_line(page.name)}  FAILED: {one_line(page.message)}"
        return f"{one_line(page.name)}  {page.width}×{page.height}  {page.seconds:.1f} s"

    def _rest(self) -> str:
        if self._seen >= self._pages:
            return ""
        remaining = self._time.remaining()
        return "" if remaining is None else f"  ({remaining_in_words(remaining)} left)"


class QuietWatcher(LineWatcher):
    """Says nothing; only counts."""

    def stage(self, words: str) -> None:
        """Say nothing."""

    def started(self, job_id: str, pages: int, resumed: int) -> None:
        """Only count."""
        self.kept = resumed

    def page(self, page: PageReport) -> None:
        """Only count."""
        self.kept += page.state == "done"


class BarWatcher(LineWatcher):
    """Draws a bar with pages, tiles and the time still to go."""

    def __init__(self) -> None:
        super().__init__()
        self._progress: Progress | None = None
        self._bar: TaskID | None = None

    def stage(self, words: str) -> None:
        """Say what begins, above the bar once there is one."""
        if self._progress is None:
            super().stage(words)
        else:
            self._print(one_line(words))

    def started(self, job_id: str, pages: int, resumed: int) -> None:
        """Draw the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        super().started(job_id, pages, resumed)
        self._progress = Progress(
            TextColumn("{task.fields[pages]}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[tiles]}"),
            TextColumn("{task.fields[rest]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar = self._progress.add_task("", total=1.0, pages=self._count(), tiles="", rest="")
        self._progress.start()

    def tick(self, counts: Counts) -> None:
        """Move the bar."""
        super().tick(counts)
        self._show(counts)

    def page(self, page: PageReport) -> None:
        """Write failures above the bar; finished pages only move it."""
        self._note(page)
        if page.state == "failed":
            self._print(self._words(page))
        elif page.notes:
            self._print(f"{page.name}: {'; '.join(page.notes)}")

    def finished(self) -> None:
        """Fill the bar: the output is published."""
        super().finished()
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _print(self, words: str) -> None:
        """Write a line above the bar."""
        if self._progress is not None:
            self._progress.console.print(printable(words), markup=False, highlight=False)

    def _show(self, counts: Counts) -> None:
        if self._progress is None or self._bar is None:
            return
        remaining = self._time.remaining()
        words = remaining_in_words(remaining)
        self._progress.update(
            self._bar,
            completed=self._time.fraction(),
            pages=self._count(),
            tiles=f"{counts.done_units}/{counts.total_units} tiles",
            rest="working out how long" if remaining is None else f"{words} left",
        )

    def _count(self) -> str:
        return f"page {min(self._seen + 1, self._pages)} of {self._pages}"
