"""What of a database lies in a store: generations, each with snapshots and the segments between them."""

import bisect
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from audobon.database.shipped import PREFIX, Info, read_info
from audobon.errors import BackupNotFound, CorruptBackup
from audobon.keys.service import Keys
from audobon.storage.port import ObjectInfo, ObjectStore

_NAME = re.compile(
    rf"{PREFIX}(\d{{12,}}-[0-9a-f]{{8}})/(\d{{12,}})(?:\.(snapshot)|(?:-(\d{{12,}}))?\.segment)"
)


class Position(msgspec.Struct, frozen=True):
    """A point a database can be restored to.

    commit  number of the last commit in it; they count on over all generations of a store
    at      UTC instant; what was committed until then is in it
    """

    generation: str
    commit: int
    at: float


class Generation(msgspec.Struct):
    """An unbroken run of commits.

    snapshots, segments  objects by their first commit, in order
    covered              segments that were put together with others into one that is there too
    """

    name: str
    snapshots: dict[int, ObjectInfo]
    segments: dict[int, ObjectInfo]
    covered: list[ObjectInfo]

    @property
    def first(self) -> int:
        """The number its commits begin with."""
        return int(self.name.partition("-")[0])

    @property
    def size_bytes(self) -> int:
        """What all its objects take."""
        return sum(each.size_bytes for each in self.objects())

    @property
    def last_begun(self) -> int:
        """The first commit of the last object."""
        return max((*self.snapshots, *self.segments), default=self.first)

    def objects(self) -> list[ObjectInfo]:
        """All its objects that a restore may need, in the order of their names."""
        every = (*self.snapshots.values(), *self.segments.values())
        return sorted(every, key=lambda entry: entry.name)


def is_merged(name: str) -> bool:
    """Tell by its name whether a segment was put together from others."""
    return "-" in name.rpartition("/")[2]


def generations(store: ObjectStore) -> list[Generation]:
    """Return the generations of a store, oldest first."""
    found: dict[str, Generation] = {}
    segments: dict[str, list[tuple[int, int, ObjectInfo]]] = {}
    for entry in store.list(PREFIX):
        if (match := _NAME.fullmatch(entry.name)) is None:
            continue
        generation = found.setdefault(match[1], Generation(match[1], {}, {}, []))
        first = int(match[2])
        if match[3]:
            generation.snapshots[first] = entry
        else:
            segments.setdefault(match[1], []).append((first, int(match[4] or match[2]), entry))
    for name, entries in segments.items():
        _lay_out(found[name], entries)
    # Two that began with the same commit: one went on, and that is the later one.
    return sorted(found.values(), key=lambda each: (each.first, each.last_begun, each.name))


def _lay_out(generation: Generation, entries: list[tuple[int, int, ObjectInfo]]) -> None:
    """Note the segments that lead from commit to commit, the longest first, and those they make needless."""
    end = 0
    for first, last, entry in sorted(entries, key=lambda each: (each[0], -each[1], each[2].name)):
        if first <= end:
            generation.covered.append(entry)
        else:
            generation.segments[first] = entry
            end = max(end, last)


def latest_info(store: ObjectStore, keys: Keys, generation: Generation) -> tuple[Info, str]:
    """Return what is told of the last commit of a generation, and where. raises CorruptBackup."""
    found = []
    for of_kind in (generation.segments, generation.snapshots):
        if of_kind:
            name = of_kind[max(of_kind)].name
            found.append((read_info(store, keys, name)[0], name))
    return max(found, key=lambda each: (each[0].last, each[0].kind == "segment"))


def newest_info(store: ObjectStore, keys: Keys, generation: Generation) -> Info:
    """Return what is told of the last commit of a generation. raises CorruptBackup."""
    return latest_info(store, keys, generation)[0]


def latest_position(store: ObjectStore, keys: Keys) -> Position | None:
    """Return the last point there is; None when nothing that could be restored was shipped.

    raises  CorruptBackup
    """
    for generation in reversed(generations(store)):
        if generation.snapshots:
            info = newest_info(store, keys, generation)
            return Position(generation.name, info.last, info.at)
    return None


class Point(msgspec.Struct, frozen=True):
    """A stretch of time and commits that can be restored to, each commit of it."""

    generation: str
    first: int
    last: int
    begins_at: float
    ends_at: float
    size_bytes: int
    why: str


def points(store: ObjectStore, keys: Keys) -> Iterator[Point]:
    """Yield what can be restored to, newest first. raises CorruptBackup."""
    for generation in reversed(generations(store)):
        if not generation.snapshots:
            continue
        oldest = read_info(store, keys, generation.snapshots[min(generation.snapshots)].name)[0]
        newest = newest_info(store, keys, generation)
        yield Point(
            generation.name,
            oldest.last,
            newest.last,
            oldest.at,
            newest.at,
            generation.size_bytes,
            oldest.why,
        )


