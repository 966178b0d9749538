"""`audobon storage lifecycle`: rules by which blobs move to cheaper places, and go."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audobon.cli.storage_lifecycle_bucket import apply_to_bucket
from audobon.cli.terminal import complain, is_terminal, print_json, printable, say
from audobon.errors import InvalidInput

if TYPE_CHECKING:
    from audobon.app import App
    from audobon.jobs.lifecycle import Needed
    from audobon.storage.lifecycle_lint import Finding
    from audobon.storage.lifecycle_rules import Rule
    from audobon.storage.tiering import LifecyclePlan

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_REASONS = {"hold": "a hold", "term": "a time they must be kept", "needed": "jobs that need them"}


@click.group(short_help="Rules by which blobs move, and go.")
def lifecycle() -> None:
    """Rules by which blobs move to cheaper places with age, and go.

    The rules are those of Cloud Storage, in its own JSON; see docs/reference/lifecycle.md. They act on whole
    packs, when `run` is called or a schedule of the kind run-lifecycle comes round.
    """


lifecycle.add_command(apply_to_bucket)


@lifecycle.command(short_help="Show the rules, and what lies in each tier.")
@_json
def show(*, as_json: bool) -> None:
    """Show the rules in force, what lies in each tier, and what it would cost a month in the cloud."""
    from audobon.app import open_app
    from audobon.storage.classes import CLASS_OF_TIER, dollars, price_list
    from audobon.storage.lifecycle_rules import as_json as in_json
    from audobon.storage.tiering import tier_bytes

    tiering, prices = open_app().storage.tiering, price_list()
    rules, sizes = tiering.rules(), tier_bytes(tiering.facts())
    months = {tier: prices.month_usd(CLASS_OF_TIER[tier], size) for tier, size in sizes.items()}
    if as_json:
        tiers = {tier: {"size_bytes": sizes[tier], "month_usd": months[tier]} for tier in sizes}
        source = {"source": prices.source, "read_on": prices.read_on}
        told = {"rules": in_json(rules), "are_own": tiering.has_own_rules, "tiers": tiers, "prices": source}
        print_json(told)
        return
    click.echo("your rules" if tiering.has_own_rules else "the rules that Audobon comes with")
    for number, rule in enumerate(rules, 1):
        click.echo(printable(f"  {number}  {_in_words(rule)}"))
    if not rules:
        click.echo("  none")
    for tier, size in sizes.items():
        click.echo(f"{tier:<9} {_size(size):>10}   {dollars(months[tier])} a month in the cloud")
    click.echo(f"prices as of {prices.read_on}: {prices.source}")


@lifecycle.command(name="set", short_help="Put the rules of a file in force.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--defaults", "is_resetting", is_flag=True, help="Back to the rules that Audobon comes with.")
def set_rules(file: Path | None, *, is_resetting: bool) -> None:
    """Put the rules of a FILE in force, unless `lint` finds an error in them. Nothing moves before `run`."""
    if (file is None) is not is_resetting:
        raise click.UsageError("name a FILE with rules, or --defaults")
    from audobon.app import open_app
    from audobon.jobs.lifecycle import demand_sound
    from audobon.storage.lifecycle_rules import read_rules

    storage = open_app().storage
    rules = None
    if file is not None:
        rules = read_rules(file)
        demand_sound(rules, storage)
        _print_findings(_lint(storage, rules))
    storage.tiering.set_rules(rules)
    count = len(storage.tiering.rules())
    say(f"{count} rule{'' if count == 1 else 's'} in force; see: audobon storage lifecycle run --dry-run")


@lifecycle.command(short_help="Tell what is wrong with rules.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@_json
def lint(file: Path | None, *, as_json: bool) -> None:
    """Tell what is wrong, dear or without effect in the rules of a FILE, or in those in force.

    Ends with status 2 when there is an error; warnings and notes are only told.
    """
    from audobon.app import open_app
    from audobon.storage.lifecycle_rules import read_rules

    storage = open_app().storage
    rules = storage.tiering.rules() if file is None else read_rules(file)
    found = _lint(storage, rules)
    if as_json:
        print_json(found)
    else:
        _print_findings(found)
    errors = sum(each.grade == "error" for each in found)
    if errors:
        raise InvalidInput(f"{errors} error{'' if errors == 1 else 's'} in {file or 'the rules in force'}")
    if not found and not as_json:
        say(f"nothing is wrong with {len(rules)} rule{'' if len(rules) == 1 else 's'}")


@lifecycle.command(short_help="Do now what the rules ask for.")
@click.option(
    "--dry-run", "is_dry", is_flag=True, help="Only tell what would be done, and what it would cost."
)
@_json
def run(*, is_dry: bool, as_json: bool) -> None:
    """Do now what the rules ask for: move whole packs, and delete them.

    What a hold, a time it must be kept or an unfinished job keeps stays. Broken off, it goes on when it is
    run again.
    """
    from audobon.app import open_app
    from audobon.jobs.lifecycle import plan_lifecycle, run_lifecycle

    app = open_app()
    with _needed(app) as needed:
        if is_dry:
            plan = plan_lifecycle(app.storage, needed)
            if as_json:
                print_json(_plan_as_json(plan))
            else:
                _print_plan(plan)
            return
        count = 0

        def on_step(step: object) -> None:
            nonlocal count
            count += 1
            if is_terminal():
                click.echo(f"\r{count} packs moved", nl=False, err=True)

        plan, done = run_lifecycle(app.storage, needed, on_step=on_step)
    if count and is_terminal():
        click.echo(err=True)
    app.log.write("storage", "lifecycle run", **_as_builtins(done))
    app.log.close()
    app.storage.close()
    if as_json:
        print_json({"plan": _plan_as_json(plan), "done": done})
        return
    _print_kept_back(plan)
    click.echo(
        f"moved {_packs(done.moved_packs)} ({_size(done.moved_bytes)}),"
        f" deleted {_packs(done.deleted_packs)} ({_size(done.deleted_bytes)})"
    )
    if done.skipped_packs:
        say(f"{_packs(done.skipped_packs)} changed meanwhile or are in use, and are left for the next run")


@contextmanager
def _needed(app: "App") -> "Iterator[Needed]":
    """Yield what tells which blobs unfinished jobs need; no database is made for that."""
    from audobon.jobs.lifecycle import needed_by_jobs

    if not app.database.path.exists():
        yield needed_by_jobs(None, app.keys)
        return
    with app.database.errors(), closing(app.database.open()) as connection:
        yield needed_by_jobs(connection, app.keys)


def _lint(storage: Any, rules: "list[Rule]") -> "list[Finding]":
    from audobon.clock import utc_now
    from audobon.storage.lifecycle_engine import for_tiers
    from audobon.storage.lifecycle_lint import lint

    tiering = storage.tiering
    found = lint(rules, keep_days=tiering.keep_days)
    met = lint(for_tiers(rules), keep_days=tiering.keep_days, packs=tiering.facts(), now=utc_now())
    return sorted({*found, *(each for each in met if "would" in each.words)}, key=_place)


def _place(finding: "Finding") -> tuple[int, int, str]:
    return finding.rule, ("error", "warning", "note").index(finding.grade), finding.words


def _print_findings(found: "list[Finding]") -> None:
    for each in found:
        line = f"rule {each.rule} {each.words}"
        if each.grade == "error":
            complain(line)
        else:
            say(f"{each.grade}: {line}")


def _print_plan(plan: "LifecyclePlan") -> None:
    from audobon.storage.classes import dollars

    for (rule, target), (count, size) in sorted(_by_rule(plan).items()):
        deed = "delete" if target == "nowhere" else f"move to {target}"
        click.echo(f"rule {rule} would {deed}: {_packs(count)} ({_size(size)})")
    _print_kept_back(plan)
    if not plan.steps:
        click.echo(f"nothing to do: the rules leave all {plan.packs} packs as they are")
        return
    click.echo(
        f"in the cloud: {dollars(plan.move_usd)} for moving,"
        f" {dollars(plan.early_usd)} for deleting early,"
        f" {dollars(plan.month_usd_after)} a month instead of {dollars(plan.month_usd_before)}"
    )


def _print_kept_back(plan: "LifecyclePlan") -> None:
    for reason, words in _REASONS.items():
        kept = [each for each in plan.kept_back if each.reason == reason]
        if kept:
            click.echo(
                f"kept back by {words}: {_packs(len(kept))} ({_size(sum(e.size_bytes for e in kept))})"
            )


def _by_rule(plan: "LifecyclePlan") -> dict[tuple[int, str], tuple[int, int]]:
    found: dict[tuple[int, str], tuple[int, int]] = {}
    for step in plan.steps:
        key = (step.rule, step.tier or "nowhere")
        count, size = found.get(key, (0, 0))
        found[key] = (count + 1, size + step.size_bytes)
    return found


def _plan_as_json(plan: "LifecyclePlan") -> dict[str, Any]:
    return {
        "rules": [
            {"rule": rule, "to": None if target == "nowhere" else target, "packs": count, "size_bytes": size}
            for (rule, target), (count, size) in sorted(_by_rule(plan).items())
        ],
        "kept_back": plan.kept_back,
        "packs": plan.packs,
        "move_usd": plan.move_usd,
        "early_usd": plan.early_usd,
        "month_usd_before": plan.month_usd_before,
        "month_usd_after": plan.month_usd_after,
    }


def _in_words(rule: "Rule") -> str:
    import msgspec

    deed = {
        "Delete": "delete",
        "SetStorageClass": f"move to {rule.storage_class}",
        "AbortIncompleteMultipartUpload": "clear unfinished writes",
    }[rule.action]
    asked = {
        name: ", ".join(value) if isinstance(value, tuple) else str(value)
        for name, value in msgspec.to_builtins(rule.condition).items()
        if value is not None
    }
    return f"{deed} when " + "; ".join(f"{name} {value}" for name, value in asked.items())


def _as_builtins(value: object) -> dict[str, Any]:
    import msgspec

    return dict(msgspec.to_builtins(value))


def _packs(count: int) -> str:
    return f"{count} pack" + ("" if count == 1 else "s")


def _size(count: int) -> str:
    for name, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {name}"
    return f"{count} B"
