"""`audobon run`: one operation on a page, a folder or a book; `audobon plan` shares its options."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audobon.cli.recovery_words import tell_grave, words_from
from audobon.cli.terminal import print_json, printable, say

if TYPE_CHECKING:
    from audobon.app import App
    from audobon.jobs.report import JobReport, JobRequest
    from audobon.pages.operations import Settings

Act = Callable[..., None]
"""What a command does with a request: called as act(app, request, as_json=..., quiet=...)."""

_EPILOG = """\b
Exit status: 0 done, 2 bad input, 4 not found, 5 output exists,
6 not allowed, 7 memory or disk too small, 9 damaged data,
10 some pages failed, 130 stopped. Run the same command again to go on
where it stopped: finished pages are kept.
"""
# Whether it may be read or written is asked later, where the answer has a status of its own.
_PATH = click.Path(readable=False, path_type=Path)


class Operations(click.Group):
    """Names the nearest operation when there is none of that name."""

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that was named; UnknownOperation when there is none."""
        if arguments and not arguments[0].startswith("-") and arguments[0] not in self.commands:
            from audobon.pages.operations import operation_named

            operation_named(arguments[0])
        return super().resolve_command(context, arguments)


@click.group(cls=Operations)
@click.pass_context
def run(context: click.Context) -> None:
    """Do an operation on a page, a folder of pages or a book (CBZ)."""
    context.obj = _do


