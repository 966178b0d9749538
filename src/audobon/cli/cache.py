"""`audobon cache`: what is kept of pages made before, and how to be rid of it."""

from typing import TYPE_CHECKING

import click

from audobon.cli.terminal import print_json, say

if TYPE_CHECKING:
    from audobon.storage.result_cache import CacheFigures


@click.group()
def cache() -> None:
    """Show and clear the results kept from before."""


@cache.command(short_help="Show how much is kept, and how much may be.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def show(*, as_json: bool) -> None:
    """Show how much is kept, and how much may be (cache.budget in the settings)."""
    from audobon.app import open_app

    figures = open_app().cache.figures()
    if as_json:
        print_json(figures)
        return
    budget = f"{_megabytes(figures.budget_bytes)} MB" if figures.budget_bytes else "off"
    click.echo(f"pages   {figures.pages}")
    click.echo(f"tiles   {figures.tiles}")
    click.echo(f"size    {_megabytes(figures.size_bytes)} MB")
    click.echo(f"budget  {budget}")


@cache.command(short_help="Remove all that is kept; pages are then made anew.")
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print what was, or would be, removed as JSON.")
def clear(*, dry_run: bool, as_json: bool) -> None:
    """Remove everything that is kept; pages are then made anew when they are asked for again.

    Jobs that can be gone on with keep their finished pages.
    """
    from audobon.app import open_app

    app = open_app()
    figures = app.cache.figures() if dry_run else app.jobs.clear_cache()
    if as_json:
        print_json(figures)
        return
    say(("would remove " if dry_run else "removed ") + _words(figures))


def _words(figures: "CacheFigures") -> str:
    pages = f"{figures.pages} page" + ("" if figures.pages == 1 else "s")
    tiles = f"{figures.tiles} tile" + ("" if figures.tiles == 1 else "s")
    return f"{pages} and {tiles}, {_megabytes(figures.size_bytes)} MB"


def _megabytes(count: int) -> str:
    return f"{count / (1 << 20):.1f}"
