"""The choice of the next task: in order, within what is free, and fair to the big and the cold."""

from collections.abc import Iterable
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from audobon.queue.choosing import Choice, Head, Room, choose
from audobon.queue.rules import QueueRules
from audobon.queue.tasks import Capacity, Claimant, QueueState

NOW = 1000.0
QUEUES = ("one", "two")
MODELS = ("", "a", "b")
STATES: tuple[QueueState, ...] = ("run", "pause", "drain")


class Case(NamedTuple):
    """What is chosen from, and by whom."""

    heads: list[Head]
    claimant: Claimant
    rules: dict[str, QueueRules]
    room: Room
    limit: int
    may_exceed: bool

    def choose(self) -> Choice | None:
        return choose(
            self.heads,
            self.claimant,
            self.rules,
            self.room,
            now=NOW,
            limit=self.limit,
            may_exceed=self.may_exceed,
        )

    def is_for_claimant(self, head: Head) -> bool:
        return (
            self.rules[head.queue].state != "pause"
            and (self.claimant.kinds is None or head.kind in self.claimant.kinds)
            and (self.claimant.queues is None or head.queue in self.claimant.queues)
            and head.device in {"any", *self.claimant.devices}
            and self.room.starts.get(head.queue, 1) >= 1
        )

    def fits(self, head: Head, memory: Capacity | None) -> bool:
        return memory is None or all(
            needed == 0 or needed <= there
            for needed, there in (
                (head.ram_bytes, memory.ram_bytes),
                (head.vram_bytes, memory.vram_bytes),
            )
        )

    def place(self, head: Head) -> tuple[float, int]:
        """Where a head stands in the line."""
        is_warm = head.model in self.claimant.models
        return head.rank - (self.rules[head.queue].warm_bonus_seconds if is_warm else 0.0), head.task_id


@st.composite
def cases(draw: st.DrawFn) -> Case:
    seconds = st.integers(0, 100).map(float)
    small = st.integers(0, 4)
    heads = [
        Head(
            class_id=index,
            queue=draw(st.sampled_from(QUEUES)),
            kind=draw(st.sampled_from(("page", "prune"))),
            model=draw(st.sampled_from(MODELS)),
            device=draw(st.sampled_from(("any", "cpu", "cuda"))),
            ram_bytes=draw(small),
            vram_bytes=draw(small),
            task_id=draw(st.integers(1, 10)) * 100 + index,
            rank=NOW - draw(seconds),
            run_at=NOW - draw(seconds),
        )
        for index in range(draw(st.integers(0, 6)))
    ]
    claimant = Claimant(
        owner="worker",
        kinds=draw(st.none() | st.frozensets(st.sampled_from(("page", "prune")))),
        queues=draw(st.none() | st.frozensets(st.sampled_from(QUEUES))),
        devices=draw(st.frozensets(st.sampled_from(("cpu", "cuda")))),
        models=draw(st.frozensets(st.sampled_from(("a", "b")))),
    )
    rules = {
        name: QueueRules(
            name=name,
            state=draw(st.sampled_from(STATES)),
            warm_bonus_seconds=draw(seconds),
            patience_seconds=draw(seconds),
        )
        for name in QUEUES
    }
    whole = draw(st.none() | st.builds(Capacity, small, small))
    # A pool whose capacity was lowered holds more than it should.
    free = whole and Capacity(whole.ram_bytes - draw(small), whole.vram_bytes - draw(small))
    starts = draw(st.dictionaries(st.sampled_from(QUEUES), st.integers(-1, 3)))
    room = Room(free, whole, free == whole, starts)
    return Case(heads, claimant, rules, room, draw(st.integers(1, 4)), draw(st.booleans()))


@given(cases())
def test_what_is_chosen_together_never_needs_more_than_is_free(case: Case) -> None:
    choice = case.choose()
    if choice is None or case.room.free is None:
        return
    head = choice.head
    if not case.fits(head, case.room.whole):
        assert (case.may_exceed, case.room.is_empty, choice.limit) == (True, True, 1)
        return
    together = head._replace(
        ram_bytes=head.ram_bytes * choice.limit, vram_bytes=head.vram_bytes * choice.limit
    )
    assert case.fits(together, case.room.free)


