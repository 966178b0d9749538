"""`audobon doctor`: is this machine fit, and what is missing?

Only shows what `audobon.compute.hardware` finds; it decides nothing.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from audobon.compute.hardware import Finding
    from audobon.models.devices import Choice


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Look at the disk of this folder.  [default: the data folder]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--strict", is_flag=True, help="End with status 3 if anything is missing or below the minimum.")
@click.option("--tune", "is_tuning", is_flag=True, help="Measure what this machine does best, and use that.")
@click.option("--dry-run", "is_dry", is_flag=True, help="With --tune: measure and show, keep nothing.")
@click.option("--forget-tuning", "is_forgetting", is_flag=True, help="Go back to the defaults.")
def doctor(
    folder: Path | None, *, as_json: bool, strict: bool, is_tuning: bool, is_dry: bool, is_forgetting: bool
) -> None:
    """Is this machine fit, and what is missing?

    Compares processor, memory, graphics card and disks with what Audobon asks for. To measure the disk, a
    temporary file of at most 256 MiB is written and removed. Ends with status 0 whatever is found: Audobon
    works on smaller machines too, only slower. Scripts that must know use --strict.

    --tune takes a minute at most. It measures threads, kinds of cores, waiting, the opening of models and the
    sides of tiles, and changes only what is more than 5 % faster, and by more than chance. No pixel changes.
    """
    from audobon import config
    from audobon.cli import doctor_folder, doctor_tiers, doctor_tuning
    from audobon.cli.terminal import print_json
    from audobon.compute.hardware import examine
    from audobon.errors import Misconfigured
    from audobon.models.device_trial import prove

    if is_dry and not is_tuning:
        raise click.UsageError("--dry-run goes with --tune")
    settings = config.load()
    if folder is None:
        folder = settings.storage.folder
    if is_forgetting:
        doctor_tuning.forget(folder)
        return
    if is_tuning:
        doctor_tuning.tune(folder, as_json=as_json, is_dry=is_dry)
        return
    findings = examine(folder)
    choice = prove(settings.models.device)
    if as_json:
        same_disk = doctor_tiers.tiers_on_one_disk(settings.storage)
        print_json(
            {
                **_as_json(folder, findings, choice),
                "tiers_on_the_same_disk": same_disk,
                "folder_is_open_to_others": doctor_folder.is_open_to_others(folder),
            }
        )
    elif sys.stdout.isatty():
        _print_table(folder, findings)
    else:
        click.echo(_as_lines(findings))
    unfit = [finding.subject for finding in findings if not finding.is_fit]
    if not as_json:
        click.echo(_device_line(choice))
        click.echo(doctor_tuning.in_one_line(folder))
        click.echo(doctor_tiers.in_one_line(settings.storage))
        if doctor_folder.is_open_to_others(folder):
            click.echo(doctor_folder.in_one_line(folder))
        click.echo(_backup_line())
        click.echo(_scrub_line())
        click.echo(_bottom_line(len(unfit), len(findings)))
    if strict and unfit:
        raise Misconfigured(f"this machine falls short of the minimum in: {', '.join(unfit)}")


def _bottom_line(unfit: int, parts: int) -> str:
    if not unfit:
        return "Audobon runs on this machine as it should."
    return f"Audobon runs on this machine; {unfit} of {parts} parts are less than asked for, so it is slower."


def _backup_line() -> str:
    """Return how backups stand, in one line; looks only, and makes no keyring."""
    from audobon.app import open_app
    from audobon.errors import AudobonError

    app = open_app()
    try:
        backups = app.backups()
        if not backups.places.list():
            return "backups: none; begin with: audobon backup add FOLDER"
        alarms = [f"{each.place}: {alarm}" for each in backups.standings() for alarm in each.alarms]
    except AudobonError as error:
        return f"backups: {error.message}"
    return "backups: " + ("; ".join(alarms) if alarms else "all places are up to date")


def _scrub_line() -> str:
    """Return whether all of storage was proved in its time, in one line."""
    from audobon.app import open_app
    from audobon.errors import AudobonError

    app = open_app()
    days = app.settings.storage.scrub_days
    try:
        late = app.storage.scrubber.late_days if app.storage.exists else 0.0
    except AudobonError as error:
        return f"scrub: {error.message}"
    if late:
        return f"scrub: the last scrub is late by {late:.0f} days; catch up with: audobon storage scrub"
    return f"scrub: all that is kept was written or proved within {days:g} days"


def _device_line(choice: "Choice") -> str:
    words = f"models run on {choice.device.name}"
    return words if choice.reason is None else f"{words}: {choice.reason}"


def _as_json(folder: Path, findings: "list[Finding]", choice: "Choice") -> dict[str, object]:
    import msgspec

    from audobon.compute.tuning import find_tuning

    tuning, problem = find_tuning(folder)
    rows = [{**msgspec.to_builtins(finding), "minimum": finding.minimum} for finding in findings]
    return {
        "folder": str(folder.absolute()),
        "findings": rows,
        "device": choice,
        "tuning": tuning if problem is None else None,
        "tuning_problem": problem,
    }


def _as_lines(findings: "list[Finding]") -> str:
    width = max(len(finding.subject) for finding in findings)
    lines: list[str] = []
    for finding in findings:
        head = f"{finding.subject:<{width}}  {finding.verdict:<13}  "
        lines.append(f"{head}{finding.measured} (asked for: {finding.minimum})")
        lines.append(" " * len(head) + finding.meaning)
    return "\n".join(lines)


def _print_table(folder: Path, findings: "list[Finding]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"ok": "green", "recommended": "green", "below minimum": "yellow", "missing": "red"}
    table = Table(title=f"This machine, with its data in {folder.absolute()}", title_justify="left")
    for heading in ("part", "verdict", "measured, and what it means"):
        table.add_column(heading)
    for finding in findings:
        # As text, not markup: names of cards and folders may hold square brackets.
        explained = Text(f"{finding.measured} (asked for: {finding.minimum})").append(
            f"\n{finding.meaning}", style="dim"
        )
        table.add_row(finding.subject, Text(finding.verdict, style=colours[finding.verdict]), explained)
    Console().print(table)
