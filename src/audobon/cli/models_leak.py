"""`audobon models leak`: does a model give back the memory it took?"""

from typing import TYPE_CHECKING

import click

from audobon.cli.terminal import print_json, say

if TYPE_CHECKING:
    from audobon.models.leaks import LeakReport

_MEGABYTE = 1 << 20


@click.command("leak")
@click.argument("name")
@click.option(
    "--cycles",
    type=click.IntRange(min=20, max=100_000),
    default=200,
    show_default=True,
    help="How often to load, run and evict it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def leak(name: str, cycles: int, *, as_json: bool) -> None:
    """Load, run and evict a model again and again; does memory stay?

    It leaks when the process holds over 16 MB more than after its first cycles, or 0.05 MB more with each
    cycle (least squares). Ends with status 10 then. Fewer cycles than 200 find coarse leaks only.
    """
    from audobon.app import open_app
    from audobon.errors import BelowThreshold
    from audobon.models.leaks import look_for_leak

    app = open_app()
    found = look_for_leak(
        name,
        app.models_folder,
        cycles=cycles,
        threads=app.settings.models.threads or None,
        tell=lambda words: say(f"  {words}"),
    )
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(_lines(found)))
    if found.verdict == "leaks":
        raise BelowThreshold(
            f"{found.name} leaks: {'; '.join(found.reasons)}",
            hint="the engine replaces workers that lose memory; report the model to whoever made it",
        )


def _lines(found: "LeakReport") -> list[str]:
    growth, slope, baseline = (
        count / _MEGABYTE for count in (found.growth_bytes, found.slope_bytes, found.baseline_bytes)
    )
    most, steepest = found.growth_limit_bytes / _MEGABYTE, found.slope_limit_bytes / _MEGABYTE
    return [
        f"{found.name}: {found.verdict}",
        f"cycles      {found.cycles}, {found.seconds / found.cycles * 1e3:.0f} ms each",
        f"growth      {growth:.1f} MB at most over {baseline:.0f} MB (allowed: {most:.0f} MB)",
        f"each cycle  {slope:+.3f} MB (allowed: {steepest:.2f} MB)",
    ]
