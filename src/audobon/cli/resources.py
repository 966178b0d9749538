"""`audobon resources`: what the machine's resources are used for, now and lately."""

import itertools
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from audobon.cli.durations import parse_duration, span
from audobon.cli.terminal import one_line, print_json, print_json_line, say

if TYPE_CHECKING:
    from audobon.telemetry.resources import Sample

# Long enough for rates that mean something, short enough to wait for.
_FIRST_SECONDS = 0.5
_BAR_WIDTH, _CURVE_WIDTH = 24, 48
_LEAST_SECONDS, _MOST_SECONDS = 0.1, 3600.0


@click.command(short_help="Show what processor, memory and disk are used for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch, one line for each sample.")
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "--interval", type=parse_duration, default="2s", show_default=True, metavar="SPAN", help="Of --watch."
)
@click.option("--history", type=parse_duration, metavar="SPAN", help="Show the past instead: 10m, 1h, 7d.")
def resources(*, as_json: bool, watch: bool, interval: float, history: float | None) -> None:
    """Show processor, memory, graphics memory and disk, and what of them is Audobon's.

    Audobon's are the processes of the engine that runs for the data folder. The past is what `audobon up` has
    recorded while it ran: 15 minutes in steps of 2 s, a day in minutes, 30 days in quarters of an hour.
    """
    if history is not None:
        _show_history(history, as_json=as_json)
    elif watch:
        _watch(min(max(interval, _LEAST_SECONDS), _MOST_SECONDS), as_json=as_json)
    else:
        sample = next(_samples(0.0))
        if as_json:
            print_json(sample)
        else:
            _print(sample)


def _samples(pause_seconds: float) -> "Iterator[Sample]":
    """Yield samples with rates, for ever."""
    from audobon.app import open_app
    from audobon.compute.engine_family import engine_family
    from audobon.telemetry.resources import ResourceMonitor

    folder = open_app().folder
    monitor = ResourceMonitor(folder, lambda: engine_family(folder))
    monitor.sample()
    time.sleep(_FIRST_SECONDS)
    while True:
        yield monitor.sample()
        time.sleep(pause_seconds)


def _print(sample: "Sample") -> None:
    for line in _lines(sample):
        click.echo(line)


def _lines(sample: "Sample") -> list[str]:
    from audobon.cli.resources_words import KEY, line_of, rows_of

    return [*(one_line(line_of(row, width=_BAR_WIDTH)) for row in rows_of(sample)), KEY]


def _watch(pause_seconds: float, *, as_json: bool) -> None:
    if as_json:
        for sample in _samples(pause_seconds):
            print_json_line(sample)
    elif sys.stdout.isatty():
        _watch_live(pause_seconds)
    else:
        for sample, number in zip(_samples(pause_seconds), itertools.count()):
            if number:
                click.echo()
            _print(sample)


def _watch_live(pause_seconds: float) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from audobon.cli.queue_words import clock_time

    with Live(console=Console(highlight=False), screen=True, auto_refresh=False) as live:
        for sample in _samples(pause_seconds):
            title = f"resources  {clock_time(sample.at)}  Ctrl-C ends this"
            live.update(Text("\n".join([title, "", *_lines(sample)]), no_wrap=True), refresh=True)


def _show_history(span_seconds: float, *, as_json: bool) -> None:
    from audobon.app import open_app
    from audobon.cli.resources_words import curve, in_words
    from audobon.clock import utc_now
    from audobon.telemetry.history import FIGURES, ResourceHistory

    until = utc_now()
    since = until - span_seconds
    kept = ResourceHistory(open_app().folder)
    found = {figure: kept.history(figure, since, until) for figure in FIGURES}
    if as_json:
        print_json({"since": since, "until": until, "figures": found})
        return
    if not any(found.values()):
        say(f"nothing was recorded in the last {span(span_seconds)}; `audobon up` records while it runs")
        return
    width = max(len(figure) for figure in found) - len("_bytes")
    click.echo(f"the last {span(span_seconds)}; each curve reaches up to its most")
    for figure, points in found.items():
        if not points:
            continue
        samples = sum(point.samples for point in points)
        mean = sum(point.mean * point.samples for point in points) / samples
        most = max(point.most for point in points)
        name = figure.replace("_bytes_per_second", "").removesuffix("_bytes").replace("_", " ")
        shown = curve(points, since=since, until=until, width=_CURVE_WIDTH)
        words = f"mean {in_words(figure, mean)}, most {in_words(figure, most)}"
        click.echo(f"{name:<{width}}  {shown}  {words}")
