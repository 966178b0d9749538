"""Which results should make room? The rule of the result cache against least recent first, on random traces.

A trace is an artist's days: pages of a few books, the one at hand far more often than older ones; often a
page changed in one panel, sometimes the same page again; and on some traces each day a whole book of others,
which is never asked for again. Counted are the seconds that a cache saves, of those that one without a bound
saves. Pure reckoning: no file, no model.
"""

import random
import statistics
from collections.abc import Iterator
from typing import NamedTuple

BUDGETS = (0.02, 0.05, 0.2)
TRACES = 5
DAYS, VISITS, PAGES, BOOK_PAGES = 20, 40, 400, 40

Key = tuple[object, ...]


class Need(NamedTuple):
    """A result that is asked for: what making it takes, and what keeping it takes."""

    key: Key
    seconds: float
    size_bytes: int


class LeastWorth:
    """GreedyDual-Size with Frequency, as `storage/result_cache.py` reckons."""

    def __init__(self) -> None:
        self._floor = 0.0
        self._uses: dict[Key, int] = {}
        self.rank: dict[Key, float] = {}

    def use(self, need: Need) -> None:
        uses = self._uses[need.key] = self._uses.get(need.key, 0) + 1
        self.rank[need.key] = self._floor + uses * need.seconds / need.size_bytes

    def evict(self) -> Key:
        key = min(self.rank, key=self.rank.__getitem__)
        self._floor = max(self._floor, self.rank.pop(key))
        del self._uses[key]
        return key


class LeastRecent:
    """Least recently used."""

    def __init__(self) -> None:
        self.rank: dict[Key, float] = {}
        self._now = 0

    def use(self, need: Need) -> None:
        self._now += 1
        self.rank.pop(need.key, None)
        self.rank[need.key] = self._now

    def evict(self) -> Key:
        key = next(iter(self.rank))
        del self.rank[key]
        return key


def trace(seed: int, *, with_books: bool) -> Iterator[list[Need]]:
    """Yield visits: the results a page asks for, the whole page first."""
    draw = random.Random(seed)
    version: dict[tuple[int, int], int] = {}
    kind = {page: draw.choice(("double", "double", "fourfold", "letters")) for page in range(PAGES)}
    busy = {page: draw.uniform(0.5, 2.0) for page in range(PAGES)}
    for day in range(DAYS):
        if with_books:
            for page in range(BOOK_PAGES):
                name = ("book", day, page)
                tiles = [Need((name, number), 0.9, 220_000) for number in range(24)]
                yield [Need(name, 24 * 0.9, 18 * 220_000), *tiles]
        for _ in range(VISITS):
            back = min(int(draw.expovariate(1 / 12)), PAGES - 1)
            page = (day * 6 + draw.randrange(6) - back) % PAGES
            if draw.random() < 0.5:
                tile = (page, draw.randrange(24))
                version[tile] = version.get(tile, 0) + 1
            state = tuple(version.get((page, number), 0) for number in range(24))
            if kind[page] == "letters":
                yield [Need((page, state), 2.0, 6000)]
                continue
            seconds, size = (0.35, 70_000) if kind[page] == "double" else (0.9, 220_000)
            size = int(size * busy[page])
            tiles = [Need((page, number, state[number]), seconds, size) for number in range(24)]
            yield [Need((page, state), 24 * seconds, 18 * size), *tiles]


def saved_seconds(visits: list[list[Need]], budget_bytes: float, rule: LeastWorth | LeastRecent) -> float:
    """Return what a cache saves: a whole page when it is there, else the tiles that are."""
    sizes: dict[Key, int] = {}
    saved, used = 0.0, 0
    for whole, *tiles in visits:
        if whole.key in sizes:
            saved += whole.seconds
            rule.use(whole)
            continue
        for need in (*tiles, whole):
            if need.key in sizes:
                saved += need.seconds
                rule.use(need)
                continue
            rule.use(need)
            sizes[need.key] = need.size_bytes
            used += need.size_bytes
            while used > budget_bytes:
                used -= sizes.pop(rule.evict())
    return saved


def compare() -> list[list[str]]:
    """Return a row for each kind of trace and budget, a share of what all results of a trace would take."""
    return [
        _compared(share, with_books=with_books, words=f"{share:.0%} of all results, {words}")
        for with_books, words in ((False, "own pages alone"), (True, "a foreign book a day"))
        for share in BUDGETS
    ]


def _compared(share: float, *, with_books: bool, words: str) -> list[str]:
    worth, recent = [], []
    for seed in range(TRACES):
        visits = list(trace(seed, with_books=with_books))
        total = sum({need.key: need.size_bytes for visit in visits for need in visit}.values())
        best = saved_seconds(visits, total, LeastRecent())
        worth.append(saved_seconds(visits, share * total, LeastWorth()) / best)
        recent.append(saved_seconds(visits, share * total, LeastRecent()) / best)
    ratios = [a / b for a, b in zip(worth, recent, strict=True)]
    return [
        words,
        f"{statistics.median(worth):.0%}",
        f"{statistics.median(recent):.0%}",
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
    ]


if __name__ == "__main__":
    for row in compare():
        print(*row, sep="  ")
