"""Help: it fits a terminal of 80 columns, and no line of a list of commands is cut."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from audobon.cli.main import audobon


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from commands(child, (*path, name))


@pytest.mark.parametrize("path", list(commands(audobon)), ids=" ".join)
def test_help_fits_80_columns_and_cuts_nothing(path: tuple[str, ...]) -> None:
    told = CliRunner().invoke(audobon, [*path, "--help"], terminal_width=80).output

    assert "Usage: " in told
    lists = told.partition("\nCommands:\n")[2].splitlines()
    assert [line for line in lists if line.endswith("...")] == []
    assert [line for line in told.splitlines() if len(line) > 80] == []
