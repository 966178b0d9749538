"""Models called tile-exact: a page's pixels depend neither on its tiles nor on the way to run."""

from pathlib import Path

import numpy as np
import pytest

from audobon.models.card import Card, built_in_cards
from audobon.models.golden import pattern
from audobon.models.service import Models
from audobon.models.sources import package_folder
from audobon.pages.picture import Picture
from audobon.pages.picture_info import PictureInfo
from audobon.pages.restore import PictureModel, restore

EXACT = [
    card
    for card in built_in_cards().values()
    if card.picture is not None and card.picture.tile_exact and package_folder(card) is not None
]


def test_the_default_model_is_among_them(default_card: Card) -> None:
    assert default_card in EXACT


@pytest.mark.parametrize("card", EXACT, ids=lambda card: card.name)
def test_three_tile_sizes_and_both_ways_give_the_same_pixels(card: Card, models_folder: Path) -> None:
    # given: a page that no tile side divides
    shape = card.picture
    assert shape is not None
    page = np.rint(pattern((1, 3, 70, 101))[0].transpose(1, 2, 0) * 255).astype(np.uint8)
    picture = Picture(PictureInfo(width=101, height=70, mode="RGB", format="PNG"), page)
    models = Models(models_folder, threads=2)

    def restored(tile_px: int, *, lean: bool) -> bytes:
        with models.lease(card.name, lean=lean) as model:
            fed = PictureModel(shape, model)
            bands = restore(picture, fed, passes=1, tile_px=tile_px, report=lambda _done, _total: None)
            return b"".join(band.tobytes() for band in bands)

    # when
    sides = shape.tiles_px[:3]
    found = {(side, lean): restored(side, lean=lean) for side in sides for lean in (False, True)}
    models.close()

    # then
    assert len(sides) == 3
    assert len(next(iter(found.values()))) == 70 * 101 * 3 * shape.scale**2
    assert len(set(found.values())) == 1
