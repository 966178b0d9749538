"""Draws the queue for a person at a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from audobon.cli.durations import span
from audobon.cli.queue_looks import Happening, Look, Worker
from audobon.cli.queue_names import TaskNames
from audobon.cli.queue_words import (
    QUEUE_HEADINGS,
    amount,
    cell_width,
    clock_time,
    counted,
    pool_in_words,
    queue_cells,
    shortened,
)
from audobon.cli.terminal import one_line

if TYPE_CHECKING:
    from audobon.queue.tasks import TaskRecord

_STATE_STYLES = {"running": "green", "paused": "yellow", "draining": "yellow"}
_SILENT_SECONDS = 10.0
_LEAST_ROWS = 3
_ROWS_OF_A_TASK = 2
_BAR_CELLS = 16
_WIDE_CELLS = 90
# Headings, titles, and the empty lines between the parts.
_FIXED_ROWS = 8


def screen(
    look: Look, names: TaskNames, happenings: Sequence[Happening], *, width: int, height: int, ending: str
) -> RenderableType:
    """Return a picture of the queue that fits a terminal of this width and height."""
    rows = max(2 * _LEAST_ROWS, height - _FIXED_ROWS - len(look.queues) - len(look.pools))
    rows_at_work = min(
        max(1, _ROWS_OF_A_TASK * len(look.at_work)), max(_LEAST_ROWS, rows - len(happenings), rows // 2)
    )
    title = Text.assemble(("queue", "bold"), f"  {clock_time(look.at)}")
    if ending:
        title.append(f"  {ending}", style="dim")
    return Group(
        title,
        _queues(look, width),
        *(_line(one_line(pool_in_words(pool))) for pool in look.pools),
        _engine(look),
        Text(),
        Text("at work", style="bold"),
        *_at_work(look, names, rows_at_work, width),
        Text(),
        Text("what happened", style="bold"),
        *_happenings(happenings[-max(1, rows - rows_at_work) :], width),
    )


def _line(words: str = "", style: str = "") -> Text:
    return Text(words, style=style, no_wrap=True, overflow="ellipsis")


def _queues(look: Look, width: int) -> Table:
    gap = 2 if width >= _WIDE_CELLS else 1
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
    for heading in QUEUE_HEADINGS:
        table.add_column(heading, justify="left" if heading in QUEUE_HEADINGS[:2] else "right", no_wrap=True)
    for figures in look.queues:
        name, state, *numbers = queue_cells(figures)
        cells = [Text(one_line(name)), Text(state, style=_STATE_STYLES[state]), *map(Text, numbers)]
        if figures.dead:
            cells[QUEUE_HEADINGS.index("dead")].stylize("red")
        table.add_row(*cells)
    return table


def _engine(look: Look) -> Text:
    if look.engine_pid is None and not look.workers:
        return _line("no engine runs: audobon up starts one, and so does audobon run", "dim")
    engine = "no engine runs here" if look.engine_pid is None else f"engine: pid {look.engine_pid}"
    return _line(f"{engine}; ").append_text(_workers(look.workers))


def _workers(workers: Sequence[Worker]) -> Text:
    if not workers:
        return _line("no worker, which starts when there is work", "dim")
    text = _line("worker: " if len(workers) == 1 else "workers: ")
    for index, worker in enumerate(workers):
        text.append(", " if index else "").append(f"pid {worker.owner.pid}")
        if worker.silent_seconds >= _SILENT_SECONDS:
            text.append(f" (silent for {span(int(worker.silent_seconds))})", style="yellow")
    return text


def _at_work(look: Look, names: TaskNames, rows: int, width: int) -> list[Text]:
    if not look.at_work:
        return [_line("nothing", "dim")]
    pids = {worker.owner.name: worker.owner.pid for worker in look.workers}
    left_out = len(look.at_work) - rows // _ROWS_OF_A_TASK
    shown = look.at_work if left_out <= 0 else look.at_work[: max(1, (rows - 1) // _ROWS_OF_A_TASK)]
    indent = max(len(str(task.id)) for task in shown)
    lines = []
    for task in shown:
        lines += [
            _name_line(task, names, indent, width),
            _progress_line(task, look.at, indent, pids.get(task.owner or "")),
        ]
    if len(shown) < len(look.at_work):
        lines.append(_line(f"and {counted(len(look.at_work) - len(shown), 'task')} more", "dim"))
    return lines


def _name_line(task: "TaskRecord", names: TaskNames, indent: int, width: int) -> Text:
    rest = Text()
    if task.stop_asked_at is not None:
        rest.append("  asked to stop", style="yellow")
    if task.attempt > 1:
        rest.append(f"  attempt {task.attempt} of {task.max_attempts}", style="yellow")
    room = width - indent - 2 - rest.cell_len
    return _line(f"{task.id:>{indent}}  {shortened(one_line(names.of(task)), room)}").append_text(rest)


def _progress_line(task: "TaskRecord", now: float, indent: int, pid: int | None) -> Text:
    total = max(1, task.total_units)
    done = min(max(0, task.done_units), total)
    filled = _BAR_CELLS * done // total
    seconds = max(0, int(now - (task.started_at or now)))
    text = _line(" " * (indent + 2))
    text.append("━" * filled, style="green").append("─" * (_BAR_CELLS - filled), style="bright_black")
    text.append(f" {100 * done // total:>3} %  {span(seconds):>8}  {amount(task.ram_bytes):>7}")
    if task.vram_bytes:
        text.append(f" + {amount(task.vram_bytes)} graphics")
    if pid:
        text.append(f"  pid {pid}")
    return text.append(f"  {one_line(task.model)}" if task.model else "", style="cyan")


def _happenings(happenings: Sequence[Happening], width: int) -> list[Text]:
    if not happenings:
        return [_line("nothing yet", "dim")]
    indent = max(len(str(each.task_id)) for each in happenings)
    return [_happening_line(each, indent, width) for each in happenings]


def _happening_line(happening: Happening, indent: int, width: int) -> Text:
    at, task_id, name, words = happening
    words = one_line(words)
    start = f"{clock_time(at)}  {task_id:>{indent}}  "
    # Long reasons give way to the name, long names to the reason: each gets half at least.
    room = max((width - len(start)) // 2, width - len(start) - 2 - cell_width(words))
    style = "red" if words.startswith("given up") else "yellow" if words.startswith("failed") else ""
    return _line(start).append(f"{shortened(one_line(name), room)}  ").append(words, style=style)
