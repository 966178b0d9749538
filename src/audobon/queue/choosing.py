"""Which task comes next: a pure choice among the heads of the resource classes."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from audobon.queue.rules import QueueRules
from audobon.queue.tasks import Capacity, Claimant


class Head(NamedTuple):
    """The first ready task of a resource class."""

    class_id: int
    queue: str
    kind: str
    model: str
    device: str
    ram_bytes: int
    vram_bytes: int
    task_id: int
    rank: float
    run_at: float


class Room(NamedTuple):
    """What may be taken now.

    free      memory of the pool that nothing holds; None: not counted
    whole     memory of the pool; None as above
    is_empty  nothing is held of the pool
    starts    tasks each queue may still begin; queues without a limit are absent
    """

    free: Capacity | None
    whole: Capacity | None
    is_empty: bool
    starts: Mapping[str, int]


class Choice(NamedTuple):
    """Tasks of one class to take: at most `limit`, all ranked before (rank_bound, id_bound)."""

    head: Head
    limit: int
    rank_bound: float
    id_bound: int


_NO_BOUND = (float("inf"), 0)


def choose(
    heads: Iterable[Head],
    claimant: Claimant,
    rules: Mapping[str, QueueRules],
    room: Room,
    *,
    now: float,
    limit: int,
    may_exceed: bool,
) -> Choice | None:
    """Return what the claimant gets next; None when nothing may be taken.

    A head counts `warm_bonus_seconds` older when its model is loaded. One that fits the pool but not what is
    free, and is due for `patience_seconds`, keeps out everything that comes after it.
    """
    candidates = sorted(
        (_effective_rank(head, claimant, rules[head.queue]), head.task_id, head)
        for head in heads
        if _is_for(head, claimant) and rules[head.queue].state != "pause"
    )
    for index, (_, _, head) in enumerate(candidates):
        starts = room.starts.get(head.queue)
        if starts is not None and starts < 1:
            continue
        fitting = _fitting(head, room)
        if fitting < 1 and may_exceed and room.is_empty and not _fits(head, room.whole):
            fitting = 1
        if fitting >= 1:
            following = candidates[index + 1][:2] if index + 1 < len(candidates) else _NO_BOUND
            rank_bound, id_bound = following[0] + (head.rank - candidates[index][0]), following[1]
            if (rank_bound, id_bound) <= (head.rank, head.task_id):
                # Rounding must not shut out the head itself.
                rank_bound, id_bound = head.rank, head.task_id + 1
            most = min(limit, fitting, limit if starts is None else starts)
            return Choice(head, most, rank_bound, id_bound)
        has_waited = now - head.run_at >= rules[head.queue].patience_seconds
        if has_waited and _fits(head, room.whole):
            return None
    return None


def _is_for(head: Head, claimant: Claimant) -> bool:
    return (
        (claimant.kinds is None or head.kind in claimant.kinds)
        and (claimant.queues is None or head.queue in claimant.queues)
        and (head.device == "any" or head.device in claimant.devices)
    )


def _effective_rank(head: Head, claimant: Claimant, rules: QueueRules) -> float:
    is_warm = bool(head.model) and head.model in claimant.models
    return head.rank - rules.warm_bonus_seconds if is_warm else head.rank


def _fits(head: Head, whole: Capacity | None) -> bool:
    return whole is None or (head.ram_bytes <= whole.ram_bytes and head.vram_bytes <= whole.vram_bytes)


def _fitting(head: Head, room: Room) -> int:
    """Return how many tasks like a head fit what is free."""
    if room.free is None:
        return 1 << 30
    counts = [1 << 30]
    for needed, free in ((head.ram_bytes, room.free.ram_bytes), (head.vram_bytes, room.free.vram_bytes)):
        if needed > 0:
            counts.append(max(0, free) // needed)
    return min(counts)
