"""How well a model did on pages whose right answer is known."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

import msgspec


class PictureScore(msgspec.Struct, frozen=True):
    """One picture against its reference.

    psnr_db, ssim              of what the model made; PSNR is 100 where they are equal
    plain_psnr_db, plain_ssim  of the input enlarged by Lanczos, or left as it is when nothing grows
    where                      x, y of the part that differs most, in pixels of the reference
    crops                      that part of the plain one, the answer and the reference as PNG; () unasked
    """

    name: str
    width: int
    height: int
    psnr_db: float
    ssim: float
    plain_psnr_db: float
    plain_ssim: float
    seconds: float
    where: tuple[int, int] = (0, 0)
    crops: tuple[bytes, ...] = ()

    @property
    def gain_db(self) -> float:
        """Return how much nearer to the reference than by Lanczos alone."""
        return self.psnr_db - self.plain_psnr_db


class TextScore(msgspec.Struct, frozen=True):
    """One page of lettering against what is written there.

    errors      characters to put in, leave out or replace
    characters  that are right
    exact       balloons read to the letter, in their place
    """

    name: str
    found: tuple[str, ...]
    wanted: tuple[str, ...]
    errors: int
    characters: int
    exact: int
    seconds: float

    @property
    def error_rate(self) -> float:
        """Return the share of characters that are wrong."""
        return self.errors / max(1, self.characters)


class Validation(msgspec.Struct, frozen=True):
    """A model over a folder, the worst first; either pictures or pages, by what the model does."""

    model: str
    pictures: tuple[PictureScore, ...] = ()
    pages: tuple[TextScore, ...] = ()

    @property
    def median_psnr_db(self) -> float:
        """Return the PSNR of the middle picture."""
        return medians(self.pictures).psnr_db

    @property
    def exact_percent(self) -> float:
        """Return how many of all balloons were read to the letter."""
        wanted = sum(len(page.wanted) for page in self.pages)
        return 100 * sum(page.exact for page in self.pages) / max(1, wanted)

    @property
    def error_rate(self) -> float:
        """Return the share of all characters that are wrong."""
        return sum(page.errors for page in self.pages) / max(1, sum(page.characters for page in self.pages))


class Figures(NamedTuple):
    """The figures of a picture, or the medians of many; see `PictureScore`."""

    psnr_db: float
    ssim: float
    plain_psnr_db: float
    plain_ssim: float
    gain_db: float


def figures_of(score: PictureScore) -> Figures:
    """Return the figures of one picture."""
    return Figures(score.psnr_db, score.ssim, score.plain_psnr_db, score.plain_ssim, score.gain_db)


def medians(pictures: Sequence[PictureScore]) -> Figures:
    """Return the median of each figure."""
    return Figures(*map(statistics.median, zip(*map(figures_of, pictures), strict=True)))
