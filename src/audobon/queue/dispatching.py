"""Which tasks are released into Cloud Tasks next, and into which of its queues: a pure choice.

Cloud Tasks keeps no order and knows no priority. So the backlog stays in our tables, and each of its queues,
a *lane*, holds no more than it can begin soon. Tasks are released in the order of rank; what was released may
begin in any order.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from audobon.queue.rules import QueueRules

Band = Literal["high", "normal", "low"]
"""How urgent a task must be to use a lane."""

BANDS: tuple[Band, ...] = ("high", "normal", "low")

# What waiting and priority amount to, counted in ageing steps: above the usual, as usual, anything.
_LEAST_URGENCY: dict[Band, float] = {"high": 1.0, "normal": 0.0, "low": float("-inf")}

WINDOW = 2
"""A lane holds so many times what it runs at once: as much again waits, so that it never runs dry."""


class Lane(msgspec.Struct, frozen=True):
    """A queue of Cloud Tasks: part of what one of our queues may have at work.

    name         its id there
    queue        ours
    concurrency  deliveries it has under way at once
    """

    name: str
    queue: str
    band: Band
    concurrency: int

    @property
    def window(self) -> int:
        """The most that may lie in it or be at work from it."""
        return WINDOW * self.concurrency


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A worker service, and what it can do.

    url    where it answers; also the audience of the tokens it is called with
    kinds  None for all
    """

    url: str
    kinds: frozenset[str] | None = None
    devices: frozenset[str] = frozenset({"cpu"})
    ram_bytes: int = 0
    vram_bytes: int = 0

    def fits(self, needed: "ResourceClass") -> bool:
        """Tell whether it can do tasks of a class."""
        return (
            (self.kinds is None or needed.kind in self.kinds)
            and (needed.device == "any" or needed.device in self.devices)
            and needed.ram_bytes <= self.ram_bytes
            and needed.vram_bytes <= self.vram_bytes
        )


class ResourceClass(NamedTuple):
    """What tasks of a queue need; see `Needs`."""

    class_id: int
    kind: str
    device: str
    ram_bytes: int
    vram_bytes: int


class Candidate(NamedTuple):
    """A ready task that is not released."""

    task_id: int
    token: int
    class_id: int
    rank: float


class Outstanding(NamedTuple):
    """What was released into a lane: how much of it nobody took up yet, and how much is at work."""

    waiting: int
    working: int


class Release(msgspec.Struct, frozen=True):
    """A task as it lies in Cloud Tasks.

    token  of the task when it was released: whoever is given it may take up the task once
    name   its id there, drawn by lot, so that one whose creation is in doubt can be created again
    """

    task_id: int
    token: int
    lane: str
    url: str
    name: str


class QueueDispatcher:
    """Says what is released. It knows no clock, no database and no cloud.

    A band is a reservation: `high` takes only what is urgent, `low` takes anything, but what is most urgent
    first. So what is urgent finds room though there is a backlog, and what waits long enough becomes urgent.
    """

    def __init__(self, lanes: Iterable[Lane], services: Iterable[Service]) -> None:
        self._lanes: dict[str, list[Lane]] = {}
        for lane in sorted(lanes, key=lambda each: (BANDS.index(each.band), each.name)):
            self._lanes.setdefault(lane.queue, []).append(lane)
        self._services = sorted(services, key=lambda each: (each.vram_bytes, each.ram_bytes, each.url))

    @property
    def queues(self) -> list[str]:
        """Our queues that have lanes, by name."""
        return sorted(self._lanes)

    def service_for(self, needed: ResourceClass) -> Service | None:
        """Return the smallest service that can do tasks of a class; None when none can."""
        return next((service for service in self._services if service.fits(needed)), None)

    def room(
        self, rules: QueueRules, outstanding: Mapping[str, Outstanding], *, starts: int | None = None
    ) -> int:
        """Return how many tasks of a queue may be released now.

        starts  tasks that its limits let begin now; None when it has none
        """
        if rules.state == "pause":
            return 0
        lanes = self._lanes.get(rules.name, [])
        room = sum(_room(lane, outstanding) for lane in lanes)
        if starts is None:
            return room
        waiting = sum(outstanding[lane.name].waiting for lane in lanes if lane.name in outstanding)
        return max(0, min(room, starts - waiting))

    def assign(
        self,
        candidates: Sequence[Candidate],
        rules: QueueRules,
        outstanding: Mapping[str, Outstanding],
        *,
        now: float,
    ) -> list[tuple[Candidate, Lane]]:
        """Return which candidates go into which lanes: those that come first, each into the narrowest band.

        candidates  of one queue, in the order of rank; no more than there is room for
        """
        lanes = self._lanes.get(rules.name, [])
        room = {lane.name: _room(lane, outstanding) for lane in lanes}
        assigned = []
        for candidate in candidates:
            urgent = _urgency(candidate.rank, rules, now)
            for lane in lanes:
                if room[lane.name] > 0 and urgent >= _LEAST_URGENCY[lane.band]:
                    room[lane.name] -= 1
                    assigned.append((candidate, lane))
                    break
        return assigned


def lane_name(prefix: str, queue: str, band: Band) -> str:
    """Return the id of a lane in Cloud Tasks."""
    return f"{prefix}-{queue}-{band}"


def parse_lane(prefix: str, name: str, concurrency: int) -> Lane | None:
    """Return the lane that a queue of Cloud Tasks is; None when its name says that it is none of ours."""
    for band in BANDS:
        if name.startswith(f"{prefix}-") and name.endswith(f"-{band}"):
            queue = name.removeprefix(f"{prefix}-").removesuffix(band).rstrip("-")
            return Lane(name, queue, band, concurrency) if queue else None
    return None


def _room(lane: Lane, outstanding: Mapping[str, Outstanding]) -> int:
    held = outstanding.get(lane.name, Outstanding(0, 0))
    return max(0, lane.window - held.waiting - held.working)


def _urgency(rank: float, rules: QueueRules, now: float) -> float:
    """Return what a task's waiting and priority amount to, in ageing steps."""
    return (now - rules.lead_seconds - rank) / rules.ageing_step_seconds
