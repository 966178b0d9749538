"""`audobon models bench`: what models take, one beside the other."""

from typing import TYPE_CHECKING

import click

from audobon.cli.terminal import print_json, say

if TYPE_CHECKING:
    from audobon.models.benching import Bench


@click.command("bench", short_help="Measure models beside what their cards say.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--rounds",
    type=click.IntRange(min=1, max=100),
    default=3,
    show_default=True,
    help="How often to go round.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def bench_models(names: tuple[str, ...], rounds: int, *, as_json: bool) -> None:
    """Measure models: speed, loading from disk and memory, peak; beside what their cards say.

    Without NAMES, every installed model. They take turns, and each figure comes from a process of its own;
    shown is the median of the rounds, of memory the most. Speed is of the usual tile, run fast, for a
    megapixel of a page.
    """
    from audobon.app import open_app
    from audobon.models.benching import bench
    from audobon.models.service import Models

    app = open_app()
    installed = [status.name for status in Models(app.models_folder).list() if status.is_installed]
    found = bench(
        names or installed,
        app.models_folder,
        rounds=rounds,
        threads=app.settings.models.threads or None,
        tell=lambda words: say(f"  {words}"),
    )
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(_lines(found)))


def _lines(found: "list[Bench]") -> list[str]:
    heads = ("model", "fed", "s/MP", "processor s/MP", "card", "cold load", "warm load", "peak", "card")
    rows = [
        (
            one.name,
            one.size,
            f"{one.seconds_per_megapixel:.2f}",
            f"{one.processor_seconds_per_megapixel:.2f}",
            f"{one.expected_processor_seconds_per_megapixel:.2f}",
            f"{one.cold_seconds * 1e3:.1f} ms",
            f"{one.warm_seconds * 1e3:.1f} ms",
            f"{one.peak_bytes >> 20} MB",
            f"{one.expected_peak_bytes >> 20} MB",
        )
        for one in found
    ]
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    return [
        "  ".join(
            f"{cell:<{width}}" if column < 2 else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [heads, *rows]
    ]
