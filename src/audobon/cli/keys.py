"""`audobon keys`: how the keyring stands, and fresh keys for it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.keys_recovery import check_recovery, export_recovery, import_recovery
from audobon.cli.terminal import print_json, say

if TYPE_CHECKING:
    from audobon.keys.passphrase import Passphrase
    from audobon.keys.status import KeyringStatus

_JSON = click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
_DRY = click.option("--dry-run", "is_dry", is_flag=True, help="Only tell what would be done.")


@click.group()
def keys() -> None:
    """Look after the keys that encrypt everything Audobon stores."""


for command in (export_recovery, check_recovery, import_recovery):
    keys.add_command(command)


@keys.command(short_help="Show how the keyring stands, and prove every key in it.")
@_JSON
def status(*, as_json: bool) -> None:
    """Show how the keyring stands; every key in it is opened to prove it."""
    from audobon.app import open_app

    found = open_app().keys.status()
    if as_json:
        print_json(found)
    else:
        for name, value in _in_words(found):
            click.echo(f"{name:<14}{value}")
    if found.words_exported_at is None:
        say("warning: nobody has the recovery words; if what unlocks the keyring is lost, all is lost")
        say("hint: audobon keys export-recovery")
    if found.ledger_fault is not None:
        say(f"warning: {found.ledger_fault}")


@keys.command(short_help="Make fresh keys for what is stored from now on.")
@_DRY
@_JSON
def rotate(*, is_dry: bool, as_json: bool) -> None:
    """Make fresh keys above the data keys; what was stored before is read as before.

    `audobon keys rewrap` then wraps the keys of stored data anew.
    """
    from audobon.app import open_app
    from audobon.keys.rotation import Rotated

    ring = open_app().keys
    if is_dry:
        found = ring.status()
        outcome = Rotated(str(int(found.kek_version) + 1), found.tenant_version + 1, found.subjects)
    else:
        outcome = ring.rotate()
    if as_json:
        print_json(outcome)
        return
    say(
        f"{'would make' if is_dry else 'made'} version {outcome.kek_version} of the topmost key,"
        f" {outcome.tenant_version} of the tenant key, and new keys for {_count(outcome.subjects, 'subject')}"
    )
    if not is_dry:
        say("hint: audobon keys rewrap")


@keys.command(short_help="Wrap the keys of stored data by the newest keys.")
@_DRY
@_JSON
def rewrap(*, is_dry: bool, as_json: bool) -> None:
    """Wrap the keys of stored data by the newest keys; no data is written.

    May be stopped at any time: the same command goes on. Readers are not disturbed.
    """
    from audobon.app import open_app
    from audobon.errors import CorruptKeyring
    from audobon.storage.data_keys import data_keys

    app = open_app()
    outcome = app.keys.rewrap(data_keys(app.storage), dry_run=is_dry)
    if as_json:
        print_json(outcome)
    else:
        verb = "would wrap" if is_dry else "wrapped"
        say(
            f"{verb} {_count(outcome.rewrapped, 'key')} of {outcome.looked_at} anew;"
            f" {outcome.current} were new, {outcome.erased} are of erased subjects"
        )
    if outcome.damaged:
        raise CorruptKeyring(
            f"{_count(len(outcome.damaged), 'key')} could not be opened", hint="audobon storage scrub"
        )


@keys.command(short_help="Change what protects the keyring.")
@click.option(
    "--with",
    "protector",
    type=click.Choice(["passphrase", "secret-store", "unlock-file", "cloud-kms"]),
    required=True,
    help="What protects it from now on.",
)
@click.option(
    "--passphrase-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Its first line is the new passphrase; otherwise it is asked.",
)
@_DRY
@_JSON
def protect(protector: str, passphrase_file: Path | None, *, is_dry: bool, as_json: bool) -> None:
    """Change what protects the keyring; what protected it before opens nothing any more.

    With `--with passphrase` on a keyring that has one, its passphrase is changed. With `--with cloud-kms` the
    key of Google's Cloud KMS that `cloud.kms_key` names locks it: without the network nothing opens it then.
    """
    import msgspec

    from audobon.app import open_app
    from audobon.errors import InvalidInput
    from audobon.keys.protector import Protector

    if passphrase_file is not None and protector != "passphrase":
        raise InvalidInput("--passphrase-file goes with --with passphrase")
    ring = open_app().keys
    before = ring.status().protector
    if not is_dry:
        new = _new_passphrase(passphrase_file) if protector == "passphrase" else None
        ring.protect(msgspec.convert(protector, Protector), passphrase=new)
    if as_json:
        print_json({"before": before, "protector": protector, "is_dry_run": is_dry})
        return
    say(f"the keyring {'would be' if is_dry else 'is'} protected by {protector}; before: {before}")


@keys.command("mend-ledger", short_help="Write the ledger of erasures anew when it is damaged.")
@_DRY
@_JSON
def mend_ledger(*, is_dry: bool, as_json: bool) -> None:
    """Write the ledger of erasures anew from what is erased here; the damaged file is kept beside it.

    A sound ledger is left alone. Copies at backup places make it whole again at the next backup.
    """
    from audobon.app import open_app

    ring = open_app().keys
    fault = ring.status().ledger_fault
    if fault is not None and not is_dry:
        ring.mend_ledger()
    if as_json:
        print_json({"fault": fault, "is_dry_run": is_dry})
    elif fault is None:
        say("the ledger is sound")
    else:
        say(f"{'would write' if is_dry else 'wrote'} the ledger anew: {fault}")


def _new_passphrase(file: Path | None) -> "Passphrase":
    from audobon.app import keyring_protectors
    from audobon.config import load
    from audobon.keys.passphrase import Passphrase, ask_at_terminal

    if file is not None:
        return Passphrase(file=file)
    configured = keyring_protectors(load(), ask=None).passphrase
    # The one that is configured unlocks the keyring from now on too: another could not be found again.
    return configured if configured.is_configured else Passphrase(ask=ask_at_terminal)


def _in_words(status: "KeyringStatus") -> list[tuple[str, str]]:
    exported = status.words_exported_at
    return [
        ("keyring", status.id),
        ("protected by", f"{status.protector}, version {status.kek_version}"),
        *([("locked by", status.cloud_version)] if status.cloud_version else []),
        ("tenant key", f"version {status.tenant_version}, of {_day(status.rotated_at)}"),
        ("subjects", f"{status.subjects}, with {_count(status.subject_versions, 'key')}"),
        ("erased", f"{status.erased}, {status.ledger_entries} in the ledger"),
        ("rewrapped", _count(status.rewrapped, "data key")),
        ("words", "never exported" if exported is None else f"exported {_day(exported)}"),
    ]


def _day(instant: float) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
