"""`audobon queue watch`: the queue while it works."""

import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import click

from audobon.cli.durations import parse_duration
from audobon.cli.queue_access import NOTHING, queue_to_look_at
from audobon.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Generator

    from audobon.cli.queue_looks import Look

_LEAST_SECONDS = 0.1
_MOST_SECONDS = 3600.0
_KEPT_HAPPENINGS = 100
_EARLIER_EVENTS = 20
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
    """Watch the queue: its figures, what is at work, and what happens.

    A live screen at a terminal, a line for each happening elsewhere. Ctrl-C ends it, with status 130.

    \b
    With --json all that is there is told first, then each change, as
    {"at": UTC seconds, "change": C, C: ...}. C is queue, pool, worker, event, or task: one that is at
    work, or was at the last look.
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


def _looks(pause_seconds: float) -> "Generator[Look | None]":
    """Yield looks for ever; None as long as nothing was ever enqueued."""
    from audobon.cli.queue_looks import Looker

    while True:
        with queue_to_look_at() as queue:
            if queue is not None:
                looker = Looker(queue, earlier_events=_EARLIER_EVENTS)
                while True:
                    began_seconds = time.monotonic()
                    look = looker.look()
                    took_seconds = time.monotonic() - began_seconds
                    yield look
                    time.sleep(max(pause_seconds, took_seconds / _LOOKING_SHARE))
        yield None
        time.sleep(pause_seconds)


def _tell_all(tell: "Callable[[Look | None], None]", pause_seconds: float, *, once: bool) -> None:
    with closing(_looks(pause_seconds)) as looks:
        for look in looks:
            tell(look)
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

    with closing(_looks(0.0)) as looks:
        look = next(looks)
    if look is None:
        say(NOTHING)
        return
    console = Console(highlight=False)
    console.print(screen(look, happenings(look), height=_KEPT_HAPPENINGS, ending=""))


def _show_live(pause_seconds: float) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from audobon.cli.queue_looks import Happening, happenings
    from audobon.cli.queue_screen import screen

    console = Console(highlight=False)
    happened: deque[Happening] = deque(maxlen=_KEPT_HAPPENINGS)
    with (
        closing(_looks(pause_seconds)) as looks,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        for look in looks:
            if look is None:
                live.update(Text(f"{NOTHING}; waiting. Ctrl-C ends this.", style="dim"), refresh=True)
                continue
            happened.extend(happenings(look))
            picture = screen(look, list(happened), height=console.height, ending="Ctrl-C ends this")
            live.update(picture, refresh=True)
