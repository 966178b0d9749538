"""`audobon queue configure`: how a queue treats its tasks."""

import difflib
import re
from typing import TYPE_CHECKING, Any

import click

from audobon.cli.durations import parse_duration, span
from audobon.cli.queue_access import queue_to_change, queue_to_look_at, rules_of
from audobon.cli.terminal import print_json, printable, say
from audobon.errors import InvalidInput

if TYPE_CHECKING:
    from audobon.queue.rules import QueueRules, RetryPolicy

_NO_LIMIT = "none"


def _count_or_none(text: str) -> int | str:
    if text == _NO_LIMIT:
        return text
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise InvalidInput(f"{text!r} is not a number of tasks", hint="write it like 2, or none")
    return int(text)


def _rate_or_none(text: str) -> float | str:
    if text == _NO_LIMIT:
        return text
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)/s", text, re.ASCII)
    if match is None:
        raise InvalidInput(f"{text!r} is not a rate", hint="write it like 2/s or 0.5/s, or none")
    return float(match[1])


@click.command()
@click.argument("name", metavar="QUEUE")
@click.option("--max-running", type=_count_or_none, metavar="N|none", help="Tasks at work at once.")
@click.option(
    "--rate", "rate_per_second", type=_rate_or_none, metavar="N/s|none", help="Tasks begun per second."
)
@click.option("--burst", type=int, metavar="N", help="Tasks that may begin at once under a rate.")
@click.option(
    "--ageing-step",
    "ageing_step_seconds",
    type=parse_duration,
    metavar="SPAN",
    help="Waiting so long is worth one priority; for tasks added from now on.",
)
@click.option(
    "--patience",
    "patience_seconds",
    type=parse_duration,
    metavar="SPAN",
    help="A task too large for the free memory lets smaller ones pass for so long.",
)
@click.option(
    "--warm-bonus",
    "warm_bonus_seconds",
    type=parse_duration,
    metavar="SPAN",
    help="A task whose model is in memory counts so much older.",
)
@click.option(
    "--attempts",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Times a task is tried; for tasks added from now on.",
)
@click.option(
    "--rest", "first_seconds", type=parse_duration, metavar="SPAN", help="Rest after the first try at most."
)
@click.option(
    "--longest-rest",
    "most_seconds",
    type=parse_duration,
    metavar="SPAN",
    help="What the rest grows to at most; it doubles with each try.",
)
@click.option("--kind", metavar="KIND", help="--attempts and rests only for tasks of this kind.")
@click.option("--defaults", "is_resetting", is_flag=True, help="Back to the rules the queue started with.")
@click.option("--json", "as_json", is_flag=True, help="Print the rules as JSON.")
def configure(
    name: str,
    *,
    is_resetting: bool,
    attempts: int | None,
    first_seconds: float | None,
    most_seconds: float | None,
    kind: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Show the rules of a queue, or change them.

    Without options the rules are shown. What is at work goes on under changed rules. A SPAN is a time such as
    30s, 5m, 2h or 7d. --defaults leaves a queue that is paused or drains as it is.
    """
    tries = {"max_attempts": attempts, "first_seconds": first_seconds, "most_seconds": most_seconds}
    policy = {rule: value for rule, value in tries.items() if value is not None}
    if kind is not None and not policy:
        raise click.UsageError("--kind goes with --attempts, --rest or --longest-rest")
    changes = {
        rule: None if value == _NO_LIMIT else value for rule, value in options.items() if value is not None
    }
    if is_resetting and (changes or policy):
        raise click.UsageError("--defaults goes alone")
    if kind is not None:
        _check_kind(kind)
    if is_resetting:
        rules = _reset(name)
        say(f"the rules of {name} are those it started with")
    elif changes or policy:
        rules = _change(name, changes, policy, kind)
        say(f"the rules of {name} are changed")
    else:
        with queue_to_look_at() as queue:
            rules = rules_of(queue, name)
    if as_json:
        print_json(rules)
        return
    for label, value in _rows_of(rules):
        click.echo(printable(f"{label:<16} {value}"))


def _check_kind(kind: str) -> None:
    from audobon.compute.maintenance_kinds import MAINTENANCE_KINDS
    from audobon.compute.work import PAGE_KIND

    known = [PAGE_KIND, *MAINTENANCE_KINDS]
    if kind not in known:
        near = difflib.get_close_matches(kind, known, n=1, cutoff=0.5)
        raise InvalidInput(
            f"no kind of task is named {kind!r}",
            hint=f"did you mean {near[0]}?" if near else f"one of: {', '.join(known)}",
        )


def _reset(name: str) -> "QueueRules":
    import msgspec

    from audobon.queue.rules import default_rules
    from audobon.queue.tasks import CATEGORIES

    with queue_to_change() as queue:
        with queue.transaction():
            rules = rules_of(queue, name)
            (category,) = (each for each in CATEGORIES if each == name)
            rules = msgspec.structs.replace(default_rules(category), state=rules.state)
            queue.configure(rules)
        queue.wake()
    return rules


def _change(name: str, changes: dict[str, Any], policy: dict[str, Any], kind: str | None) -> "QueueRules":
    import msgspec

    with queue_to_change() as queue:
        with queue.transaction():
            rules = rules_of(queue, name)
            if policy:
                changes |= _with_policy(rules, policy, kind)
            rules = msgspec.structs.replace(rules, **changes)
            queue.configure(rules)
        # Workers that wait are told that there may be something for them.
        queue.wake()
    return rules


def _with_policy(rules: "QueueRules", changes: dict[str, Any], kind: str | None) -> dict[str, Any]:
    import msgspec

    if kind is None:
        return {"retry": msgspec.structs.replace(rules.retry, **changes)}
    policy = msgspec.structs.replace(rules.retry_for(kind), **changes)
    return {"retry_by_kind": rules.retry_by_kind | {kind: policy}}


def _rows_of(rules: "QueueRules") -> list[tuple[str, str]]:
    from audobon.cli.queue_words import STATE_WORDS

    rate, most = rules.rate_per_second, rules.max_running
    lead = rules.lead_seconds
    rows = [
        ("queue", rules.name),
        ("state", STATE_WORDS[rules.state]),
        ("max-running", _NO_LIMIT if most is None else str(most)),
        ("rate", _NO_LIMIT if rate is None else f"{rate:g}/s, {rules.burst} at once"),
        ("ageing-step", span(rules.ageing_step_seconds)),
        ("patience", span(rules.patience_seconds)),
        ("warm-bonus", span(rules.warm_bonus_seconds)),
        ("attempts", _policy_in_words(rules.retry)),
    ]
    rows += [
        (f"  of {kind}", _policy_in_words(policy)) for kind, policy in sorted(rules.retry_by_kind.items())
    ]
    ahead = "ahead of" if lead > 0 else "behind"
    rows.append(("lead", f"{span(abs(lead))} {ahead} other queues" if lead else "none"))
    rows.append(("lease", f"lost after {span(rules.lease_seconds)} without a sign of life"))
    return rows


def _policy_in_words(policy: "RetryPolicy") -> str:
    if policy.max_attempts == 1:
        return "1"
    return (
        f"{policy.max_attempts}, with rests of up to {span(policy.first_seconds)} that double,"
        f" at most {span(policy.most_seconds)}"
    )
