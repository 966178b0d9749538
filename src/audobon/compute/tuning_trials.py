"""Finds out what this machine does best: threads, kinds of cores, spinning, opening of models, tiles.

Every trial runs in a process of its own, its ways in turns; `tuning.decide` judges.
"""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from audobon.clock import Clock, utc_now
from audobon.compute.core_kinds import CoreKinds, core_kinds
from audobon.compute.tuning import LEAST_ROUNDS, Decision, Tuning, decide, machine_digest
from audobon.models.card import Card
from audobon.models.catalogue import all_cards, card_named
from audobon.models.running import Running
from audobon.models.store import is_prepared, runtime_version
from audobon.models.tuning_runs import Timing, Trial, Way, measure_apart
from audobon.pages.tiles import plan_axis, tile_count
from audobon.processes import available_bytes, usable_threads

DEFAULT_MODEL = "waifu2x-upconv7-x2"

# A page as books hold them; all timings of runs are for one such page.
_PAGE_PX = (1400, 2000)
_PAGE_UNIT = "a page of 1400×2000"
_ROUNDS = 5
_WARM_UPS = 2
# Within a minute, the last trial's grace and the starts of processes included.
_ALL_SECONDS = 48.0
_THREAD_SECONDS, _SHORT_SECONDS, _OPENING_SECONDS, _TILE_SECONDS = 16.0, 8.0, 10.0, 14.0
# What a way's turn takes at least, its rest included; beside the run before it.
_TURN_SECONDS = 0.2
# Up to so many, every number of threads is tried; beyond, some of them.
_EVERY_NUMBER = 8

Measure = Callable[[Trial], list[Timing]]
Tell = Callable[[str], None]


