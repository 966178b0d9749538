"""Replays traces of model use against ways to choose who is evicted, and against the best there is."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from audobon.models.accounts import Accounts, Key, Wish

PAGE_SECONDS = 4.0


class Size(NamedTuple):
    """What a model costs: resident bytes, and seconds to load it."""

    resident_bytes: int
    load_seconds: float


class Outcome(NamedTuple):
    """What a policy did with a trace: loads, seconds they took, and seconds that hits saved."""

    loads: int
    load_seconds: float
    saved_seconds: float


def traces(names: Sequence[str], seed: int) -> dict[str, list[str]]:
    """Return three traces over nine models or more: five that restore, three that read, then others.

    operations  pages of three books in turns: each page is cleaned, doubled and read
    desk        one person trying models, some far more often than others, favourites changing by the hour
    night       long runs of one model per book, with single pages of others in between
    """
    draw = random.Random(seed)
    restore, read, rest = names[:5], names[5:8], names[8:]
    operations: list[str] = []
    for _ in range(60):
        book = draw.choices(range(3), weights=(6, 3, 1))[0]
        operations += [restore[book], restore[3 + book % 2], *read]
    desk: list[str] = []
    for _ in range(5):
        order = draw.sample(list(names), len(names))
        weights = [1 / (1 + rank) ** 1.2 for rank in range(len(order))]
        desk += draw.choices(order, weights=weights, k=80)
    night: list[str] = []
    for book in range(8):
        for _ in range(draw.randrange(20, 60)):
            night.append(restore[book % 5])
            if draw.random() < 0.15:
                night += draw.choice([list(read), [draw.choice([*restore, *rest])]])
    return {"operations": operations, "desk": desk, "night": night}


class _Weights:
    def __init__(self, size: Size) -> None:
        self.held_bytes: int | None = size.resident_bytes
        self.load_seconds = size.load_seconds

    def close(self) -> None:
        """Nothing is held."""


def ours(trace: Sequence[str], sizes: dict[str, Size], budget_bytes: int) -> Outcome:
    """Replay with the books that Audobon keeps."""
    now, loads, spent, saved = 0.0, 0, 0.0, 0.0
    accounts: Accounts[_Weights] = Accounts(clock=lambda: now)
    accounts.budget_bytes = budget_bytes
    for name in trace:
        size = sizes[name]
        granted = accounts.grant(Wish(Key(name, True, ""), size.resident_bytes, size.resident_bytes, 1))
        assert granted is not None
        entry, eviction = granted
        accounts.gone(eviction)
        if entry.model is None:
            entry.model, entry.load_seconds = _Weights(size), size.load_seconds
            loads, spent = loads + 1, spent + size.load_seconds
            now += size.load_seconds
        else:
            saved += size.load_seconds
        now += PAGE_SECONDS
        entry.owner = None
        accounts.weigh(entry, size.resident_bytes)
    return Outcome(loads, spent, saved)


def simple(
    trace: Sequence[str],
    sizes: dict[str, Size],
    budget_bytes: int,
    worst: Callable[[list[str], dict[str, int]], str],
) -> Outcome:
    """Replay, evicting what `worst` names; it is given who is loaded, and when each was used last."""
    loaded: list[str] = []
    used: dict[str, int] = {}
    loads, spent, saved = 0, 0.0, 0.0
    for at, name in enumerate(trace):
        used[name] = at
        if name in loaded:
            saved += sizes[name].load_seconds
            continue
        while sum(sizes[one].resident_bytes for one in [*loaded, name]) > budget_bytes:
            loaded.remove(worst(loaded, used))
        loaded.append(name)
        loads, spent = loads + 1, spent + sizes[name].load_seconds
    return Outcome(loads, spent, saved)


def lru(trace: Sequence[str], sizes: dict[str, Size], budget_bytes: int) -> Outcome:
    """Replay, evicting what was used longest ago."""
    return simple(trace, sizes, budget_bytes, lambda loaded, used: min(loaded, key=lambda one: used[one]))


def largest_first(trace: Sequence[str], sizes: dict[str, Size], budget_bytes: int) -> Outcome:
    """Replay, evicting what holds most."""
    return simple(
        trace, sizes, budget_bytes, lambda loaded, _: max(loaded, key=lambda one: sizes[one].resident_bytes)
    )


def optimum(trace: Sequence[str], sizes: dict[str, Size], budget_bytes: int) -> Outcome:
    """Return the least that could have been spent by somebody who knew the future, over all ways to evict."""
    names = sorted(set(trace))
    bit = {name: 1 << index for index, name in enumerate(names)}
    weight = [
        sum(sizes[name].resident_bytes for name in names if mask & bit[name])
        for mask in range(1 << len(names))
    ]
    # Who is loaded -> (seconds, loads); keeping more never costs more, so only largest sets are followed.
    best: dict[int, tuple[float, int]] = {0: (0.0, 0)}
    for name in trace:
        mine, following = bit[name], dict[int, tuple[float, int]]()
        for mask, (seconds, loads) in best.items():
            if mask & mine:
                ways, cost = [mask], (seconds, loads)
            else:
                ways = _largest(mask, budget_bytes - weight[mine], weight)
                cost = (seconds + sizes[name].load_seconds, loads + 1)
            for kept in ways:
                state = kept | mine
                if state not in following or cost < following[state]:
                    following[state] = cost
        best = following
    seconds, loads = min(best.values())
    return Outcome(loads, seconds, sum(sizes[name].load_seconds for name in trace) - seconds)


def _largest(mask: int, room_bytes: int, weight: list[int]) -> list[int]:
    found: list[int] = []
    part = mask
    while True:
        if weight[part] <= room_bytes and not any(part & other == part for other in found):
            found.append(part)
        if part == 0:
            return found
        part = (part - 1) & mask
