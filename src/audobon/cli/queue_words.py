"""The words in which the command line speaks of the queue."""

import time
import unicodedata
from collections.abc import Iterable, Sequence

from audobon.cli.durations import span
from audobon.cli.terminal import one_line
from audobon.queue.figures import PoolFigures, QueueFigures
from audobon.queue.tasks import QueueState, TaskEvent, TaskRecord

STATE_WORDS: dict[QueueState, str] = {"run": "running", "pause": "paused", "drain": "draining"}

_EVENT_WORDS = {
    "adopted": "done with the result of equal work",
    "replayed": "retried, with all its attempts",
    "retried": "failed, to be tried again",
    "failed": "given up",
    "given back": "given back to the queue",
    "progress": "at work",
}
_MB = 1 << 20
_GB = 1 << 30


def moment(at: float) -> str:
    """Return an instant as date and time of this place."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def clock_time(at: float) -> str:
    """Return an instant as time of this place."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def amount(count_bytes: int) -> str:
    """Return an amount of memory in units of 1024, as `--memory` takes it."""
    if count_bytes >= 10 * _GB:
        return f"{count_bytes / _GB:.0f} GB"
    return f"{count_bytes / _GB:.1f} GB" if count_bytes >= _GB else f"{count_bytes / _MB:.0f} MB"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: "1 task", "2 tasks"."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def event_in_words(event: TaskEvent) -> str:
    """Return what happened to a task."""
    words = _EVENT_WORDS.get(event.kind, event.kind)
    return one_line(with_reason(words, event.detail or ""))


def with_reason(words: str, reason: str) -> str:
    """Return words with their reason: "failed: no picture"; a reason that begins with them stands alone."""
    if not reason:
        return words
    return reason if reason.startswith(words) else f"{words}: {reason}"


def done_in_words(task: TaskRecord) -> str:
    """Return that a task is done, and how long its last attempt took."""
    if task.started_at is None or task.finished_at is None:
        return "done"
    return f"done in {span(max(0.0, task.finished_at - task.started_at))}"


def history(task: TaskRecord, events: Iterable[TaskEvent]) -> list[tuple[float, str]]:
    """Return what happened to a task, earliest first, as instants and words.

    What happens to every task leaves no event: it is told by the instants of the task itself.
    """
    told = [(task.enqueued_at, "enqueued")]
    if task.started_at is not None:
        told.append((task.started_at, f"attempt {task.attempt} begun" if task.attempt else "begun"))
    told += [(event.at, event_in_words(event)) for event in events]
    if task.state == "done" and task.finished_at is not None:
        told.append((task.finished_at, done_in_words(task)))
    # What happened at the same instant stays in the order above.
    return sorted(told, key=lambda each: each[0])


def per_minute(per_second: float) -> str:
    """Return a rate as tasks of the last minute."""
    return f"{per_second * 60:.0f}"


def columns(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()
) -> list[str]:
    """Return a table as lines, its columns as wide as their widest cell on a screen.

    right  headings of columns that are set to the right
    """
    cells = [list(headings), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(cell_width(row[index]) for row in cells) for index in range(len(headings))]
    rightward = {index for index, heading in enumerate(headings) if heading in set(right)}
    return [
        "  ".join(
            _padded(cell, widths[index], is_right=index in rightward) for index, cell in enumerate(row)
        ).rstrip()
        for row in cells
    ]


def cell_width(text: str) -> int:
    """Return how many cells of a screen a text takes: Japanese letters take two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def shortened(name: str, cells: int) -> str:
    """Return a name that takes so many cells at most, cut in the middle: its end tells pages apart."""
    if cell_width(name) <= cells:
        return name
    tail = name
    while tail and cell_width(tail) > max(1, cells * 2 // 3):
        tail = tail[1:]
    head = name[: max(0, len(name) - len(tail))]
    while head and cell_width(head) + 1 + cell_width(tail) > cells:
        head = head[:-1]
    return f"{head}…{tail}"


def _padded(cell: str, width: int, *, is_right: bool) -> str:
    padding = " " * (width - cell_width(cell))
    return padding + cell if is_right else cell + padding


QUEUE_HEADINGS = ("queue", "state", "ready", "waiting", "at work", "dead", "oldest", "done/min", "failed/min")


def queue_cells(figures: QueueFigures) -> tuple[str, ...]:
    """Return the cells of a queue under `QUEUE_HEADINGS`."""
    return (
        figures.queue,
        STATE_WORDS[figures.state],
        str(figures.ready),
        str(figures.waiting),
        str(figures.leased),
        str(figures.dead),
        span(int(figures.oldest_age_seconds)) if figures.ready or figures.oldest_age_seconds else "-",
        per_minute(figures.done_per_second),
        per_minute(figures.failed_per_second),
    )


def pool_in_words(pool: PoolFigures) -> str:
    """Return what is held of the memory of a machine."""
    words = f"memory ({pool.pool}): {amount(pool.reserved_ram_bytes)} of {amount(pool.ram_bytes)} held"
    if pool.vram_bytes or pool.reserved_vram_bytes:
        words += f"; graphics: {amount(pool.reserved_vram_bytes)} of {amount(pool.vram_bytes)}"
    return words
