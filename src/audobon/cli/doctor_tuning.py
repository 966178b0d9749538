"""The part of `audobon doctor` that measures and shows what this machine does best."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.terminal import print_json, say

if TYPE_CHECKING:
    from audobon.compute.tuning import Decision, Tuning


def tune(folder: Path, *, as_json: bool, is_dry: bool) -> None:
    """Measure, show, and keep what was found unless it is a dry run."""
    from audobon.compute.engine_family import engine_family
    from audobon.compute.tuning import FILE, save_tuning
    from audobon.compute.tuning_trials import DEFAULT_MODEL, Tuner
    from audobon.models.card import built_in_card
    from audobon.models.preparing import prepare_apart
    from audobon.models.store import is_prepared

    if engine_family(folder):
        say("an engine is running: what it does meanwhile blurs the figures")
    card = built_in_card(DEFAULT_MODEL)
    if not is_prepared(card, folder / "models"):
        say(f"preparing {card.name}")
        prepare_apart(card, folder / "models")
    say("measuring for a minute at most; other work on this machine blurs the figures")
    tuning = Tuner(folder / "models", tell=lambda words: say(f"  {words}")).run()
    if not is_dry:
        save_tuning(folder, tuning)
    if as_json:
        print_json(tuning)
        return
    show(tuning)
    if is_dry:
        say("a dry run: nothing was kept")
    else:
        say(f"kept in {folder / FILE}; `audobon doctor --forget-tuning` goes back to the defaults")


def forget(folder: Path) -> None:
    """Go back to the defaults."""
    from audobon.compute.tuning import forget_tuning

    was_tuned = forget_tuning(folder)
    say("the tuning is forgotten; the defaults hold" if was_tuned else "there was no tuning")


def show(tuning: "Tuning") -> None:
    """Print every decision with its figures."""
    width = max(len(decision.subject) for decision in tuning.decisions)
    for decision in tuning.decisions:
        click.echo(f"{decision.subject:<{width}}  {decision.chosen:<18}  {decision.reason}")
        if decision.seconds:
            click.echo(f"{'':<{width}}  {'':<18}  {_figures(decision)}")


def in_one_line(folder: Path) -> str:
    """Return whether a tuning is in force and what it changes, or why there is none."""
    from audobon.cli.queue_words import moment
    from audobon.compute.tuning import find_tuning

    tuning, problem = find_tuning(folder)
    if problem is not None:
        return f"tuning: {problem}"
    changes = [f"{one.subject}: {one.chosen}" for one in tuning.decisions if not one.is_default]
    changed = "; ".join(changes) or "the defaults are best here"
    return f"tuning of {moment(tuning.measured_at)}: {changed}"


def _figures(decision: "Decision") -> str:
    figures = (f"{name} {seconds:.3g} s" for name, seconds in decision.seconds.items())
    return f"{', '.join(figures)} for {decision.unit}; medians of {decision.rounds} rounds"
