"""Draws the queue for a person at a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from audobon.cli.durations import span
from audobon.cli.queue_looks import Happening, Look, Worker
from audobon.cli.queue_words import QUEUE_HEADINGS, amount, clock_time, counted, pool_in_words, queue_cells
from audobon.cli.terminal import one_line

if TYPE_CHECKING:
    from audobon.queue.tasks import TaskRecord

_STATE_STYLES = {"running": "green", "paused": "yellow", "draining": "yellow"}
_SILENT_SECONDS = 10.0
_LEAST_ROWS = 3
# Headings, titles, and the empty lines between the parts.
_FIXED_ROWS = 9


def screen(look: Look, happenings: Sequence[Happening], *, height: int, ending: str) -> RenderableType:
    """Return a picture of the queue that fits a terminal of this height."""
    rows = max(2 * _LEAST_ROWS, height - _FIXED_ROWS - len(look.queues) - len(look.pools))
    rows_at_work = min(len(look.at_work), max(_LEAST_ROWS, rows - len(happenings), rows // 2))
    shown = happenings[-max(1, rows - max(1, rows_at_work)) :]
    title = Text.assemble(("queue", "bold"), f"  {clock_time(look.at)}", (f"  {ending}", "dim"))
    return Group(
        title,
        _queues(look),
        *(Text(one_line(f"memory of {pool.pool}: {pool_in_words(pool)}")) for pool in look.pools),
        _workers(look.workers),
        Text(),
        Text("at work", style="bold"),
        _at_work(look, rows_at_work),
        Text(),
        Text("what happened", style="bold"),
        _happenings(shown),
    )


def _queues(look: Look) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in QUEUE_HEADINGS:
        table.add_column(heading, justify="left" if heading in QUEUE_HEADINGS[:2] else "right", no_wrap=True)
    for figures in look.queues:
        name, state, *numbers = queue_cells(figures)
        cells = [Text(one_line(name)), Text(state, style=_STATE_STYLES[state]), *map(Text, numbers)]
        if figures.dead:
            cells[QUEUE_HEADINGS.index("dead")].stylize("red")
        table.add_row(*cells)
    return table


def _workers(workers: Sequence[Worker]) -> Text:
    if not workers:
        return Text("no worker; audobon up starts them", style="dim")
    text = Text("workers: ", overflow="ellipsis", no_wrap=True)
    for index, worker in enumerate(workers):
        text.append(", " if index else "").append(f"pid {worker.owner.pid}")
        if worker.silent_seconds >= _SILENT_SECONDS:
            text.append(f" (silent for {span(int(worker.silent_seconds))})", style="yellow")
    return text


def _at_work(look: Look, rows: int) -> RenderableType:
    if not look.at_work:
        return Text("nothing", style="dim")
    pids = {worker.owner.name: worker.owner.pid for worker in look.workers}
    table = Table.grid(padding=(0, 1), expand=True)
    for justify, ratio in (("right", 0), ("left", 1), ("left", 0), ("right", 0), ("right", 0), ("right", 0)):
        table.add_column(justify=justify, ratio=ratio or None, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    left_out = len(look.at_work) - rows
    for task in look.at_work[: rows if left_out <= 0 else rows - 1]:
        table.add_row(*_cells_at_work(task, look.at, pids))
    if left_out <= 0:
        return table
    return Group(table, Text(f"and {counted(left_out + 1, 'task')} more", style="dim"))


def _cells_at_work(task: "TaskRecord", now: float, pids: dict[str, int]) -> list[RenderableType]:
    total = max(1, task.total_units)
    done = min(task.done_units, total)
    what = Text(one_line(task.kind))
    if task.stop_asked_at is not None:
        what.append(" asked to stop", style="yellow")
    if task.model:
        what.append(f" {one_line(task.model)}", style="dim")
    pid = pids.get(task.owner or "")
    return [
        Text(str(task.id)),
        what,
        ProgressBar(total=total, completed=done, width=16),
        Text(f"{100 * done // total} %"),
        Text(amount(task.ram_bytes)),
        Text(f"{span(max(0, int(now - (task.started_at or now))))}" + (f", pid {pid}" if pid else "")),
    ]


def _happenings(happenings: Sequence[Happening]) -> RenderableType:
    if not happenings:
        return Text("nothing yet", style="dim")
    lines = []
    for at, task_id, words in happenings:
        style = "red" if words.startswith("given up") else ""
        line = Text(no_wrap=True, overflow="ellipsis")
        lines.append(line.append(f"{clock_time(at)}  task {task_id}  ").append(one_line(words), style=style))
    return Group(*lines)