def _common(command: Callable[..., None]) -> Callable[..., None]:
    options = [
        click.argument("source", metavar="IN", type=_PATH),
        click.option("--overwrite", is_flag=True, help="Replace the output if it exists."),
        click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON on standard output."),
        click.option("--no-cache", is_flag=True, help="Use no results from before, and keep none."),
        click.option("--project", metavar="NAME", help="The person or project it is for.  [default: you]"),
        click.option("--deadline", metavar="TIME", help="Give up pages not done after so long, such as 2h."),
        click.option("--memory", metavar="SIZE", help="Most memory to take, such as 400MB."),
        click.option("--quiet", is_flag=True, help="No progress; only errors."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


_target = click.option("-o", "--output", "target", metavar="OUT", type=_PATH, required=True)


@run.command(epilog=_EPILOG)
@_common
@_target
@click.option("--scale", type=click.Choice(["2", "4"]), default="2", show_default=True, help="Times larger.")
@click.option("--model", help="Model to use; see: audobon models list.  [default: waifu2x-upconv7-x2]")
@click.option(
    "--dpi",
    type=click.Choice(["keep", "scale"]),
    default="keep",
    show_default=True,
    help="Resolution noted in the file: keep the number, or scale it so that the print size stays.",
)
@click.option(
    "--quality",
    type=click.Choice(["full", "draft"]),
    default="full",
    show_default=True,
    help="draft: about twice as fast and rougher, for a quick look; not for every model.",
)
def upscale(scale: str, model: str | None, dpi: str, quality: str, **common: Any) -> None:
    """Enlarge pages for print.

    IN and OUT are a picture, a folder, or a book (.cbz, .zip).
    """
    settings: dict[str, Any] = {"scale": int(scale), "dpi": dpi, "quality": quality}
    if model is not None:
        settings["model"] = model
    _ask("upscale", settings, **common)


@run.command(epilog=_EPILOG)
@_common
@_target
@click.option(
    "--level",
    type=click.Choice(["0", "1", "2", "3"]),
    default="1",
    show_default=True,
    help="How much noise to remove.",
)
@click.option("--model", help="A model of your own in place of the levels; see: audobon models add.")
def clean(level: str, model: str | None, **common: Any) -> None:
    """Remove scan and JPEG noise; the size stays.

    IN and OUT are a picture, a folder, or a book (.cbz, .zip).
    """
    _ask("clean", {"level": int(level)} | ({} if model is None else {"model": model}), **common)


_order = click.option(
    "--order",
    type=click.Choice(["ltr", "rtl"]),
    default="ltr",
    show_default=True,
    help="Reading direction of the page: left to right, or right to left (manga).",
)


@run.command(epilog=_EPILOG)
@_common
@click.option("-o", "--output", "target", metavar="OUT.json|OUT.txt", type=_PATH)
@_order
def letters(order: str, **common: Any) -> None:
    """Read the lettering: text, boxes, reading order, confidence.

    Prints the text, or JSON with --json; -o writes either to a file.
    """
    _ask("letters", {"order": order}, **common)


@run.command(epilog=_EPILOG)
@_common
@click.option("-o", "--output", "target", metavar="FOLDER", type=_PATH)
@_order
def panels(order: str, target: Path | None, **common: Any) -> None:
    """Find the panels in reading order.

    Prints their boxes, or JSON with --json; -o FOLDER also cuts each panel out as a picture and draws an
    overview. Panels are found by the gutters between them: figures that cross a gutter join panels.
    """
    pictures = target is not None and target.suffix.lower() != ".json"
    _ask("panels", {"order": order, "pictures": pictures}, target=target, **common)


def _ask(
    name: str,
    settings: dict[str, Any],
    *,
    source: Path,
    target: Path | None,
    overwrite: bool,
    as_json: bool,
    deadline: str | None,
    memory: str | None,
    no_cache: bool,
    project: str | None,
    quiet: bool,
) -> None:
    """Make a request of what was typed, and hand it to the act of the command: doing it, or planning it."""
    import msgspec

    from audobon.app import open_app
    from audobon.cli.durations import parse_duration
    from audobon.clock import utc_now
    from audobon.jobs.report import JobRequest
    from audobon.pages.operations import operation_named, parse_settings

    deadline_at = None if deadline is None else utc_now() + parse_duration(deadline)
    app = open_app()
    act: Act = click.get_current_context().obj
    operation = operation_named(name)
    chosen: Settings = parse_settings(operation, msgspec.json.encode(settings))
    if act is _do:
        # Before anything is opened that may be damaged.
        app.recovery.mend(tell=tell_grave, words=words_from(None))
    request = JobRequest(
        operation=operation,
        settings=chosen,
        source=source,
        target=target,
        overwrite=overwrite,
        budget_bytes=app.memory_budget_bytes(memory),
        is_budget_asked=bool(memory or app.settings.memory.budget),
        use_cache=not no_cache,
        deadline_at=deadline_at,
        subject=app.subject(project, is_made=act is _do),
    )
    act(app, request, as_json=as_json, quiet=quiet)


def _do(app: "App", request: "JobRequest", *, as_json: bool, quiet: bool) -> None:
    from audobon.cli.watching import watcher_for
    from audobon.jobs.findings import findings_text
    from audobon.jobs.service import raise_for

    target = request.target
    watcher = watcher_for(quiet=quiet)
    try:
        outcome = app.jobs.run(request, watcher)
    except KeyboardInterrupt:
        watcher.close()
        say(f"stopped; {_kept(watcher.kept)}. Run the same command again to go on.")
        raise
    finally:
        watcher.close()
    if as_json:
        print_json(outcome.report if outcome.findings is None else outcome.findings)
    elif outcome.findings is not None and target is None:
        click.echo(printable(findings_text(outcome.findings)))
    if not quiet:
        say(_summary(outcome.report))
    raise_for(outcome.report)


def _kept(pages: int) -> str:
    if not pages:
        return "no page was finished yet"
    return "1 finished page is kept" if pages == 1 else f"{pages} finished pages are kept"


def _summary(report: "JobReport") -> str:
    """Return what was done, where the result lies, how long it took, and the peak memory."""
    pages = f"{report.pages_done} page" + ("" if report.pages_done == 1 else "s")
    called_off = sum(page.is_called_off for page in report.pages)
    lines = [
        f"{report.operation}: {pages} done"
        + (f", {failed} failed" if (failed := report.pages_failed - called_off) else "")
        + (f", {called_off} called off" if called_off else "")
        + (f", {report.pages_resumed} of them before this run" if report.pages_resumed else "")
        + (f", with {', '.join(report.models)}" if report.models else "")
    ]
    if report.pages_cached or report.tiles_cached:
        lines.append(f"  from the result cache: {_cached(report)}")
    if report.loss_db is not None:
        distance = f"{report.loss_db:g} dB from the full model for each pass"
        lines.append(f"  a draft, {distance}; --quality full is for print")
    for page in report.pages:
        lines += [f"  {page.name}: {note}" for note in page.notes]
    if report.unread_pictures:
        lines.append(f"  not a format that is worked on, carried over: {', '.join(report.unread_pictures)}")
    if report.settings.get("dpi") == "keep" and report.pages_done:
        lines.append("  the resolution noted in each file is kept; --dpi scale keeps the print size instead")
    if report.left_out:
        reasons = "links, devices, damaged, or without a readable name"
        lines.append(f"  left out ({reasons}): {', '.join(report.left_out)}")
    if report.output is not None:
        lines.append(f"result       {report.output}")
    place = "on this machine" if report.place == "here" else report.place
    lines.append(f"time         {report.seconds:.1f} s, {place}")
    engines = ", the engine's included" if report.is_engine_joined else ""
    lines.append(f"peak memory  {report.peak_memory_bytes / (1 << 20):.0f} MB in all processes{engines}")
    return "\n".join(lines)


def _cached(report: "JobReport") -> str:
    """Return what of a job was in the result cache."""
    parts = []
    if report.pages_cached:
        parts.append(f"{report.pages_cached} page" + ("" if report.pages_cached == 1 else "s"))
    if report.tiles_cached:
        parts.append(f"{report.tiles_cached} of {report.tiles} tiles")
    return ", ".join(parts)
