"""`audobon plan`: where each page would run, how long, for how much, and why; nothing is done."""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from audobon.cli.durations import span
from audobon.cli.run import Operations, run
from audobon.cli.terminal import one_line, print_json, printable, say

if TYPE_CHECKING:
    from audobon.app import App
    from audobon.compute.placement import Seconds
    from audobon.jobs.plan import PagePlan, Plan
    from audobon.jobs.report import JobRequest

_EPILOG = """\b
Exit status: 0 every page would be done, 10 some would fail,
7 none fits the memory; 2, 4, 5 and 6 as with run.
Nothing is stored, and nothing runs.
"""
_MOST_ROWS = 30


@click.group(cls=Operations, short_help="Tell what an operation would do, without doing it.")
@click.pass_context
def plan(context: click.Context) -> None:
    """Tell what an operation would do, without doing it: where each page would run, how long, and why."""
    context.obj = _plan


def _planned(command: click.Command) -> click.Command:
    """Return a command of `run` for planning: the same options, and no output is needed."""
    options = [copy.copy(option) for option in command.params]
    for option in options:
        if option.name == "target":
            option.required = False
    return click.Command(
        command.name, params=options, callback=command.callback, help=command.help, epilog=_EPILOG
    )


for _command in run.commands.values():
    plan.add_command(_planned(_command))


def _plan(app: "App", request: "JobRequest", *, as_json: bool, quiet: bool) -> None:
    from audobon.jobs.plan import raise_for_plan

    made = app.jobs.plan(request, on_stage=(lambda _: None) if quiet else say)
    if as_json:
        print_json(made)
    else:
        click.echo(printable("\n".join([*_table(made.pages), "", *_summary(made)])))
    raise_for_plan(made)


def _table(pages: "list[PagePlan]") -> Iterator[str]:
    """Yield a row for each page; in a long book for each way to run, those with trouble in any case."""
    rows = [("page", "size", "where", "seconds", "peak", "")]
    groups = [[page] for page in pages] if len(pages) <= _MOST_ROWS else _alike(pages)
    shown = groups[:_MOST_ROWS]
    if len(groups) > _MOST_ROWS:
        # Trouble is what a plan is read for.
        by_need = sorted(groups, key=lambda group: (group[0].code == "", -len(group)))[:_MOST_ROWS]
        shown = [group for group in groups if group in by_need]
    rows += [_row(group) for group in shown]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False))
        yield "  ".join([*cells, row[-1]]).rstrip()
    hidden = sum(map(len, groups)) - sum(map(len, shown))
    if hidden:
        yield f"… and {hidden} more pages in {len(groups) - len(shown)} other ways; --json names every page"


def _alike(pages: "list[PagePlan]") -> "list[list[PagePlan]]":
    groups: dict[object, list[PagePlan]] = {}
    for page in pages:
        way = page.placement and (page.placement.reason, page.placement.tile_px)
        kind = (page.state, page.width, page.height, way, page.message)
        groups.setdefault(kind, []).append(page)
    return list(groups.values())


def _row(group: "list[PagePlan]") -> tuple[str, str, str, str, str, str]:
    page, way = group[0], group[0].placement
    name = one_line(page.name) if len(group) == 1 else f"{one_line(page.name)} and {len(group) - 1} like it"
    size = f"{page.width}×{page.height}" if page.width else ""
    if page.state == "adopted":
        return name, size, "done", "", "", "equal work was done before, and is taken over"
    if page.state == "faulty" or way is None:
        return name, size, "fails", "", "", page.message
    if page.state == "refused":
        return name, size, "refused", "", f"{_megabytes(way.peak_bytes)} MB", f"{page.message} ({page.hint})"
    why = way.reason.removeprefix("here: ")
    return name, size, way.where, _time(way.seconds), f"{_megabytes(way.peak_bytes)} MB", why


def _summary(made: "Plan") -> Iterator[str]:
    """Yield the sums, and what else a user should know before."""
    counts = [
        f"{made.pages_to_run} to do",
        f"{made.pages_adopted} done before" if made.pages_adopted else "",
        f"{made.pages_refused} refused" if made.pages_refused else "",
        f"{made.pages_faulty} faulty" if made.pages_faulty else "",
    ]
    with_models = f", with {', '.join(made.models)}" if made.models else ""
    yield f"pages    {', '.join(filter(None, counts))}{with_models}"
    if made.loss_db is not None:
        yield f"         a draft, {made.loss_db:g} dB from the full model for each pass"
    if made.to_prepare:
        yield f"         first {', '.join(made.to_prepare)} would be prepared for this machine, once"
    if made.pages_to_run:
        most = "at most " if made.is_at_most and made.seconds is not None else ""
        yield f"time     {most}{_total_time(made.seconds)}, on {made.device}"
        if most:
            yield "         some tiles may be in the result cache"
        if made.device_reason is not None:
            yield f"         {made.device_reason}"
        yield f"memory   {_megabytes(made.peak_bytes)} MB of {made.budget_bytes >> 20} MB"
    low, high = made.price_micros
    price = f"{low / 1e6:.2f}" if low == high else f"{low / 1e6:.2f} to {high / 1e6:.2f}"
    yield f"price    {price} US dollars; everything {made.privacy}"
    if made.queue_state == "pause":
        yield f"queue    {made.queue} is paused: pages wait until audobon queue resume {made.queue}"
    if made.queue_state == "drain":
        words = "it takes no new tasks" if made.is_new else "it finishes this job, and takes no new one"
        yield f"queue    {made.queue} drains: {words}"
    running = (
        f"runs in process {made.engine_pid}" if made.engine_pid is not None else "would start with the run"
    )
    yield f"engine   {running}"
    if made.unread_pictures:
        yield f"         not a format that is worked on, carried over: {', '.join(made.unread_pictures)}"
    if made.left_out:
        yield f"         left out: {', '.join(made.left_out)}"


def _total_time(seconds: "Seconds | None") -> str:
    if seconds is None:
        return "unknown: nothing was done yet"
    if seconds.high < 60:
        return f"{_time(seconds)} s"
    if seconds.pages_seen:
        return f"about {span(seconds.likely)}"
    return f"about {span(seconds.low)} to {span(seconds.high)}"


def _time(seconds: "Seconds | None") -> str:
    """Return seconds as one figure when they were learned, as a range when they were not."""
    from audobon.compute.pace import LEARNED_PAGES

    if seconds is None:
        return "unknown"
    if seconds.pages_seen >= LEARNED_PAGES or seconds.likely == 0:
        return _figure(seconds.likely)
    return f"about {_figure(seconds.low)}-{_figure(seconds.high)}"


def _figure(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}"


def _megabytes(count: int) -> int:
    return -(-count // (1 << 20))
