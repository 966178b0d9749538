"""`audobon models add`: brings a model of the user's own."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.terminal import print_json, say

if TYPE_CHECKING:
    from audobon.models.admitting import Admitted
    from audobon.models.card import Card

_PATH = click.Path(readable=False, path_type=Path)


@click.command("add", short_help="Bring a model of your own.")
@click.argument("file", metavar="FILE.onnx", type=_PATH)
@click.option(
    "--card", "card_file", metavar="CARD.toml", type=_PATH, required=True, help="What you know of it."
)
@click.option(
    "--replace", is_flag=True, help="Take the place of your model of that name, which is kept 30 days."
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Check and measure it, and keep nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def add_model(file: Path, card_file: Path, *, replace: bool, is_dry: bool, as_json: bool) -> None:
    """Bring a model of your own, to be used like those that ship with Audobon.

    Its file is checked and tried in processes with limits, its memory and speed are measured, and an answer
    is recorded that `audobon models verify` repeats. docs/guides/your-own-models.md tells what the card says.
    """
    import tempfile

    from audobon.app import open_app
    from audobon.models.admitting import admit, check_file
    from audobon.models.brought_card import read_brought_card
    from audobon.models.own_models import OwnModels

    app = open_app()
    brought = read_brought_card(card_file)
    own = OwnModels(app.models_folder)
    check_file(file)
    own.check_free(brought.name, replace=replace)
    most_bytes = app.settings.models.max_megabytes * 10**6
    was_replaced = False
    if is_dry:
        with tempfile.TemporaryDirectory(prefix="audobon-") as scratch:
            admitted = admit(file, brought, Path(scratch), most_bytes=most_bytes, tell=say)
    else:
        with own.staging(brought.name) as folder:
            admitted = admit(file, brought, folder, most_bytes=most_bytes, tell=say)
            was_replaced = own.publish(admitted.card, folder, replace=replace)
    if as_json:
        print_json(
            {
                "card": admitted.card,
                "notes": admitted.notes,
                "is_replaced": was_replaced,
                "is_dry_run": is_dry,
            }
        )
    _tell(admitted, was_replaced=was_replaced, is_dry=is_dry)


def _tell(admitted: "Admitted", *, was_replaced: bool, is_dry: bool) -> None:
    card = admitted.card
    for note in admitted.notes:
        say(f"note: {note}")
    say(_in_words(card))
    if is_dry:
        say(f"a dry run: {card.name} would be taken, nothing was kept")
        return
    say(
        f"{card.name} is added"
        + (f"; audobon models restore {card.name} --replace undoes it" if was_replaced else "")
    )
    option = "" if card.task == "clean" else f" --scale {card.picture.scale if card.picture else 2}"
    say(f"use it: audobon run {card.task} page.png -o out.png{option} --model {card.name}")


def _in_words(card: "Card") -> str:
    shape = card.picture
    assert shape is not None
    tiles = f"up to {shape.tile_px} px, same pixels" if shape.tile_exact else f"always {shape.tile_px} px"
    peak = max(card.memory.fast.peak_bytes_by_pixels.values())
    return (
        f"{card.title}: {card.graph_bytes / 1e6:.1f} MB, ×{shape.scale}, tiles {tiles},"
        f" at most {peak >> 20} MB,"
        f" {card.memory.fast.seconds_per_megapixel:g} processor seconds per megapixel"
    )