class Chosen(msgspec.Struct, frozen=True):
    """What has to be read for a restore: a snapshot, the segments after it, and where to stop."""

    snapshot: str
    segments: list[str]
    commit: int | None


def choose(store: ObjectStore, keys: Keys, to: datetime | int | Position | None) -> Chosen:
    """Return what leads to an instant, a commit, or the last commit there is.

    to      a number alone means the newest history that has it: after a restore of an older state two may;
            a position names its own
    raises  BackupNotFound when nothing reaches back so far, or not yet so far; CorruptBackup
    """
    usable = [generation for generation in generations(store) if generation.snapshots]
    if not usable:
        raise BackupNotFound("no copy of the database was shipped here")
    if to is None:
        return _from_newest(usable[-1], None)
    if isinstance(to, Position):
        named = [generation for generation in usable if generation.name == to.generation]
        if not named:
            raise BackupNotFound(f"generation {to.generation} of the shipped database is not kept")
        return _choose_commit(store, keys, named, to.commit)
    if isinstance(to, int):
        return _choose_commit(store, keys, usable, to)
    return _choose_instant(store, keys, usable, to.timestamp())


def _choose_commit(store: ObjectStore, keys: Keys, usable: list[Generation], commit: int) -> Chosen:
    for generation in reversed(usable):
        if min(generation.snapshots) <= commit:
            # What its newest object follows is there; only beyond that has it to be asked.
            last = max((*generation.snapshots, *generation.segments))
            if commit > last and commit > (last := newest_info(store, keys, generation).last):
                raise BackupNotFound(
                    f"there is no commit {commit}; the last before it is {last}",
                    hint="audobon database points",
                )
            return _from_newest(generation, commit)
    raise BackupNotFound(
        f"commit {commit} is not kept; the oldest is {min(usable[0].snapshots)}",
        hint="audobon database points",
    )


def _choose_instant(store: ObjectStore, keys: Keys, usable: list[Generation], instant: float) -> Chosen:
    found: list[tuple[float, Chosen]] = []
    for generation in usable:
        # Instants never go back within a generation, whatever the clock did.
        names = [entry.name for _, entry in sorted(generation.snapshots.items())]
        before = bisect.bisect_right(names, instant, key=lambda name: read_info(store, keys, name)[0].at)
        if not before:
            continue
        snapshot = sorted(generation.snapshots)[before - 1]
        later = [entry.name for first, entry in sorted(generation.segments.items()) if first > snapshot]
        count = bisect.bisect_right(later, instant, key=lambda name: read_info(store, keys, name)[0].at)
        chosen, commit = later[:count], None
        if count < len(later) and is_merged(later[count]):
            # The next was put together from several, of which the first may be early enough.
            info = read_info(store, keys, later[count])[0]
            early = [commit for commit, at in info.ships if at <= instant]
            if early:
                chosen, commit = later[: count + 1], early[-1]
        choice = Chosen(generation.snapshots[snapshot].name, chosen, commit)
        found.append((read_info(store, keys, choice.snapshot)[0].at, choice))
    if found:
        # By time, not by number: what was given up for an older state may have counted further.
        return max(reversed(found), key=lambda each: each[0])[1]
    oldest = read_info(store, keys, usable[0].snapshots[min(usable[0].snapshots)].name)[0]
    raise BackupNotFound(
        f"nothing is kept of so early; the oldest is of {in_words(oldest.at)}", hint="audobon database points"
    )


def _from_newest(generation: Generation, commit: int | None) -> Chosen:
    firsts = [first for first in generation.snapshots if commit is None or first <= commit]
    snapshot = max(firsts)
    segments = [
        entry.name
        for first, entry in sorted(generation.segments.items())
        if first > snapshot and (commit is None or first <= commit)
    ]
    return Chosen(generation.snapshots[snapshot].name, segments, commit)


def check_follows(info: Info, before: Info) -> None:
    """Raise CorruptBackup unless a segment follows what was read before it."""
    expected = before.previous if before.kind == "snapshot" else before.id
    if (
        info.first != before.last + 1
        or info.generation != before.generation
        or info.previous != expected
        or info.page_bytes != before.page_bytes
    ):
        raise CorruptBackup(
            f"{info.name} of the shipped database does not follow"
            f" commit {before.last}: what lay between is missing"
        )


def in_words(at: float) -> str:
    """Return an instant as UTC text, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
