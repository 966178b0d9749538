"""`audobon data`: what is kept of whom, handed out, erased, and how long it is kept."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.data_erase import certificate, erase
from audobon.cli.data_retention import retention
from audobon.cli.terminal import is_terminal, print_json, printable, say
from audobon.errors import InvalidInput

if TYPE_CHECKING:
    from audobon.data.service import SubjectSummary

_PATH = click.Path(readable=False, path_type=Path)


@click.group(short_help="See, hand out and erase what is kept of somebody.")
def data() -> None:
    """See what is kept of a person or a project, hand it out, erase it, and say how long it is kept."""


data.add_command(erase)
data.add_command(certificate)
data.add_command(retention)


@data.command(short_help="List persons and projects.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; instants are UTC seconds.")
def subjects(*, as_json: bool) -> None:
    """List persons and projects, oldest first; of an erased one only its id is left."""
    from audobon.app import open_app

    found = open_app().data.subjects()
    if as_json:
        print_json(found)
        return
    if not found:
        say("nothing is kept of anybody; work for a project with: audobon run upscale ... --project NAME")
        return
    from audobon.cli.queue_words import columns

    headings = ("name", "id", "jobs", "blobs", "size", "last use", "state")
    click.echo("\n".join(columns(headings, [_row(each) for each in found], right=("jobs", "blobs", "size"))))


def _row(subject: "SubjectSummary") -> tuple[str, ...]:
    from audobon.cli.queue_words import moment

    state = "kept"
    if subject.erased_at is not None:
        state = f"erased {moment(subject.erased_at)[:-3]}"
        if subject.pending:
            state += f", not yet at {', '.join(subject.pending)}"
    return (
        printable(subject.name) if subject.erased_at is None else "",
        subject.id,
        str(subject.jobs),
        str(subject.blobs),
        f"{subject.size_bytes / 1e6:.1f} MB",
        moment(subject.last_used_at)[:-3] if subject.last_used_at is not None else "never",
        state,
    )


@data.command(short_help="Hand out everything that is kept of somebody.")
@click.argument("name", required=False)
@click.option("-o", "output", type=_PATH, metavar="FOLDER|FILE.zip", help="Where it goes.")
@click.option("--check", "checked", type=_PATH, metavar="FOLDER|FILE.zip", help="Check an export instead.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written, or found, as JSON.")
@click.option("--quiet", is_flag=True, help="No progress; only errors.")
def export(
    name: str | None, *, output: Path | None, checked: Path | None, as_json: bool, quiet: bool
) -> None:
    """Write everything that is kept of a person or a project to a folder, or to a ZIP file.

    Jobs, pages, what was found on them, events and log lines as JSON; the original files and the results
    under their own names; README.txt, and SHA-256 sums of all. It appears whole or not at all; stopped, the
    same command begins anew. It is readable by anyone: keep it as carefully as the originals.

    --check compares an export with its own sums; status 9 when something is missing or changed.
    """
    if checked is not None:
        if name is not None or output is not None:
            raise click.UsageError("--check takes an export, and nothing else")
        _check(checked, as_json=as_json)
        return
    if name is None or output is None:
        raise click.UsageError("name a person or project, and say where it goes with -o")
    if output.suffix.lower() not in ("", ".zip") and not output.is_dir():
        raise InvalidInput(
            f"{output} is neither a folder nor a .zip", hint="such as -o export, or -o export.zip"
        )
    from audobon.app import open_app

    def on_file(count: int) -> None:
        if is_terminal() and not quiet and not as_json:
            click.echo(f"\r{count} files", nl=False, err=True)

    report = open_app().data.export(name, output, on_file=on_file)
    if is_terminal() and not quiet and not as_json:
        click.echo("\r", nl=False, err=True)
    if as_json:
        print_json(report)
        return
    say(f"{report.output}: {report.files} files of {report.jobs} jobs, {report.size_bytes / 1e6:.1f} MB")
    if report.missing:
        say(f"named on record but kept no longer: {report.missing}; README.txt lists them")


def _check(place: Path, *, as_json: bool) -> None:
    from audobon.data.checking import check_export, demand_whole

    checked = check_export(place)
    if as_json:
        print_json(checked)
    else:
        for fault in checked.faults:
            say(fault)
    demand_whole(place, checked)
    if not as_json:
        say(f"{place} is whole: {checked.files} files, {checked.size_bytes / 1e6:.1f} MB")