class Tuner:
    """Measures a data folder's machine; `run` takes at most a minute.

    models  to find tiles for; the default model must be prepared
    """

    def __init__(
        self,
        models_folder: Path,
        *,
        tell: Tell,
        measure: Measure = measure_apart,
        threads: int | None = None,
        kinds: CoreKinds | None = None,
        free_bytes: int | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._folder = models_folder
        self._tell = tell
        self._measure = measure
        self._usable = threads or usable_threads()
        self._kinds = kinds or core_kinds()
        self._free_bytes = available_bytes() if free_bytes is None else free_bytes
        self._clock = clock
        self._end = clock() + _ALL_SECONDS

    def run(self) -> Tuning:
        """Return what to do on this machine, nothing of it stored."""
        prepared = self._prepared()
        threads_decision = self._threads()
        threads = int(threads_decision.chosen.split()[0])
        cores_decision, cores = self._cores(threads)
        spinning_decision = self._spinning(threads)
        opening_decision, opening = self._opening(prepared, threads)
        tiles = [decision for card in prepared if (decision := self._tiles(card, threads)) is not None]
        return Tuning(
            machine=machine_digest(),
            runtime=runtime_version(),
            measured_at=utc_now(),
            threads=0 if threads_decision.is_default else threads,
            running=msgspec.structs.replace(opening, cores=cores, spinning=not spinning_decision.is_default),
            tiles_px={
                decision.subject.removeprefix("tiles of "): int(decision.chosen.split()[0])
                for decision in tiles
                if not decision.is_default
            },
            decisions=(threads_decision, cores_decision, spinning_decision, opening_decision, *tiles),
        )

    def _threads(self) -> Decision:
        counts = _counts(self._usable)
        ways = [
            self._page(DEFAULT_MODEL, f"{count} thread{'s' if count > 1 else ''}", count) for count in counts
        ]
        return self._tried("threads", DEFAULT_MODEL, ways, _THREAD_SECONDS)

    def _cores(self, threads: int) -> tuple[Decision, tuple[int, ...]]:
        fast, slow = self._kinds
        if not slow:
            return _not_tried("cores", "any core", "all cores are of one kind"), ()
        ways = [
            self._page(DEFAULT_MODEL, "any core", threads),
            self._page(DEFAULT_MODEL, "fast cores", min(threads, len(fast)), Running(cores=fast)),
        ]
        decision = self._tried("cores", DEFAULT_MODEL, ways, _SHORT_SECONDS)
        return decision, () if decision.is_default else fast

    def _spinning(self, threads: int) -> Decision:
        ways = [
            self._page(DEFAULT_MODEL, "sleeping", threads),
            self._page(DEFAULT_MODEL, "spinning", threads, Running(spinning=True)),
        ]
        # What spins takes the processor from those who open and write pages meanwhile.
        return self._tried("waiting threads", DEFAULT_MODEL, ways, _SHORT_SECONDS, is_burning_allowed=False)

    def _opening(self, prepared: Sequence[Card], threads: int) -> tuple[Decision, Running]:
        """Judge by a cold and a warm opening together: both happen."""
        card = max(prepared, key=lambda card: card.graph_bytes)
        ways = {
            "mapped": Running(),
            "mapped, read ahead": Running(read_ahead=True),
            "read at once": Running(weights="read"),
        }
        trials = tuple(
            Way(name=name, threads=threads, running=running, is_cold=is_cold)
            for name, running in ways.items()
            for is_cold in (True, False)
        )
        subject = f"opening, measured on {card.name}"
        self._tell(f"{subject}: {', '.join(ways)}; each cold and warm")
        found = self._timings(
            Trial(
                measure="open",
                model=card.name,
                models_folder=str(self._folder),
                ways=trials,
                rounds=_ROUNDS,
                most_seconds=self._left(_OPENING_SECONDS),
            )
        )
        both = [_together(cold, warm) for cold, warm in zip(found[::2], found[1::2], strict=True)]
        decision = decide(subject, both, unit="a cold and a warm opening together")
        return decision, ways[decision.chosen]

    def _tiles(self, card: Card, threads: int) -> Decision | None:
        shape = card.picture
        if shape is None or not shape.tile_exact or len(shape.tiles_px) < 2:
            return None
        others = [side for side in shape.tiles_px if side != shape.tile_px]
        ways = [self._page(card.name, f"{side} px", threads, side=side) for side in (shape.tile_px, *others)]
        fitting = ways[:1]
        for way in ways[1:]:
            # All of them are in memory at the same time.
            if sum(_peak_bytes(card, one) for one in (*fitting, way)) <= self._free_bytes // 2:
                fitting.append(way)
        return self._tried(f"tiles of {card.name}", card.name, fitting, _TILE_SECONDS)

    def _tried(
        self,
        subject: str,
        model: str,
        ways: Sequence[Way],
        most_seconds: float,
        *,
        is_burning_allowed: bool = True,
    ) -> Decision:
        default = ways[0].name
        if len(ways) == 1:
            return _not_tried(subject, default, "there is nothing else to choose from")
        left_seconds = self._left(most_seconds)
        runs = [_expected_seconds(card_named(model), way) for way in ways]
        needed_seconds = sum(
            _WARM_UPS * seconds + LEAST_ROUNDS * (seconds + max(_TURN_SECONDS, seconds)) for seconds in runs
        )
        if needed_seconds > left_seconds:
            return _not_tried(subject, default, f"it would take some {math.ceil(needed_seconds)} seconds")
        self._tell(f"{subject}: {', '.join(way.name for way in ways)}")
        trial = Trial(
            measure="run",
            model=model,
            models_folder=str(self._folder),
            ways=tuple(ways),
            rounds=_ROUNDS,
            most_seconds=left_seconds,
        )
        return decide(subject, self._timings(trial), unit=_PAGE_UNIT, is_burning_allowed=is_burning_allowed)

    def _timings(self, trial: Trial) -> list[Timing]:
        return self._measure(trial) or [Timing(way.name, (), ()) for way in trial.ways]

    def _left(self, most_seconds: float) -> float:
        return max(0.0, min(most_seconds, self._end - self._clock()))

    def _page(
        self,
        model: str,
        name: str,
        threads: int,
        running: Running | None = None,
        *,
        side: int | None = None,
    ) -> Way:
        """Return a way whose unit is a page."""
        shape = card_named(model).picture
        assert shape is not None
        side = side or shape.tile_px
        width, height = _PAGE_PX
        return Way(
            name=name,
            threads=threads,
            running=running or Running(),
            window=(plan_axis(height, side, shape).window, plan_axis(width, side, shape).window),
            repeats=tile_count(width, height, side, shape),
        )

    def _prepared(self) -> list[Card]:
        """Return the picture models that are ready here, the default one first."""
        ready = [
            card
            for card in all_cards().values()
            if card.picture is not None and is_prepared(card, self._folder)
        ]
        return sorted(ready, key=lambda card: (card.name != DEFAULT_MODEL, card.graph_bytes))


def _counts(usable: int) -> list[int]:
    """Return the numbers of threads to try, the default first."""
    if usable <= _EVERY_NUMBER:
        return list(range(usable, 0, -1))
    halves = {usable // 2**step for step in range(usable.bit_length())}
    return sorted({*halves, usable * 3 // 4}, reverse=True)


def _expected_seconds(card: Card, way: Way) -> float:
    return card.memory.fast.seconds_per_megapixel * math.prod(way.window) / 1e6 / way.threads


def _peak_bytes(card: Card, way: Way) -> int:
    return card.memory.fast.peak_bytes(math.prod(way.window))


def _together(cold: Timing, warm: Timing) -> Timing:
    seconds = tuple(map(sum, zip(cold.seconds, warm.seconds, strict=True)))
    burnt = tuple(map(sum, zip(cold.processor_seconds, warm.processor_seconds, strict=True)))
    return Timing(cold.name, seconds, burnt)


def _not_tried(subject: str, default: str, why: str) -> Decision:
    return Decision(subject=subject, default=default, chosen=default, reason=f"kept, not measured: {why}")
