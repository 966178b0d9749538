"""What a model takes: to load, operator by operator, and in memory by size."""

import statistics
from pathlib import Path

import msgspec

from audobon.models import profile_runs
from audobon.models.apart import Tell, silent
from audobon.models.card import Card
from audobon.models.feeds import Shape, in_words, main_shape, pixels_of, usual_shapes, window
from audobon.models.preparing import prepare_apart
from audobon.models.profile_runs import Question
from audobon.models.profile_trace import KindTime, Trace
from audobon.models.service import Models
from audobon.models.store import is_prepared
from audobon.processes import usable_threads

_LOADS = 3
_MOST_SIZES = 6


class MemoryPoint(msgspec.Struct, frozen=True):
    """Memory for one size, run one way: growth of a process at its peak, weights included.

    size      in words: the side of a tile, or lines
    expected  what the model's card says for it
    """

    size: str
    pixels: int
    lean: bool
    peak_bytes: int
    expected_bytes: int


class Profile(msgspec.Struct, frozen=True):
    """What one model takes on this machine.

    cold_seconds  loading it from the disk, each byte proved; the median of three
    warm_seconds  the same, the system's copy of the files in memory
    size          what it was fed for the times of its operators
    kinds         time by kind of operator, the dearest first
    """

    name: str
    title: str
    threads: int
    cold_seconds: float
    warm_seconds: float
    size: str
    kinds: tuple[KindTime, ...]
    trace: Trace
    memory: tuple[MemoryPoint, ...]


def profile(
    name: str, folder: Path, *, threads: int | None = None, tile_px: int | None = None, tell: Tell = silent
) -> Profile:
    """Measure a model, each figure in a process of its own; some seconds, or minutes for the largest.

    folder   of the prepared models
    threads  to run with; None: as many as this process may use
    tile_px  side of the tile whose operators are timed; None: the card's own
    raises   ModelNotFound, CorruptModel; InvalidInput when the model takes no such tile
    """
    card = Models(folder).card(name)
    shape = main_shape(card) if tile_px is None else window(card, tile_px)
    prepare_first(card, folder, tell)
    question = Question(
        what="load",
        model=name,
        models_folder=str(folder),
        threads=threads or usable_threads(),
        shape=shape,
    )
    tell("loading it, from the disk and from the system's memory")
    cold, warm = load_times(question, rounds=_LOADS)
    tell(f"timing its operators, fed {in_words(card, shape)}")
    trace = profile_runs.operator_times(question)
    return Profile(
        name=card.name,
        title=card.title,
        threads=question.threads,
        cold_seconds=statistics.median(cold),
        warm_seconds=statistics.median(warm),
        size=in_words(card, shape),
        kinds=tuple(trace.kinds()),
        trace=trace,
        memory=tuple(_memory(card, question, tell)),
    )


def prepare_first(card: Card, folder: Path, tell: Tell) -> None:
    """Prepare a model that was not, so that no figure holds that."""
    if not is_prepared(card, folder):
        tell(f"preparing {card.name}")
        prepare_apart(card, folder)


def load_times(question: Question, *, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of loads, cold and warm in turns."""
    times = [
        profile_runs.load_seconds(msgspec.structs.replace(question, is_cold=is_cold))
        for _ in range(rounds)
        for is_cold in (True, False)
    ]
    return times[::2], times[1::2]


def _memory(card: Card, question: Question, tell: Tell) -> list[MemoryPoint]:
    points = []
    for shape in _sizes(card, question.shape):
        tell(f"weighing it, fed {in_words(card, shape)}")
        for lean in (False, True):
            asked = msgspec.structs.replace(question, shape=shape, lean=lean)
            points.append(memory_point(card, asked, profile_runs.peak_growth(asked)))
    return points


def memory_point(card: Card, question: Question, peak_bytes: int) -> MemoryPoint:
    """Return what was weighed beside what the card says."""
    footprint = card.memory.lean if question.lean else card.memory.fast
    pixels = pixels_of(question.shape)
    expected = footprint.peak_bytes(pixels)
    return MemoryPoint(in_words(card, question.shape), pixels, question.lean, peak_bytes, expected)


def _sizes(card: Card, asked: Shape) -> list[Shape]:
    """Return the sizes to weigh, from small to large: the usual ones, and the one that was asked for."""
    found = sorted({*usual_shapes(card), asked}, key=pixels_of)
    while len(found) > _MOST_SIZES:
        # The ends matter most, and what was asked for.
        found.remove(next(shape for shape in found[1:-1] if shape != asked))
    return found
