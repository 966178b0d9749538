"""What `audobon doctor --tune` found best for this machine, kept in the data folder and used.

A choice differs from the default only where measuring showed a gain that is more than chance.
"""

import hashlib
import platform
import statistics
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from audobon.atomic import make_private_folder, write_bytes
from audobon.models.card import Card
from audobon.models.running import Running
from audobon.models.store import runtime_version
from audobon.models.tuning_runs import Timing
from audobon.processes import usable_threads

FILE = "tuning.json"
LEAST_ROUNDS = 3
LEAST_GAIN = 0.05

_MOST_FILE_BYTES = 1 << 20
_NONE = "none; `audobon doctor --tune` measures what this machine does best"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One choice, with what it was made by.

    default, chosen  names of ways
    seconds          median of each way, for one unit
    unit             what was timed
    gain             share of the default's time that the fastest other way saves; negative when it costs
    spread           by how much rounds of one way differed, as a share of its median: the larger of the two
    reason           for people
    """

    subject: str
    default: str
    chosen: str
    seconds: dict[str, float] = {}
    unit: str = ""
    gain: float = 0.0
    spread: float = 0.0
    rounds: int = 0
    reason: str

    @property
    def is_default(self) -> bool:
        """Whether nothing changes."""
        return self.chosen == self.default


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What to do otherwise than by default; an empty one changes nothing.

    machine     digest of what the measurements depend on besides ONNX Runtime
    threads     for a run of a model; 0: all this process may use
    tiles_px    model -> side of its tiles, where another than the card's is faster
    """

    machine: str = ""
    runtime: str = ""
    measured_at: float = 0.0
    threads: int = 0
    running: Running = Running()
    tiles_px: dict[str, int] = {}
    decisions: tuple[Decision, ...] = ()


class Found(NamedTuple):
    """The tuning in force, and why it is empty or left out; None when it is in force."""

    tuning: Tuning
    problem: str | None


def load_tuning(folder: Path) -> Tuning:
    """Return the tuning in force for a data folder; an empty one when there is none, or it is stale."""
    return find_tuning(folder).tuning


def find_tuning(folder: Path) -> Found:
    """Return the tuning in force, and why it is empty; never fails over a file."""
    path = folder / FILE
    try:
        if path.stat().st_size > _MOST_FILE_BYTES:
            return Found(Tuning(), f"left out: {path} is damaged; `audobon doctor --tune` makes it anew")
        tuning = msgspec.json.decode(path.read_bytes(), type=Tuning)
    except FileNotFoundError:
        return Found(Tuning(), _NONE)
    except (OSError, msgspec.DecodeError):
        return Found(Tuning(), f"left out: {path} is damaged; `audobon doctor --tune` makes it anew")
    if tuning.runtime != runtime_version():
        versions = f"made with ONNX Runtime {tuning.runtime}, and {runtime_version()} is installed"
        return Found(Tuning(), f"left out: {versions}; `audobon doctor --tune` measures anew")
    if tuning.machine != machine_digest():
        reason = "made on another machine, or with other processors to use"
        return Found(Tuning(), f"left out: {reason}; `audobon doctor --tune` measures anew")
    return Found(tuning, None)


def save_tuning(folder: Path, tuning: Tuning) -> None:
    """Keep a tuning; raises DiskFull and Denied."""
    make_private_folder(folder)
    write_bytes(folder / FILE, msgspec.json.format(msgspec.json.encode(tuning)))


def forget_tuning(folder: Path) -> bool:
    """Go back to the defaults; return whether there was a tuning."""
    with suppress(FileNotFoundError):
        (folder / FILE).unlink()
        return True
    return False


def threads_to_use(setting: int, tuning: Tuning) -> int:
    """Return the threads for runs of models: as set, else as tuned; 0 for all this process may use."""
    return setting or tuning.threads


def tuned_card(card: Card, tuning: Tuning) -> Card:
    """Return a card whose tiles are of the tuned side, so that placement follows; else the card itself."""
    side = tuning.tiles_px.get(card.name)
    if card.picture is None or not card.picture.tile_exact or side not in card.picture.tiles_px:
        return card
    return msgspec.structs.replace(card, picture=msgspec.structs.replace(card.picture, tile_px=side))


def machine_digest() -> str:
    """Name what measurements depend on: the processor, and how many of them this process may use."""
    identity = (platform.machine(), _processor_name(), usable_threads())
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


def decide(
    subject: str, timings: Sequence[Timing], *, unit: str, is_burning_allowed: bool = True
) -> Decision:
    """Return the choice between ways of which the first is the default.

    Another way is chosen only when its median is more than 5 % better, and by more than rounds of one way
    differ from each other.
    is_burning_allowed  whether a faster way may take more processor time
    """
    default, *others = timings
    medians = {timing.name: statistics.median(timing.seconds or (0.0,)) for timing in timings}
    rounds = min(len(timing.seconds) for timing in timings)

    def decision(
        reason: str, best: Timing = default, *, gain: float = 0.0, is_chosen: bool = False
    ) -> Decision:
        return Decision(
            subject=subject,
            default=default.name,
            chosen=best.name if is_chosen else default.name,
            seconds=medians,
            unit=unit,
            gain=round(gain, 4),
            spread=round(max(_spread(default), _spread(best)), 4),
            rounds=rounds,
            reason=reason,
        )

    if rounds < LEAST_ROUNDS:
        return decision(f"kept: there was no time for {LEAST_ROUNDS} rounds")
    best = min(others, key=lambda timing: medians[timing.name])
    gain = 1 - medians[best.name] / medians[default.name]
    spread = max(_spread(default), _spread(best))
    told = f"{best.name} is {gain:.0%} faster"
    if gain <= 0:
        return decision("kept: nothing else is faster", best, gain=gain)
    if gain <= LEAST_GAIN:
        return decision(f"kept: {told}, which is too little to matter", best, gain=gain)
    if gain <= spread:
        return decision(f"kept: {told}, but rounds differ by {spread:.0%}", best, gain=gain)
    if not is_burning_allowed and _burnt(best) > _burnt(default) * (1 + LEAST_GAIN):
        return decision(f"kept: {told}, but takes more processor time", best, gain=gain)
    return decision(f"changed: {told}; rounds differ by {spread:.0%}", best, gain=gain, is_chosen=True)


def _spread(timing: Timing) -> float:
    if not timing.seconds:
        return 0.0
    return (max(timing.seconds) - min(timing.seconds)) / statistics.median(timing.seconds)


def _burnt(timing: Timing) -> float:
    return statistics.median(timing.processor_seconds)


def _processor_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            return next((line.strip() for line in file if line.startswith(("model name", "CPU part"))), "")
    except OSError:
        return platform.processor()
