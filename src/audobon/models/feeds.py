"""What a model is fed when it is measured: shapes of tensors, and how much of a page they are."""

from audobon.errors import InvalidInput
from audobon.models.card import Card

Shape = tuple[int, ...]
"""[batch, channels, height, width]."""

# For the models that read lettering: windows of a page, and batches of lines.
_LETTERS: dict[str, list[Shape]] = {
    "find text": [(1, 3, 736, 544), (1, 3, 1088, 768), (1, 3, 1472, 1056)],
    "turn text": [(1, 3, 48, 192), (8, 3, 48, 192)],
    "read text": [(1, 3, 48, 320), (6, 3, 48, 320), (6, 3, 48, 960)],
}


def usual_shapes(card: Card) -> list[Shape]:
    """Return what a model is fed in its work, from small to large."""
    if card.picture is None:
        return _LETTERS[card.task]
    return [window(card, side) for side in card.picture.tiles_px]


def main_shape(card: Card) -> Shape:
    """Return what a model is fed most: its own tile, or the middle one of its shapes."""
    if card.picture is not None:
        return window(card, card.picture.tile_px)
    shapes = _LETTERS[card.task]
    return shapes[len(shapes) // 2]


def window(card: Card, tile_px: int) -> Shape:
    """Return what a picture model is fed for a tile of this side.

    raises  InvalidInput when the model takes no such tiles
    """
    shape = card.picture
    if shape is None:
        raise InvalidInput(f"{card.name} does not work on tiles", hint="leave --tile away")
    if not shape.tile_exact and tile_px not in shape.tiles_px:
        sides = ", ".join(str(side) for side in shape.tiles_px)
        raise InvalidInput(
            f"{card.name} takes no tiles of {tile_px} px, since its pixels depend on them",
            hint=f"--tile {sides}",
        )
    side = tile_px + 2 * shape.padding_px
    side += -side % shape.multiple_px
    return (1, 3, side, side)


def pixels_of(shape: Shape) -> int:
    """Return how many pixels a tensor of this shape feeds at once."""
    return shape[0] * shape[2] * shape[3]


def useful_megapixels(card: Card, shape: Shape) -> float:
    """Return how much of a page a tensor is, without what each tile has around it."""
    around = 2 * card.picture.padding_px if card.picture is not None else 0
    return shape[0] * (shape[2] - around) * (shape[3] - around) / 1e6


def in_words(card: Card, shape: Shape) -> str:
    """Return a short name for a shape: the side of the tile, or batch and size of the lines."""
    if card.picture is not None:
        return f"{shape[2] - 2 * card.picture.padding_px} px"
    size = f"{shape[3]}×{shape[2]}"
    return size if shape[0] == 1 else f"{shape[0]} of {size}"
