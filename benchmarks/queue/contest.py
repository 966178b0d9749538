"""The rounds: every comparison once per round, in an order drawn anew, within a bounded time."""

import random
import time
from collections import defaultdict
from typing import Any, NamedTuple

from brackets import Bracket, bracket
from goals import Comparison
from lineup import LINEUP
from slices import Runner, Slice, SliceFailed

REPEATS = 2
"""How often a bracket is taken again because the machine did not hold still."""

_FIRST_TASKS = {"single": 100, "bulk": 1000, "producers": 160, "backlog": 200, "pickup": 10}
_MOST_TASKS = {"single": 20_000, "bulk": 100_000, "producers": 40_000, "backlog": 200_000}


class Pace(NamedTuple):
    """How long things take.

    rounds            to be run when there is time
    enqueue_seconds   of one slice that enqueues
    backlog_seconds   of one slice that empties a backlog
    pickups           of one slice
    end_at            on the monotonic clock; a round that would not end by then is not begun
    repeats           brackets taken again when the machine did not hold still
    context_rounds    rounds that include comparisons without a goal
    """

    rounds: int
    enqueue_seconds: float
    backlog_seconds: float
    pickups: int
    end_at: float
    repeats: int
    context_rounds: int


class Contest:
    """Runs the rounds and keeps what came of each comparison.

    brackets  those kept, by comparison
    restless  how many were thrown away for good, by comparison
    faults    why slices failed
    rounds    how many were finished
    """

    def __init__(self, runner: Runner, pace: Pace) -> None:
        self._runner = runner
        self._pace = pace
        self._tasks: dict[tuple[str, str, str], int] = {}
        self.brackets: dict[int, list[Bracket]] = defaultdict(list)
        self.restless: dict[int, int] = defaultdict(int)
        self.pickups: dict[str, list[list[float]]] = defaultdict(list)
        self.faults: list[str] = []
        self.slices: list[dict[str, Any]] = []
        self.rounds = 0

    def run(self, comparisons: list[Comparison]) -> None:
        """Run the rounds."""
        longest = 0.0
        for number in range(self._pace.rounds):
            started = time.monotonic()
            if started + longest > self._pace.end_at:
                break
            with_context = number < self._pace.context_rounds
            self._round([(at, each) for at, each in enumerate(comparisons) if each.goal or with_context])
            longest = time.monotonic() - started
            self.rounds += 1
            print(f"round {self.rounds} took {longest:.0f} s", flush=True)

    def _round(self, comparisons: list[tuple[int, Comparison]]) -> None:
        chains: dict[tuple[str, str, str], list[tuple[int, Comparison]]] = defaultdict(list)
        for at, each in comparisons:
            chains[each.ours, each.measure, str(each.settings)].append((at, each))
        for chain in random.sample(list(chains.values()), len(chains)):
            random.shuffle(chain)
            self._chain(chain)

    def _chain(self, chain: list[tuple[int, Comparison]]) -> None:
        """Take the brackets of one measure of ours; the last slice of one is the first of the next."""
        before: Slice | None = None
        for at, each in chain:
            found, before = self._calm_bracket(each, before)
            if found is not None:
                self.brackets[at].append(found)
            elif before is not None:
                self.restless[at] += 1

    def _calm_bracket(self, each: Comparison, before: Slice | None) -> tuple[Bracket | None, Slice | None]:
        """Return a bracket, and its last slice; no bracket when the machine never held still."""
        settings = each.settings if each.peer_settings is None else each.peer_settings
        for _ in range(1 + self._pace.repeats):
            try:
                before = before or self._ours(each)
                peer = self._slice(each.peer, each.measure, settings)
                after = self._ours(each)
            except SliceFailed as error:
                self.faults.append(str(error))
                print(f"FAILED: {error}", flush=True)
                return None, None
            found = bracket(before, peer, after)
            if found.is_calm or not self._pace.repeats:
                if peer.milliseconds:
                    self.pickups[each.ours] += [before.milliseconds, after.milliseconds]
                    self.pickups[each.peer].append(peer.milliseconds)
                return found, after
            before = after
            if time.monotonic() > self._pace.end_at:
                break
        return None, before

    def _ours(self, each: Comparison) -> Slice:
        return self._slice(each.ours, each.measure, each.settings)

    def _slice(self, name: str, measure: str, settings: dict[str, Any]) -> Slice:
        key = (name, measure, str(settings))
        if key not in self._tasks:
            # Warms up, and tells how many tasks fill the time.
            first = {"tasks": _FIRST_TASKS[measure], **settings}
            self._tasks[key] = self._fitting(measure, self._runner.run(LINEUP[name], measure, first).rate)
        tasks = self._tasks[key]
        found = self._runner.run(LINEUP[name], measure, {"tasks": tasks, **settings})
        self._tasks[key] = self._fitting(measure, found.rate)
        kept = {"system": name, "measure": measure, **settings}
        self.slices.append({**kept, **found._asdict(), "milliseconds": []})
        return found

    def _fitting(self, measure: str, rate: float) -> int:
        if measure == "pickup":
            return self._pace.pickups
        seconds = self._pace.backlog_seconds if measure == "backlog" else self._pace.enqueue_seconds
        return max(_FIRST_TASKS[measure], min(_MOST_TASKS[measure], int(rate * seconds)))
