"""`audobon models profile`: what a model takes, operator by operator and by size."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.terminal import print_json, printable, say

if TYPE_CHECKING:
    from audobon.models.profiling import MemoryPoint, Profile

_KINDS_SHOWN = 10


@click.command("profile", short_help="Measure what a model takes, operator by operator.")
@click.argument("name")
@click.option(
    "--tile", "tile_px", type=click.IntRange(min=8, max=2048), help="Side of the tile to time, in px."
)
@click.option(
    "-o",
    "--output",
    "target",
    metavar="OUT.png|OUT.html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the profile: a picture, or a page that also lists every operator.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the profile as JSON.")
def profile_model(
    name: str, tile_px: int | None, target: Path | None, *, overwrite: bool, as_json: bool
) -> None:
    """Measure what a model takes: loading, each operator, memory by size.

    Each figure comes from a process of its own, so it takes some seconds, for the largest models minutes.
    Other work on the machine blurs times, not memory. Memory is set beside what the model's card says.
    """
    from audobon.app import open_app
    from audobon.cli.targets import check_target, write_target
    from audobon.models.profiling import profile

    if target is not None:
        check_target(target, (".png", ".html"), overwrite=overwrite)
    app = open_app()
    threads = app.settings.models.threads or None
    found = profile(
        name, app.models_folder, threads=threads, tile_px=tile_px, tell=lambda words: say(f"  {words}")
    )
    if target is not None:
        from audobon.models.profile_picture import profile_page, profile_png

        data = profile_png(found) if target.suffix.lower() == ".png" else profile_page(found).encode()
        write_target(target, data, overwrite=overwrite)
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(_lines(found)))
    if target is not None:
        say(f"drawn in {target}")


def _lines(found: "Profile") -> list[str]:
    trace = found.trace
    threads = "1 thread" if found.threads == 1 else f"{found.threads} threads"
    lines = [
        f"{found.name}: {printable(found.title)}",
        f"loading     {found.cold_seconds * 1e3:.1f} ms from the disk,"
        f" {found.warm_seconds * 1e3:.1f} ms from memory",
        f"one run     {trace.seconds * 1e3:.1f} ms of {found.size} with {threads},"
        f" {trace.beside_seconds / trace.seconds:.0%} of it beside operators",
        "",
    ]
    kinds = found.kinds[:_KINDS_SHOWN]
    width = max(len(kind.kind) for kind in kinds)
    for kind in kinds:
        lines.append(f"{kind.kind:<{width}}  {kind.seconds * 1e3:9.2f} ms  {kind.share:6.1%}  ×{kind.count}")
    if rest := found.kinds[_KINDS_SHOWN:]:
        seconds, share = sum(kind.seconds for kind in rest), sum(kind.share for kind in rest)
        count = sum(kind.count for kind in rest)
        lines.append(f"{'others':<{width}}  {seconds * 1e3:9.2f} ms  {share:6.1%}  ×{count}")
    lines += ["", "memory at the peak, measured (card)"]
    sizes = list(dict.fromkeys(point.size for point in found.memory))
    width = max(len(size) for size in sizes)
    for size in sizes:
        ways = [_weight(point) for point in found.memory if point.size == size]
        lines.append(f"{size:<{width}}  {'   '.join(ways)}")
    return lines


def _weight(point: "MemoryPoint") -> str:
    way = "lean" if point.lean else "fast"
    card = f"({point.expected_bytes >> 20} MB)"
    return f"{way} {point.peak_bytes >> 20:5} MB {card:>9}"
