"""`audobon config`: which settings are in force, and where each comes from."""

import click

from audobon.cli.terminal import print_json


@click.group()
def config() -> None:
    """Show the settings."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print the settings as JSON.")
def show(*, as_json: bool) -> None:
    """Print every setting with its value and origin."""
    from audobon import config as settings

    found = settings.explain()
    if as_json:
        print_json({item.name: {"value": item.value, "origin": item.origin} for item in found})
        return
    click.echo(f"# {settings.config_file()}")
    width = max(len(item.name) for item in found)
    for item in found:
        value = '""' if item.value == "" else str(item.value)
        click.echo(f"{item.name:<{width}}  {value:<40}  {item.origin}")
