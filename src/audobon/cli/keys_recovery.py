"""`audobon keys export-recovery | check-recovery | import-recovery`: for when all else is lost."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.locations import LOCATION
from audobon.cli.terminal import print_json, say

if TYPE_CHECKING:
    from audobon.backup.locations import Location
    from audobon.keys.importing import Imported

_JSON = click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_WORDS = click.option(
    "--words-file", metavar="FILE", type=_FILE, help="Read the words from a file instead of asking."
)


@click.command("export-recovery", short_help="Show the 24 recovery words, and save a recovery file.")
@click.option("--yes", is_flag=True, help="Do not ask whether anybody looks over your shoulder.")
@click.option(
    "--output", metavar="FILE", type=_NEW_FILE, help="Write the words to a file that only you may read."
)
@click.option(
    "--keyring", "keyring_file", metavar="FILE", type=_NEW_FILE, help="Write the recovery file as well."
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Only tell what would be done.")
@_JSON
def export_recovery(
    output: Path | None, keyring_file: Path | None, *, yes: bool, is_dry: bool, as_json: bool
) -> None:
    """Show the 24 words that open every recovery file of this keyring. Write them on paper.

    Each backup has a recovery file in `keystores/`; --keyring writes one here.
    """
    from audobon.app import open_app
    from audobon.atomic import exists_already
    from audobon.keys.unlock_file import write_private

    for file in (output, keyring_file):
        if file is not None and file.exists():
            raise exists_already(file)
    ring = open_app().keys
    recipient = ring.recovery_recipient()
    if is_dry:
        say(f"would show the words of {recipient}")
        return
    if output is None and not yes:
        click.confirm(
            "Show the 24 recovery words now? Whoever has them can read everything.", abort=True, err=True
        )
    if keyring_file is not None:
        write_private(keyring_file, ring.export_for_recovery())
    words = ring.recovery_words()
    if output is not None:
        write_private(output, f"{words}\n".encode())
    if as_json:
        shown = words if output is None else None
        print_json({"keyring": ring.id, "recipient": recipient, "words": shown})
    elif output is None:
        for number, word in enumerate(words.split(), 1):
            click.echo(f"{number:2} {word}")
    say("hint: audobon keys check-recovery proves what you wrote down")


@click.command("check-recovery", short_help="Prove that the words you have open a recovery file.")
@click.argument("file", metavar="[PLACE|FILE]", type=LOCATION, required=False)
@_WORDS
@_JSON
def check_recovery(file: "Location | None", words_file: Path | None, *, as_json: bool) -> None:
    """Prove that the words you have open a recovery file, changing nothing.

    A recovery file, or the newest in a place for backups; without it the newest of all places. While no
    place holds any, one is made at this moment from the keyring here, as the next backup will.
    """
    from audobon.cli.recovery_files import known_recovery_file, recovery_file
    from audobon.config import load
    from audobon.keys.importing import look_into

    settings = load()
    chosen = known_recovery_file(settings) if file is None else recovery_file(file, settings)
    words = _words(words_file)
    if chosen is None:
        from audobon.app import open_app

        data = open_app().keys.export_for_recovery()
    else:
        data = chosen.data
    found = look_into(words, data)
    if as_json:
        print_json(found)
        return
    what = f"the words open keyring {found.id}: {_held(found)}"
    say(what if chosen is None or chosen.where == str(file) else f"{what}, in {chosen.where}")


@click.command("import-recovery", short_help="Make the keyring from a recovery file and the words.")
@click.argument("file", metavar="[PLACE|FILE]", type=LOCATION, required=False)
@_WORDS
@click.option("--overwrite", is_flag=True, help="Replace a sound keyring too; it is kept beside.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only look whether the words open the file.")
@_JSON
def import_recovery(
    file: "Location | None", words_file: Path | None, *, overwrite: bool, is_dry: bool, as_json: bool
) -> None:
    """Make the keyring of this data folder from a recovery file and the 24 words.

    A recovery file, or the newest in a place for backups; without it the newest of all places. The
    keyring gets a fresh topmost key here, protected as `keys.protector` says. A keystore that is damaged, or
    does not open, is replaced and kept beside the new one; a sound one only with --overwrite.
    """
    from audobon.app import keyring_protectors
    from audobon.atomic import make_private_folder
    from audobon.cli.recovery_files import recovery_file
    from audobon.config import load
    from audobon.keys import importing

    settings = load()
    chosen = recovery_file(file, settings)
    words = _words(words_file)
    data = chosen.data
    if is_dry:
        found = importing.look_into(words, data)
    else:
        make_private_folder(settings.storage.folder)
        found = importing.import_recovery(
            settings.storage.folder, words, data, keyring_protectors(settings), replace=overwrite
        )
    if as_json:
        print_json(found)
        return
    verb = "would import" if is_dry else "imported"
    source = "" if chosen.where == str(file) else f", from {chosen.where}"
    say(f"{verb} keyring {found.id}: {_held(found)}{source}")
    if found.replaced is not None:
        say(f"the keystore that was here is kept: {found.replaced}")
    if not is_dry:
        say("hint: audobon keys status proves every key in it")


def _held(found: "Imported") -> str:
    from audobon.cli.queue_words import counted

    return f"{counted(found.subjects, 'subject')}, {counted(found.subject_keys, 'key')}"


def _words(file: Path | None) -> str:
    if file is not None:
        return file.read_text(encoding="utf-8")
    if not sys.stdin.isatty():
        return sys.stdin.read()
    words: str = click.prompt("the 24 recovery words", hide_input=True, err=True)
    return words
