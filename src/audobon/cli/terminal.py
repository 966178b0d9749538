"""What the command says to a person: data to standard output, everything else to standard error."""

import sys
import unicodedata

import click
import msgspec

_printed: set[str] = set()


def say(words: str = "") -> None:
    """Tell the person something that is not the result."""
    click.echo(printable(words), err=True)


def complain(message: str, *, hint: str | None = None) -> None:
    """Tell the person what went wrong, and what to do next."""
    click.echo(click.style("error: ", fg="red", bold=True) + printable(message), err=True)
    if hint:
        click.echo(f"hint: {printable(hint)}", err=True)


def print_json(value: object) -> None:
    """Print a result as JSON."""
    note_json()
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_json_line(value: object) -> None:
    """Print one of many results as a line of JSON."""
    note_json()
    click.echo(msgspec.json.encode(value).decode())


def note_json() -> None:
    """Note that standard output has JSON now: an error that follows adds no document to it."""
    _printed.add("json")


def has_printed_json() -> bool:
    """Tell whether this command has printed JSON."""
    return "json" in _printed


def forget_json() -> None:
    """Begin a command: nothing is printed yet."""
    _printed.clear()


def printable(text: str) -> str:
    """Return text with control characters made harmless: names in archives can hold any."""
    return "".join(char if _is_harmless(char) or char == "\n" else "\ufffd" for char in text)


def one_line(name: str) -> str:
    """Return a name as it may stand in a line: without anything that could end the line."""
    return "".join(char if _is_harmless(char) else "\ufffd" for char in name)


def _is_harmless(char: str) -> bool:
    # Wide spaces are common in Japanese names, and count as unprintable.
    return char.isprintable() or unicodedata.category(char) == "Zs"


def is_terminal() -> bool:
    """Tell whether a person watches standard error."""
    return sys.stderr.isatty()
