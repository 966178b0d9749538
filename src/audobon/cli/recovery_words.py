"""How the command asks for the recovery words, and tells what was mended."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.terminal import one_line, print_json_line, say

if TYPE_CHECKING:
    from audobon.recovery.recovery_words import Words
    from audobon.recovery.told import Mended, Tell

words_file_option = click.option(
    "--recovery-words-file",
    "words_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The 24 recovery words, if the keyring is lost; else they are asked.",
)


def words_from(file: Path | None) -> "Words":
    """Return the recovery words of a file, or what asks a person at a terminal for them."""
    from audobon.atomic import disk_errors
    from audobon.recovery.recovery_words import Words

    if file is None:
        return Words(_ask)
    with disk_errors(file):
        text = file.read_text(encoding="utf-8")
    return Words(lambda: text, are_given=True)


def _ask() -> str:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""
    say("the keyring is lost or damaged; the 24 recovery words bring it back")
    words: str = click.prompt(
        "the 24 recovery words", hide_input=True, default="", show_default=False, err=True
    )
    return words


def tell_grave(news: "Mended") -> None:
    """Say what a person should know at once."""
    if news.is_grave:
        say(one_line(f"mended: {news.words}"))


def telling(*, as_json: bool) -> "Tell":
    """Return what says everything that was mended, for people or as lines of JSON."""

    def tell(news: "Mended") -> None:
        if as_json:
            print_json_line(
                {"at": news.at, "event": f"recovery: {news.what}", "words": news.words, **news.facts}
            )
        else:
            say(one_line(news.words))

    return tell
