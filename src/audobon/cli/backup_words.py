"""The words in which the command line speaks of backups."""

import time
from typing import TYPE_CHECKING

import click

from audobon.cli.terminal import is_terminal, one_line, say

if TYPE_CHECKING:
    from types import TracebackType

    from audobon.backup.service import Backups
    from audobon.backup.sources import Progress

_SECONDS_BETWEEN = 0.2


def amount_of(count_bytes: int) -> str:
    """Return an amount on a disk: "12 kB", "12.3 MB", "4.5 GB"."""
    if count_bytes >= 1e9:
        return f"{count_bytes / 1e9:.1f} GB"
    return f"{count_bytes / 1e6:.1f} MB" if count_bytes >= 1e6 else f"{count_bytes / 1e3:.0f} kB"


def warn_of_words(backups: "Backups") -> None:
    """Say so when nobody has the recovery words: without them a place is of no use to another machine."""
    if not backups.sources.keys.are_words_known:
        say("warning: nobody has the recovery words, and without them no other machine can read a backup")
        say("hint: audobon keys export-recovery")


def print_failures(backups: "Backups") -> None:
    """Say where the last command failed."""
    for failure in backups.failures:
        say(f"{failure.place}: failed: {failure.message}")


class RunningLine:
    """A line on a terminal that tells how far a command is; nothing where nobody watches."""

    def __init__(self) -> None:
        self._is_shown = is_terminal()
        self._told = 0.0

    def __enter__(self) -> "RunningLine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        if self._told:
            click.echo("\r\033[K", err=True, nl=False)

    def tell(self, progress: "Progress") -> None:
        """Show a step."""
        now = time.monotonic()
        if not self._is_shown or now - self._told < _SECONDS_BETWEEN:
            return
        self._told = now
        share = f" {progress.done_bytes / progress.total_bytes:.0%}" if progress.total_bytes else ""
        click.echo(f"\r\033[K{one_line(progress.place)}: {progress.step}{share}", err=True, nl=False)
