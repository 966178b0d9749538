"""What models take, one beside the other and beside their cards: seconds, loading, memory."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

from audobon.models import profile_runs
from audobon.models.apart import Tell, silent
from audobon.models.feeds import in_words, main_shape
from audobon.models.profile_runs import Question
from audobon.models.profiling import load_times, memory_point, prepare_first
from audobon.models.service import Models
from audobon.processes import usable_threads


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """One model; medians over the rounds, memory the most of them.

    size                             what it was fed, its usual tile
    seconds_per_megapixel            of clock time
    processor_seconds_per_megapixel  of all threads together; this is what the card says
    cold_seconds, warm_seconds       loading it, each byte proved
    """

    name: str
    size: str
    threads: int
    rounds: int
    seconds_per_megapixel: float
    processor_seconds_per_megapixel: float
    expected_processor_seconds_per_megapixel: float
    cold_seconds: float
    warm_seconds: float
    peak_bytes: int
    expected_peak_bytes: int


def bench(
    names: Sequence[str], folder: Path, *, rounds: int, threads: int | None = None, tell: Tell = silent
) -> list[Bench]:
    """Measure models in turns, round by round, each figure in a process of its own.

    raises  ModelNotFound, CorruptModel
    """
    service = Models(folder)
    cards = [service.card(name) for name in names]
    for card in cards:
        prepare_first(card, folder, tell)
    questions = [
        Question(
            what="load",
            model=card.name,
            models_folder=str(folder),
            threads=threads or usable_threads(),
            shape=main_shape(card),
        )
        for card in cards
    ]
    seen: list[list[tuple[float, float, float, float, int]]] = [[] for _ in cards]
    for number in range(1, rounds + 1):
        for card, question, rows in zip(cards, questions, seen, strict=True):
            tell(f"round {number} of {rounds}: {card.name}")
            (cold,), (warm,) = load_times(question, rounds=1)
            speed = profile_runs.speed(question)
            rows.append(
                (
                    speed.seconds / speed.megapixels,
                    speed.processor_seconds / speed.megapixels,
                    cold,
                    warm,
                    profile_runs.peak_growth(question),
                )
            )
    found = []
    for card, question, rows in zip(cards, questions, seen, strict=True):
        seconds, burnt, cold, warm = (statistics.median(row[column] for row in rows) for column in range(4))
        point = memory_point(card, question, max(row[4] for row in rows))
        found.append(
            Bench(
                name=card.name,
                size=in_words(card, question.shape),
                threads=question.threads,
                rounds=rounds,
                seconds_per_megapixel=seconds,
                processor_seconds_per_megapixel=burnt,
                expected_processor_seconds_per_megapixel=card.memory.fast.seconds_per_megapixel,
                cold_seconds=cold,
                warm_seconds=warm,
                peak_bytes=point.peak_bytes,
                expected_peak_bytes=point.expected_bytes,
            )
        )
    return found
