"""Who goes first, who makes room, and that the books balance: with plain inputs."""

import random
from collections.abc import Container

from hypothesis import given, settings
from hypothesis import strategies as st

from audobon.models.accounts import Accounts, Entry, Key, Wish
from audobon.models.admission import Admission
from audobon.models.eviction import HALF_LIFE_USES, Candidate, Frequency, choose

THRASHING = "ABAACABC" * 50


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Served:
    """What became of a trace: its loads, and the longest wait in seconds."""

    def __init__(self, loads: int, longest_seconds: float) -> None:
        self.loads = loads
        self.longest_seconds = longest_seconds


def serve(trace: str, *, clients: int, bound_seconds: float) -> Served:
    """Serve a trace with room for one model: a run takes a second, a load four; clients ask one at a time."""
    clock = Clock()
    admission = Admission(max_wait_seconds=bound_seconds, clock=clock)
    coming = iter(trace)
    loaded: Container[object] = ()
    loads, longest = 0, 0.0
    for _ in range(clients):
        admission.join(next(coming))
    while len(admission):
        turn = admission.in_order(loaded)[0]
        admission.leave(turn)
        longest = max(longest, clock.now - turn.asked_at)
        if turn.key not in loaded:
            loaded = (turn.key,)
            loads += 1
            clock.now += 4
        clock.now += 1
        following = next(coming, None)
        if following is not None:
            admission.join(following)
    return Served(loads, longest)


def test_first_in_first_out_reloads_seven_times_in_eight() -> None:
    # A bound of nothing makes everybody overdue at once.
    assert serve(THRASHING, clients=8, bound_seconds=0).loads == 350


def test_a_thrashing_trace_needs_at_most_two_loads_in_five_and_nobody_waits_beyond_the_bound() -> None:
    served = serve(THRASHING, clients=8, bound_seconds=60)

    assert served.loads <= 0.4 * 350
    assert served.longest_seconds <= 60


def test_everybody_is_served_although_a_loaded_model_is_always_wanted() -> None:
    served = serve("B" + "A" * 500, clients=3, bound_seconds=20)

    assert served.loads <= 3
    assert served.longest_seconds <= 20


def test_who_holds_something_goes_first_then_the_overdue_then_the_loaded_then_the_rest() -> None:
    clock = Clock()
    admission = Admission(max_wait_seconds=10, clock=clock)
    early, late = admission.join("cold"), None
    clock.now = 4
    late = admission.join("cold")
    warm = admission.join("warm")
    holder = admission.join("cold", is_holding=True)

    assert admission.in_order({"warm"}) == [holder, warm, early, late]
    clock.now = 5
    assert admission.in_order({"warm"}) == [holder, early, warm, late]
    admission.leave(early)
    assert admission.in_order(()) == [holder, late, warm]


def test_a_use_counts_half_after_a_half_life() -> None:
    frequency = Frequency()
    frequency.use(1)
    frequency.use(1 + HALF_LIFE_USES)

    assert [frequency.at(1 + times * HALF_LIFE_USES) for times in (1, 2, 3)] == [1.5, 0.75, 0.375]


def candidate(name: str, *, load_seconds: float = 1, frequency: float = 1, size: int = 10) -> Candidate[str]:
    return Candidate(name, load_seconds, frequency, size)


def test_what_is_cheap_to_reload_seldom_used_and_large_goes_first() -> None:
    candidates = [
        candidate("slow to load", load_seconds=9),
        candidate("often used", frequency=9),
        candidate("small", size=1),
        candidate("plain"),
    ]

    order = [one.key for one in choose(candidates, 21) or []]

    assert order == ["plain", "slow to load", "often used"]


def test_what_a_larger_one_makes_needless_is_kept() -> None:
    candidates = [candidate("little", frequency=0.1), candidate("large", size=100)]
    assert [one.key for one in choose(candidates, 50) or []] == ["large"]


def test_when_all_together_hold_too_little_nobody_is_chosen() -> None:
    assert choose([candidate("a"), candidate("b")], 21) is None
    assert choose([], 0) == []


class Weights:
    held_bytes: int | None = None
    load_seconds = 1.0

    def close(self) -> None:
        raise AssertionError("the books close nothing")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "give", "pin", "unpin", "gone"]),
        st.integers(0, 5),
        st.integers(1, 120),
        st.booleans(),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_granting_never_exceeds_the_budget_and_the_charges_add_up(
    steps: list[tuple[str, int, int, bool]],
) -> None:
    accounts: Accounts[Weights] = Accounts(clock=Clock())
    accounts.budget_bytes = 100
    used: list[Entry[Weights]] = []
    leaving = []
    for what, number, size, lean in steps:
        key = Key("abcdef"[number], lean, "")
        entry = accounts.entries.get(key)
        if what == "take" and (entry is None or entry.owner is None):
            granted = accounts.grant(Wish(key, size, size // 2, thread=1))
            if granted is not None:
                granted[0].model = Weights()
                used.append(granted[0])
                leaving.append(granted[1])
        elif what == "give" and used:
            entry = used.pop(number % len(used))
            entry.owner = None
            accounts.weigh(entry, min(size, entry.charge_bytes))
        elif what == "gone" and leaving:
            accounts.gone(leaving.pop())
        elif what == "pin":
            accounts.pin(key.name)
        else:
            accounts.unpin(key.name)
        held = sum(entry.charge_bytes for entry in accounts.entries.values())
        assert accounts.charged_bytes == held + accounts.leaving_bytes
        assert 0 <= accounts.leaving_bytes == sum(eviction.charge_bytes for eviction in leaving)
        assert accounts.charged_bytes <= 100


def test_what_leaves_counts_until_it_is_gone() -> None:
    accounts: Accounts[Weights] = Accounts(clock=Clock())
    accounts.budget_bytes = 100
    first = accounts.grant(Wish(Key("a", True, ""), 90, 90, thread=1))
    assert first is not None
    first[0].owner = None
    second = accounts.grant(Wish(Key("b", True, ""), 30, 30, thread=1))
    assert second is not None

    assert (accounts.charged_bytes, accounts.leaving_bytes) == (90, 60)
    assert accounts.grant(Wish(Key("c", True, ""), 30, 30, thread=1)) is None
    accounts.gone(second[1])
    assert accounts.grant(Wish(Key("c", True, ""), 30, 30, thread=1)) is not None


def test_random_orders_of_a_trace_never_pass_the_bound() -> None:
    for seed in range(20):
        trace = "".join(random.Random(seed).choices("ABCDEF", weights=(32, 16, 8, 4, 2, 1), k=200))
        assert serve(trace, clients=6, bound_seconds=60).longest_seconds <= 60