@given(cases())
def test_what_is_chosen_is_for_the_claimant_and_within_every_limit(case: Case) -> None:
    choice = case.choose()
    if choice is not None:
        assert case.is_for_claimant(choice.head)
        assert 1 <= choice.limit <= min(case.limit, case.room.starts.get(choice.head.queue, case.limit))


@given(cases())
def test_the_first_in_line_that_may_start_is_chosen_unless_one_before_it_waits_for_room(case: Case) -> None:
    expected: Head | None = None
    for head in sorted(filter(case.is_for_claimant, case.heads), key=case.place):
        is_beyond = case.may_exceed and case.room.is_empty and not case.fits(head, case.room.whole)
        if case.fits(head, case.room.free) or is_beyond:
            expected = head
            break
        if NOW - head.run_at >= case.rules[head.queue].patience_seconds and case.fits(head, case.room.whole):
            break
    choice = case.choose()
    assert (choice and choice.head) == expected


@given(cases())
def test_a_batch_ends_where_the_next_in_line_stands(case: Case) -> None:
    choice = case.choose()
    if choice is None:
        return
    bound = choice.rank_bound, choice.id_bound
    assert (choice.head.rank, choice.head.task_id) < bound
    bonus = choice.head.rank - case.place(choice.head)[0]
    behind = [
        place
        for head in case.heads
        if case.is_for_claimant(head) and (place := case.place(head)) > case.place(choice.head)
    ]
    if behind:
        assert (bound[0] - bonus, bound[1]) <= max(min(behind), (case.place(choice.head)[0], bound[1]))


@given(cases())
def test_nothing_is_passed_over_for_a_warm_model_by_more_than_the_bonus(case: Case) -> None:
    choice = case.choose()
    if choice is None:
        return
    for head in case.heads:
        if case.is_for_claimant(head) and case.fits(head, case.room.free):
            assert choice.head.rank <= head.rank + case.rules[choice.head.queue].warm_bonus_seconds


def first_of(heads: Iterable[Head]) -> list[Head]:
    """The first of each class, as the database finds them."""
    found: dict[int, Head] = {}
    for head in sorted(heads, key=lambda head: (head.rank, head.task_id)):
        found.setdefault(head.class_id, head)
    return list(found.values())


@given(
    patience=st.integers(0, 20),
    bonus=st.integers(0, 20),
    lengths=st.lists(st.integers(1, 8), min_size=1, max_size=9),
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=9),
    need=st.integers(4, 8),
)
def test_a_big_cold_task_starts_in_bounded_time_under_endless_small_warm_load(
    patience: int, bonus: int, lengths: list[int], sizes: list[int], need: int
) -> None:
    rules = {"one": QueueRules(name="one", patience_seconds=float(patience), warm_bonus_seconds=float(bonus))}
    claimant = Claimant(owner="worker", models=frozenset({"warm"}))
    big = Head(0, "one", "page", "cold", "any", need, 0, 0, 0.0, 0.0)
    ready = [big]
    running: list[tuple[int, int]] = []
    # Those before it in line, each as long as can be, one after the other.
    for now in range(patience + 8 * (bonus + 1) + 8):
        size = sizes[now % len(sizes)]
        ready.append(Head(size, "one", "page", "warm", "any", size, 0, now + 1, float(now), float(now)))
        running = [(end, ram) for end, ram in running if end > now]
        while True:
            free = 8 - sum(ram for _, ram in running)
            room = Room(Capacity(free), Capacity(8), not running, {})
            choice = choose(first_of(ready), claimant, rules, room, now=float(now), limit=1, may_exceed=False)
            if choice is None:
                break
            if choice.head is big:
                return
            assert now < patience or choice.head.run_at <= bonus
            ready.remove(choice.head)
            running.append((now + lengths[now % len(lengths)], choice.head.ram_bytes))
        assert sum(ram for _, ram in running) <= 8
    raise AssertionError("starved")
