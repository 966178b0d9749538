"""Picture models that can be computed by hand, in the two ways real ones treat edges."""

import numpy as np
import numpy.typing as npt

from audobon.pages.restore import PictureModel
from audobon.pages.tiles import PictureShape

Tensor = npt.NDArray[np.float32]

PADDING_PX = 3


def _shape(*, scale: int, edges: str, multiple_px: int = 1) -> PictureShape:
    return PictureShape(
        scale=scale,
        colour="RGB",
        padding_px=PADDING_PX,
        edges=edges,  # type: ignore[arg-type]
        multiple_px=multiple_px,
        tile_exact=True,
        tile_px=64,
        tiles_px=(16, 64),
    )


def box_mean(planes: Tensor, reach: int) -> Tensor:
    """Return the mean over a square around each pixel, shrinking the picture by `reach` on each side."""
    side = 2 * reach + 1
    windows = np.lib.stride_tricks.sliding_window_view(planes, (side, side), axis=(2, 3))
    return windows.mean(axis=(4, 5)).astype(np.float32)


def doubling(*, multiple_px: int = 1) -> PictureModel:
    """Nearest-neighbour, twice as large; eats its padding as a model without padding of its own does."""

    def run(window: Tensor) -> Tensor:
        assert window.shape[2] % multiple_px == window.shape[3] % multiple_px == 0
        eaten = window[:, :, PADDING_PX:-PADDING_PX, PADDING_PX:-PADDING_PX]
        return eaten.repeat(2, axis=2).repeat(2, axis=3)

    return PictureModel(_shape(scale=2, edges="replicate", multiple_px=multiple_px), run)


def blurring_inside() -> PictureModel:
    """A box blur that eats its padding."""
    return PictureModel(_shape(scale=1, edges="replicate"), lambda window: box_mean(window, PADDING_PX))


def blurring_to_the_edge() -> PictureModel:
    """A box blur that puts zeros around what it is given, as a model with padding of its own does."""

    def run(window: Tensor) -> Tensor:
        reach = PADDING_PX
        return box_mean(np.pad(window, ((0, 0), (0, 0), (reach, reach), (reach, reach))), reach)

    return PictureModel(_shape(scale=1, edges="own"), run)
