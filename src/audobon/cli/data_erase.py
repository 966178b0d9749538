"""`audobon data erase`: everything of a person or a project, for good."""

import sys
from typing import TYPE_CHECKING

import click

from audobon.cli.terminal import print_json, printable, say
from audobon.errors import Cancelled, PartlyFailed

if TYPE_CHECKING:
    from audobon.data.erasing import Erased, ErasurePreview


@click.command(short_help="Erase everything of somebody, for good.")
@click.argument("name", required=False)
@click.option("--dry-run", "is_dry", is_flag=True, help="Only show what would go.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@click.option(
    "--cancel-running", is_flag=True, help="Call its work off, instead of refusing while there is any."
)
@click.option("--resume", is_flag=True, help="Finish erasures that a place did not allow before.")
@click.option("--json", "as_json", is_flag=True, help="Print what goes, or went, as JSON.")
def erase(
    name: str | None, *, is_dry: bool, is_sure: bool, cancel_running: bool, resume: bool, as_json: bool
) -> None:
    """Erase everything of a person or a project. It cannot be undone, by nobody.

    Its key is destroyed here and at every place that holds copies: what remains anywhere is ciphertext that
    no key opens, and a restore of an older backup erases it again. A certificate tells what was done, and
    that reading it failed. Output that was written elsewhere is yours, and stays where it is.

    Ends with status 10 when a place could not be reached, or does not let exports of the keys be removed;
    connect it and say `audobon data erase --resume`.
    """
    from audobon.app import open_app

    room = open_app().data
    if resume:
        if name is not None or is_dry:
            raise click.UsageError("--resume takes no name")
        _tell(room.resume_erasures(), as_json=as_json)
        return
    if name is None:
        raise click.UsageError("name a person or project, or say --resume")
    if is_dry:
        preview = room.preview(name)
        if as_json:
            print_json(preview)
        else:
            click.echo("\n".join(_preview_lines(preview)))
        return
    if not is_sure:
        preview = room.preview(name)
        say("\n".join(_preview_lines(preview)))
        _ask(preview)
    _tell([room.erase(name, cancels_running=cancel_running)], as_json=as_json)


@click.command(short_help="Show the certificate of an erasure.")
@click.argument("subject")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def certificate(subject: str, *, as_json: bool) -> None:
    """Show the certificate of an erasure, its signature checked; SUBJECT is the id."""
    from audobon.app import open_app
    from audobon.data.certificate import certificate_text

    found = open_app().data.certificate(subject)
    if as_json:
        print_json(found)
    else:
        click.echo(printable(certificate_text(found)), nl=False)


def _ask(preview: "ErasurePreview") -> None:
    if not sys.stdin.isatty():
        raise Cancelled("nothing was erased: nobody is there to ask", hint="say --yes")
    typed = click.prompt(
        "This cannot be undone. Type its name to go on", default="", show_default=False, err=True
    )
    if typed != preview.name:
        raise Cancelled("nothing was erased: that is not its name")


def _preview_lines(preview: "ErasurePreview") -> list[str]:
    lines = [
        printable(f"{preview.name} ({preview.subject}) would be erased for good:"),
        f"  {preview.jobs} jobs, {preview.tasks} tasks, {preview.events} events,"
        f" {preview.log_lines} lines of the log",
        f"  {preview.blobs} blobs in {preview.packs} packs here, {preview.size_bytes / 1e6:.1f} MB",
    ]
    for place in preview.places:
        if place.why_not:
            lines.append(printable(f"  {place.place}: cannot be reached now: {place.why_not}"))
        else:
            lines.append(
                f"  {place.place}: {place.packs} packs, {place.size_bytes / 1e6:.1f} MB, unreadable then;"
                f" {place.keystores} exports of the keys, renewed"
            )
    lines += [printable(f"  held, which forbids it: {hold}") for hold in preview.holds]
    lines += [f"  at work, which forbids it: job {job}" for job in preview.running]
    return lines


def _tell(erased: "list[Erased]", *, as_json: bool) -> None:
    if as_json:
        print_json(erased)
    for each in erased:
        if not as_json:
            say(f"{each.subject} is erased, in {each.seconds:.1f} s; certificate: {each.certificate}")
            for place, why in each.pending.items():
                say(printable(f"  not yet at {place}: {why}"))
    if not erased and not as_json:
        say("no erasure is unfinished")
    places = sorted({place for each in erased for place in each.pending})
    if places:
        raise PartlyFailed(
            f"not erased everywhere yet: {', '.join(places)}",
            hint="connect it, or give this user the right to remove there, and: audobon data erase --resume",
        )
