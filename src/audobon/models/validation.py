"""Compares what a model makes of a folder with the references that lie there."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from audobon.errors import DocumentNotFound, InvalidInput, UnknownOperation
from audobon.models.apart import Tell, ask, silent
from audobon.models.card import Card
from audobon.models.profiling import prepare_first
from audobon.models.scores import Validation
from audobon.models.service import Models
from audobon.models.validate_runs import LetteredPage, Pair, Question, Scores
from audobon.pages.documents import is_page_name
from audobon.pages.natural_order import natural_key
from audobon.pages.picture_limits import PictureLimits
from audobon.processes import usable_threads

INPUTS, REFERENCES, LETTERING = "input", "reference", "lettering.json"
_MOST_LETTERING_BYTES = 16 << 20


class _Page(msgspec.Struct, frozen=True):
    balloons: tuple[str, ...]


def validate(
    name: str,
    models_folder: Path,
    against: Path,
    *,
    letter_models: Sequence[str],
    limits: PictureLimits,
    threads: int | None = None,
    has_crops: bool = False,
    tell: Tell = silent,
) -> Validation:
    """Return how well a model does on a folder, the worst first; it runs in a process of its own.

    A model that makes pictures is given `input/NAME` and compared with `reference/NAME`, or is given the
    pictures of `reference/` (or of the folder itself) made smaller. One that reads is given the pages of the
    folder, and compared with its lettering.json: page -> {"balloons": [text, ...]}.
    letter_models  the three that read together; the one that does what this model does is replaced by it
    raises         ModelNotFound, CorruptModel; DocumentNotFound when there is nothing to compare with;
                   InvalidInput when something does not go together; a page's own fault
    """
    service = Models(models_folder)
    card = service.card(name)
    pairs: tuple[Pair, ...] = ()
    pages: tuple[LetteredPage, ...] = ()
    chosen: tuple[str, ...] = ()
    if card.picture is not None:
        pairs = tuple(find_pairs(against, card))
    else:
        pages = tuple(find_pages(against))
        chosen = _with(card, [service.card(one) for one in letter_models])
    for one in chosen or (name,):
        prepare_first(service.card(one), models_folder, tell)
    question = Question(
        model=name,
        models_folder=str(models_folder),
        threads=threads or usable_threads(),
        limits=limits,
        pairs=pairs,
        pages=pages,
        letter_models=chosen,
        has_crops=has_crops,
    )
    found = ask("audobon.models.validate_runs", question, Scores, tell=tell)
    return Validation(
        card.name,
        pictures=tuple(sorted(found.pictures, key=lambda one: one.psnr_db)),
        pages=tuple(sorted(found.pages, key=lambda one: -one.error_rate)),
    )


def find_pairs(folder: Path, card: Card) -> list[Pair]:
    """Return what a picture model can be compared on, in natural order; see `validate`."""
    assert card.picture is not None
    references = _pictures(folder / REFERENCES if (folder / REFERENCES).is_dir() else folder)
    inputs = _pictures(folder / INPUTS) if (folder / INPUTS).is_dir() else None
    if not references:
        raise DocumentNotFound(
            f"{folder} holds no references",
            hint=f"put pictures into {folder / REFERENCES}, and what the model gets into {folder / INPUTS}",
        )
    if inputs is None:
        if card.picture.scale == 1:
            raise DocumentNotFound(
                f"{card.name} cleans, so a reference alone tells nothing",
                hint=f"put the unclean pictures into {folder / INPUTS}, under the names of the references",
            )
        return [Pair(path.name, str(path)) for path in references.values()]
    lonely = sorted({*inputs} ^ {*references}, key=natural_key)
    if lonely:
        where = INPUTS if lonely[0] in references else REFERENCES
        raise DocumentNotFound(f"{lonely[0]} is missing in {folder / where}", hint="each needs both pictures")
    return [Pair(path.name, str(path), str(inputs[stem])) for stem, path in references.items()]


def find_pages(folder: Path) -> list[LetteredPage]:
    """Return the pages that the folder's lettering.json tells of, in natural order."""
    path = folder / LETTERING
    if not path.is_file():
        raise DocumentNotFound(
            f"{folder} holds no {LETTERING}",
            hint='write one: {"page-1.png": {"balloons": ["what it says"]}}',
        )
    if path.stat().st_size > _MOST_LETTERING_BYTES:
        raise InvalidInput(f"{path} is too large to be the lettering of a folder")
    try:
        told = msgspec.json.decode(path.read_bytes(), type=dict[str, _Page])
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from error
    pages = []
    for name in sorted(told, key=natural_key):
        # A name with folders in it could lead anywhere.
        if Path(name).name != name or not (folder / name).is_file():
            raise DocumentNotFound(f"{name} of {path} is not in {folder}")
        pages.append(LetteredPage(name, str(folder / name), told[name].balloons))
    if not pages:
        raise DocumentNotFound(f"{path} tells of no page")
    return pages


def _pictures(folder: Path) -> dict[str, Path]:
    """Return the pictures of a folder by their names without ending, in natural order."""
    if not folder.is_dir():
        raise DocumentNotFound(f"{folder} is not a folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda one: natural_key(one.name)):
        if path.is_file() and is_page_name(path.name):
            if path.stem in found:
                raise InvalidInput(f"{folder} holds {path.name} and {found[path.stem].name}: one name, twice")
            found[path.stem] = path
    return found


def _with(card: Card, letter_cards: Sequence[Card]) -> tuple[str, ...]:
    tasks = [one.task for one in letter_cards]
    if card.task not in tasks:
        raise UnknownOperation(f"{card.name} neither makes pictures nor reads", hint="audobon models list")
    return tuple(card.name if one.task == card.task else one.name for one in letter_cards)
