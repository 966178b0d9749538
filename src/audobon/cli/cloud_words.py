"""The words in which the command line speaks of plans and stages."""

import sys
from typing import TYPE_CHECKING, Any

import click

from audobon.cli.terminal import printable
from audobon.errors import Cancelled

if TYPE_CHECKING:
    from audobon.cloud.plans import Plan
    from audobon.cloud.service import Standing

_MOST_SHOWN = 20
_DEEDS = {"create": "make", "update": "change", "replace": "replace", "delete": "remove"}


def plan_lines(plan: "Plan") -> list[str]:
    """Return a plan as lines: what is removed or replaced by name, the rest as numbers."""
    if not plan.changes:
        return [f"{plan.stage} in {plan.project}: nothing to do"]
    counts = [f"{plan.count(deed)} to {word}" for deed, word in _DEEDS.items() if plan.count(deed)]  # type: ignore[arg-type]
    lines = [f"{plan.stage} in {plan.project}: {', '.join(counts)}"]
    for deed in ("replace", "delete"):
        named = [each for each in plan.changes if each.deed == deed]
        for change in named[:_MOST_SHOWN]:
            loss = ", with the data in it" if change.holds_data else ""
            lines.append(printable(f"  {_DEEDS[deed]} {change.address}{loss}"))
        if len(named) > _MOST_SHOWN:
            lines.append(f"  and {len(named) - _MOST_SHOWN} more to {_DEEDS[deed]}")
    return lines


def standing_lines(standing: "Standing") -> list[str]:
    """Return what there is of a stage as lines, what goes into audobon.toml last."""
    lines = [f"# {standing.stage} in {standing.project}"]
    if standing.planned is not None:
        lines.append(f"# planned: {len(standing.planned.changes)} changes wait to be applied")
    if not standing.things:
        return [*lines, "# nothing was applied yet"]
    lines += [f"# {name:<14} {count:>4}" for name, count in standing.things.items()]
    if standing.drift is not None:
        lines.append(f"# changed by hand: {len(standing.drift) or 'nothing'}")
        lines += [printable(f"#   {address}") for address in standing.drift]
    return [*lines, "", *settings_lines(standing.settings)]


def settings_lines(settings: dict[str, Any]) -> list[str]:
    """Return what goes into audobon.toml."""
    import json

    return ["[cloud]", *(f"{name} = {json.dumps(value)}" for name, value in settings.items())]


def ask_to_apply(plan: "Plan") -> None:
    """Ask whether to go on. raises Cancelled when nobody is there."""
    if not sys.stdin.isatty():
        raise Cancelled("nothing was changed: nobody is there to ask", hint="say --yes")
    if not click.confirm(f"change {plan.project} like this?", err=True):
        raise Cancelled("nothing was changed")


def ask_to_destroy(plan: "Plan") -> None:
    """Have the project's name typed. raises Cancelled when it is not, or nobody is there."""
    if not sys.stdin.isatty():
        raise Cancelled("nothing was taken away: nobody is there to ask", hint="say --yes")
    typed = click.prompt(
        "This cannot be undone. Type the project's name to go on", default="", show_default=False, err=True
    )
    if typed != plan.project:
        raise Cancelled("nothing was taken away: that is not its name")
