"""`audobon doctor`: is this machine fit, and what is missing?

Only shows what `audobon.compute.hardware` finds; it decides nothing.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from audobon.compute.hardware import Finding


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Look at the disk of this folder.  [default: the data folder]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--strict", is_flag=True, help="End with status 3 if anything is missing or below the minimum.")
def doctor(folder: Path | None, *, as_json: bool, strict: bool) -> None:
    """Is this machine fit, and what is missing?

    Compares processor, memory, graphics card and disks with what Audobon asks for. To measure the disk, a
    temporary file of at most 256 MiB is written and removed. Ends with status 0 whatever is found: Audobon
    works on smaller machines too, only slower. Scripts that must know use --strict.
    """
    from audobon.compute.hardware import examine
    from audobon.errors import Misconfigured

    if folder is None:
        from audobon import config

        folder = config.load().storage.folder
    findings = examine(folder)
    if as_json:
        click.echo(_as_json(folder, findings))
    elif sys.stdout.isatty():
        _print_table(folder, findings)
    else:
        click.echo(_as_lines(findings))
    unfit = [finding.subject for finding in findings if not finding.is_fit]
    if not as_json:
        click.echo(_bottom_line(len(unfit), len(findings)))
    if strict and unfit:
        raise Misconfigured(f"this machine falls short of the minimum in: {', '.join(unfit)}")


def _bottom_line(unfit: int, parts: int) -> str:
    if not unfit:
        return "Audobon runs on this machine as it should."
    return f"Audobon runs on this machine; {unfit} of {parts} parts are less than asked for, so it is slower."


def _as_json(folder: Path, findings: "list[Finding]") -> str:
    import msgspec

    rows = [{**msgspec.to_builtins(finding), "minimum": finding.minimum} for finding in findings]
    answer = {"folder": str(folder.absolute()), "findings": rows}
    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()


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
