"""Tasks that come again and again: cron lines with a policy for missed runs."""

import math
from datetime import UTC, datetime
from typing import Literal

import msgspec

from audobon.errors import InvalidInput
from audobon.queue.tasks import Needs

Misfire = Literal["skip", "once", "all"]
"""What happens to runs missed while nothing ran: none of them, one for all, or each of them."""

_MOST_MISSED_RUNS = 1000


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A task to enqueue at every instant a cron line names, in UTC.

    cron     five fields: minute hour day month weekday
    next_at  the next instant it is due
    """

    name: str
    queue: str
    needs: Needs
    cron: str
    payload: str = "{}"
    priority: int = 0
    misfire: Misfire = "once"
    is_paused: bool = False
    next_at: float = 0.0


def next_after(cron: str, instant: float) -> float:
    """Return the first instant after another that a cron line names, UTC seconds.

    raises  InvalidInput when the line is none, or names no instant
    """
    from cronsim import CronSim, CronSimError

    try:
        return float(next(CronSim(cron, datetime.fromtimestamp(instant, UTC))).timestamp())
    except (CronSimError, StopIteration) as error:
        raise InvalidInput(
            f"{cron!r} is not a time table: {error}",
            hint='minute hour day month weekday, such as "0 3 * * *" for 3 o\'clock every night',
        ) from error


def _latest(cron: str, instant: float) -> float:
    """Return the last instant a cron line names that is not after another."""
    from cronsim import CronSim

    # What is gone back from is not among them.
    after = datetime.fromtimestamp(math.floor(instant) + 1, UTC)
    return float(next(CronSim(cron, after, reverse=True)).timestamp())


def due_runs(schedule: Schedule, now: float, *, late_seconds: float = 60.0) -> tuple[list[float], float]:
    """Return the runs to enqueue now, and the next instant after them.

    late_seconds  a run this late is not counted as missed
    """
    if schedule.next_at > now:
        return [], schedule.next_at
    following = next_after(schedule.cron, now)
    if schedule.misfire == "all":
        instants = [schedule.next_at]
        while len(instants) < _MOST_MISSED_RUNS and (at := next_after(schedule.cron, instants[-1])) <= now:
            instants.append(at)
        return instants, following
    latest = max(schedule.next_at, _latest(schedule.cron, now))
    is_missed = now - latest > late_seconds
    return [] if schedule.misfire == "skip" and is_missed else [latest], following
