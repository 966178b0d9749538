"""`audobon data retention`: how long each kind of data is kept."""

from typing import TYPE_CHECKING

import click

from audobon.cli.terminal import print_json, printable, say

if TYPE_CHECKING:
    from audobon.data.policies import Policy
    from audobon.data.retention import Removed

_KINDS = ("jobs", "originals", "results", "events", "logs", "cache")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON; instants are UTC seconds.")


@click.group(short_help="Say how long each kind of data is kept.")
def retention() -> None:
    """Say how long each kind of data is kept, and remove what is older."""


@retention.command()
@_json
def show(*, as_json: bool) -> None:
    """Show how long each kind of data is kept."""
    from audobon.app import open_app

    policies = open_app().data.policies.all()
    if as_json:
        print_json(policies)
        return
    click.echo("\n".join(_table(policies)))


@retention.command("set", short_help="Change how long a kind of data is kept.")
@click.argument("kind", type=click.Choice(_KINDS))
@click.option(
    "--days", metavar="DAYS", help='Remove what is older; "forever" keeps it until it is discarded.'
)
@click.option("--minimum", type=float, metavar="DAYS", help="Days that a law asks for; less is refused.")
@click.option("--hold", metavar="REASON", help="Remove nothing of it at all, nor let anybody be erased.")
@click.option("--release", is_flag=True, help="Let the hold go.")
@_json
def set_policy(
    kind: str, *, days: str | None, minimum: float | None, hold: str | None, release: bool, as_json: bool
) -> None:
    """Change how long a kind of data is kept; what is not named stays as it is."""
    import msgspec

    from audobon.app import open_app
    from audobon.data.policies import DataKind

    if (days, minimum, hold) == (None, None, None) and not release:
        raise click.UsageError("say --days, --minimum, --hold or --release")
    if hold is not None and (release or not hold.strip()):
        raise click.UsageError("--hold takes a reason, and does not go with --release")
    policies = open_app().data.policies
    policy = policies.of(msgspec.convert(kind, DataKind))
    if days is not None:
        policy = msgspec.structs.replace(policy, days=_days(days))
    if minimum is not None:
        policy = msgspec.structs.replace(policy, minimum_days=minimum)
    if hold is not None or release:
        policy = msgspec.structs.replace(policy, hold=hold or "")
    policies.set(policy)
    if as_json:
        print_json(policy)
    else:
        say("\n".join(_table([policy])))


@retention.command("run", short_help="Remove what is older than it may be.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only count what would go.")
@_json
def run_retention(*, is_dry: bool, as_json: bool) -> None:
    """Remove what is older than its policy allows; a schedule does it every night."""
    from audobon.app import open_app

    removed = open_app().data.apply_retention(is_dry=is_dry)
    if as_json:
        print_json(removed)
        return
    for each in removed:
        click.echo(printable(_line(each, is_dry=is_dry)))


def _line(removed: "Removed", *, is_dry: bool) -> str:
    if removed.why_not:
        return f"{removed.kind:<9} nothing: {removed.why_not}"
    if removed.before is None:
        return f"{removed.kind:<9} nothing: kept until it is discarded"
    return f"{removed.kind:<9} {'would remove' if is_dry else 'removed'} {removed.count}"


def _table(policies: "list[Policy]") -> list[str]:
    from audobon.cli.queue_words import columns
    from audobon.data.policies import MEANINGS

    rows = [
        (
            policy.kind,
            "forever" if policy.days is None else f"{policy.days:g} days",
            f"{policy.minimum_days:g} days" if policy.minimum_days else "",
            printable(policy.hold),
            MEANINGS[policy.kind],
        )
        for policy in policies
    ]
    return columns(("kind", "kept for", "at least", "hold", "what it is"), rows)


def _days(text: str) -> float | None:
    from audobon.errors import InvalidInput

    if text == "forever":
        return None
    try:
        return float(text.removesuffix("d"))
    except ValueError:
        raise InvalidInput(f"{text!r} is no number of days", hint="such as 90, or forever") from None
