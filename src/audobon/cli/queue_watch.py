"""`audobon queue watch`: the queue while it works."""

import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.durations import parse_duration
from audobon.cli.queue_access import NOTHING, queue_to_look_at
from audobon.cli.terminal import printable, say
from audobon.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Generator

    from audobon.app import App
    from audobon.cli.queue_looks import Look
    from audobon.cli.queue_names import TaskNames

_LEAST_SECONDS = 0.1
_MOST_SECONDS = 3600.0
_KEPT_HAPPENINGS = 100
# Nobody is to guess how wide a file is.
_PIPED_CELLS = 120
# A queue of a million tasks is dear to look at: this part of the time is spent with looking at most.
_LOOKING_SHARE = 0.1


@click.command()
@click.option("--once", is_flag=True, help="Show how it stands now, and end.")
@click.option(
    "--interval",
    type=parse_duration,
    default="0.5s",
    show_default=True,
    metavar="SPAN",
    help="Between two looks.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each change as one line of JSON.")
def watch(*, once: bool, interval: float, as_json: bool) -> None:
    """Watch the queue at work.

    Its figures, what is at work, and what happens.

    A live screen at a terminal, a line for each happening elsewhere. Ctrl-C ends it, with status 130.

    With --json all that is there is told first, then each change, as
    {"at": UTC seconds, "change": C, C: ...}. C is engine, queue, pool, worker, event, or task: one that
    is at work or was, or that ended.
    """
    pause_seconds = min(max(interval, _LEAST_SECONDS), _MOST_SECONDS)
    if as_json:
        from audobon.cli.queue_lines import JsonLines

        _tell_all(JsonLines().tell, pause_seconds, once=once)
    elif once:
        _show_once()
    elif _is_screen():
        _show_live(pause_seconds)
    else:
        from audobon.cli.queue_lines import PlainLines

        _tell_all(PlainLines().tell, pause_seconds, once=False)


def _looks(pause_seconds: float, *, is_patient: bool) -> "Generator[tuple[Look | str, TaskNames]]":
    """Yield looks for ever, with the names of tasks; words, as long as there is nothing to look at.

    The database may come later, go, or be exchanged for another.
    is_patient  one that does not answer is waited for too; otherwise Unavailable is raised
    """
    from audobon.app import open_app
    from audobon.cli.queue_names import TaskNames

    app = open_app()
    names = TaskNames(app.jobs.page_names())
    while True:
        words = NOTHING
        try:
            yield from _looks_at_one(app, names, pause_seconds)
            if app.database.path.exists():
                # Another took its place.
                continue
        except Unavailable as error:
            if not is_patient:
                raise
            words = error.message
        yield words, names
        time.sleep(pause_seconds)


def _looks_at_one(
    app: "App", names: "TaskNames", pause_seconds: float
) -> "Generator[tuple[Look, TaskNames]]":
    """Yield looks at the database that is there now, until it is there no longer."""
    from audobon.cli.queue_looks import Looker

    opened = _file_id(app.database.path)
    with queue_to_look_at() as queue:
        if queue is None:
            return
        looker = Looker(queue, engine_pid=app.engine_pid)
        while _file_id(app.database.path) == opened:
            began_seconds = time.monotonic()
            look = looker.look()
            names.learn(look.mentioned.values())
            took_seconds = time.monotonic() - began_seconds
            yield look, names
            time.sleep(max(pause_seconds, took_seconds / _LOOKING_SHARE))


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _tell_all(tell: "Callable[[Look | str, TaskNames], None]", pause_seconds: float, *, once: bool) -> None:
    with closing(_looks(pause_seconds, is_patient=not once)) as looks:
        for look, names in looks:
            tell(look, names)
            if once:
                return


def _is_screen() -> bool:
    if not sys.stdout.isatty():
        return False
    from rich.console import Console

    return not Console().is_dumb_terminal


def _show_once() -> None:
    from rich.console import Console

    from audobon.cli.queue_looks import happenings
    from audobon.cli.queue_screen import screen

    with closing(_looks(0.0, is_patient=False)) as looks:
        look, names = next(looks)
    if isinstance(look, str):
        say(look)
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_CELLS)
    told = happenings(look, names)
    console.print(screen(look, names, told, width=console.width, height=_KEPT_HAPPENINGS, ending=""))


def _show_live(pause_seconds: float) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from audobon.cli.queue_looks import Happening, happenings
    from audobon.cli.queue_screen import screen

    console = Console(highlight=False)
    happened: deque[Happening] = deque(maxlen=_KEPT_HAPPENINGS)
    with (
        closing(_looks(pause_seconds, is_patient=True)) as looks,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        for look, names in looks:
            if isinstance(look, str):
                words = printable(f"{look}; waiting. Ctrl-C ends this.")
                live.update(Text(words, style="dim"), refresh=True)
                continue
            happened.extend(happenings(look, names))
            width, height = console.size
            picture = screen(
                look, names, list(happened), width=width, height=height, ending="Ctrl-C ends this"
            )
            live.update(picture, refresh=True)
