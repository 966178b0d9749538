"""Runs a model over pages whose right answer is known: `python -m audobon.models.validate_runs`.

Answers one `Question`; see `audobon.models.apart`. Pages are opened here, apart from the command, within
the limits that hold for all pages.
"""

import io
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image

from audobon.errors import AudobonError, InvalidInput
from audobon.models.apart import Tell, serve
from audobon.models.card import Card
from audobon.models.runtime import LoadedModel, return_memory_at_once
from audobon.models.scores import PictureScore, TextScore
from audobon.models.service import Models
from audobon.pages.decode import decode
from audobon.pages.letters import LetterModels, read_letters
from audobon.pages.likeness import edit_distance, psnr_db, ssim
from audobon.pages.picture import Picture
from audobon.pages.picture_info import PictureInfo
from audobon.pages.picture_limits import PictureLimits
from audobon.pages.restore import PictureModel, restore

_CROP_PX = 160
Rgb = npt.NDArray[np.uint8]


class Pair(msgspec.Struct, frozen=True):
    """A picture to be made, by its name in reports.

    reference  what it should become
    input      what the model gets; None: the reference, made smaller by Lanczos
    """

    name: str
    reference: str
    input: str | None = None


class LetteredPage(msgspec.Struct, frozen=True):
    """A page, and its balloons in reading order."""

    name: str
    path: str
    balloons: tuple[str, ...]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be compared; either pairs or pages.

    letter_models  the three that read lettering together: one that finds, one that turns, one that reads
    has_crops      whether the parts that differ most are wanted as pictures
    """

    model: str
    models_folder: str
    threads: int
    limits: PictureLimits
    pairs: tuple[Pair, ...] = ()
    pages: tuple[LetteredPage, ...] = ()
    letter_models: tuple[str, ...] = ()
    has_crops: bool = False


class Scores(msgspec.Struct, frozen=True):
    """What came of it, in the order of the question."""

    pictures: tuple[PictureScore, ...] = ()
    pages: tuple[TextScore, ...] = ()


def answer(question: Question, tell: Tell) -> Scores:
    """Run the model over everything."""
    return_memory_at_once()
    models = Models(Path(question.models_folder), threads=question.threads)
    if question.pairs:
        return Scores(pictures=tuple(_pictures(models, question, tell)))
    return Scores(pages=tuple(_pages(models, question, tell)))


def _pictures(models: Models, question: Question, tell: Tell) -> list[PictureScore]:
    card = models.card(question.model)
    scores = []
    with models.lease(question.model) as model:
        for number, pair in enumerate(question.pairs, start=1):
            tell(f"{number} of {len(question.pairs)}: {pair.name}")
            scores.append(_score(pair, card, model, question))
    return scores


def _score(pair: Pair, card: Card, model: LoadedModel, question: Question) -> PictureScore:
    shape = card.picture
    assert shape is not None
    wanted = _opened(pair.reference, question.limits).rgb8()
    if pair.input is None:
        height, width = (side // shape.scale * shape.scale for side in wanted.shape[:2])
        wanted = wanted[:height, :width]
        given = _resized(wanted, (width // shape.scale, height // shape.scale))
    else:
        given = _opened(pair.input, question.limits).rgb8()
    height, width = (side * shape.scale for side in given.shape[:2])
    if wanted.shape[:2] != (height, width):
        raise InvalidInput(
            f"{pair.name}: the reference is {wanted.shape[1]}×{wanted.shape[0]},"
            f" {card.name} makes {width}×{height} of the input"
        )
    info = PictureInfo(width=given.shape[1], height=given.shape[0], mode="RGB", format="PNG")
    began = time.perf_counter()
    fed = PictureModel(shape, model)
    bands = restore(
        Picture(info, given), fed, passes=1, tile_px=shape.tile_px, report=lambda _done, _whole: None
    )
    made = np.concatenate(list(bands))
    seconds = time.perf_counter() - began
    plain = given if shape.scale == 1 else _resized(given, (width, height))
    x, y = _worst_place(made, wanted)
    crops = [_cropped(one, x, y) for one in (plain, made, wanted)] if question.has_crops else []
    return PictureScore(
        name=pair.name,
        width=width,
        height=height,
        psnr_db=psnr_db(made, wanted),
        ssim=ssim(made, wanted),
        plain_psnr_db=psnr_db(plain, wanted),
        plain_ssim=ssim(plain, wanted),
        seconds=seconds,
        where=(x, y),
        crops=tuple(crops),
    )


def _pages(models: Models, question: Question, tell: Tell) -> list[TextScore]:
    scores = []
    with ExitStack() as stack:
        # Lean: line widths vary, and an arena would keep room for each of them.
        detector, classifier, recogniser = (
            stack.enter_context(models.lease(name, lean=True)) for name in question.letter_models
        )
        alphabet = tuple(recogniser.metadata().get("character", "").split("\n"))
        if len(alphabet) < 2:
            raise InvalidInput(f"{question.letter_models[-1]} does not say which characters it reads")
        letter_models = LetterModels(detector, classifier, recogniser, alphabet)
        for number, page in enumerate(question.pages, start=1):
            tell(f"{number} of {len(question.pages)}: {page.name}")
            began = time.perf_counter()
            lettering = read_letters(_opened(page.path, question.limits).rgb8(), letter_models)
            found = tuple(balloon.text for balloon in lettering.balloons if balloon.kind == "speech")
            wanted = "\n".join(page.balloons)
            scores.append(
                TextScore(
                    name=page.name,
                    found=found,
                    wanted=page.balloons,
                    errors=edit_distance("\n".join(found), wanted),
                    characters=len(wanted),
                    exact=sum(a == b for a, b in zip(found, page.balloons, strict=False)),
                    seconds=time.perf_counter() - began,
                )
            )
    return scores


def _opened(path: str, limits: PictureLimits) -> Picture:
    try:
        info, image = decode(Path(path).read_bytes(), limits)
    except AudobonError as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error
    pixels = np.asarray(image)
    return Picture(info, pixels[:, :, None] if pixels.ndim == 2 else pixels)


def _resized(pixels: Rgb, size: tuple[int, int]) -> Rgb:
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _worst_place(made: Rgb, wanted: Rgb) -> tuple[int, int]:
    """Return the left upper corner of the crop in which the pictures differ most, of a grid of them."""
    best, place = -1.0, (0, 0)
    step = _CROP_PX // 2
    height, width = made.shape[:2]
    for y in range(0, max(1, height - _CROP_PX + 1), step):
        for x in range(0, max(1, width - _CROP_PX + 1), step):
            part = (slice(y, y + _CROP_PX), slice(x, x + _CROP_PX))
            error = float(np.mean((made[part].astype(np.float32) - wanted[part]) ** 2))
            if error > best:
                best, place = error, (x, y)
    return place


def _cropped(pixels: Rgb, x: int, y: int) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels[y : y + _CROP_PX, x : x + _CROP_PX]).save(target, "PNG")
    return target.getvalue()


if __name__ == "__main__":
    sys.exit(serve(Question, answer))
