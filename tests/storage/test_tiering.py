"""Lifecycle rules at work: whole packs move and go, what must stay stays, and kills harm nothing."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

import faults
from audobon.config import keyrings_folder
from audobon.errors import AlreadyRunning, InvalidInput, OnHold
from audobon.jobs.lifecycle import run_lifecycle
from audobon.keys.unlocking import open_keys
from audobon.storage.lifecycle_rules import parse_rules
from audobon.storage.service import Storage
from audobon.storage.tiering import Done, KeptBack

DAY = 86_400.0
LARGE = 1 << 20


def nothing_needed() -> tuple[str, ...]:
    return ()


class Desk:
    """A storage whose rules and ages a test sets."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.root = root
        self.options = options
        self.storage = self.opened()

    def opened(self) -> Storage:
        keys = open_keys(self.root / "data", unlock_folder=keyrings_folder())
        tiers = {"nearline": self.root / "other" / "near", "archive": self.root / "third"}
        return Storage(self.root / "data", keys, tiers=tiers, **self.options)  # type: ignore[arg-type]

    def rules(self, *rules: tuple[str, dict[str, Any]]) -> None:
        written = [
            {
                "action": {"type": "Delete"}
                if what == "Delete"
                else {"type": "SetStorageClass", "storageClass": what},
                "condition": condition,
            }
            for what, condition in rules
        ]
        self.storage.tiering.set_rules(parse_rules(json.dumps({"rule": written}).encode()))

    def put(self, data: bytes, *, days: float = 0, kind: Any = "page") -> str:
        key = self.storage.put(data, kind=kind)
        with self.storage.index.changing() as connection:
            instant = time.time() - days * DAY
            connection.execute("UPDATE blob SET created_at = ? WHERE key = ?", (instant, bytes.fromhex(key)))
            connection.execute(
                "UPDATE pack SET created_at = ? WHERE id = (SELECT pack FROM blob WHERE key = ?)",
                (instant, bytes.fromhex(key)),
            )
        return key

    def run(self) -> Done:
        return run_lifecycle(self.storage, nothing_needed)[1]

    def tier(self, key: str) -> str:
        return self.storage.stat(key).tier


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_packs_move_with_age_and_are_read_as_before(desk: Desk) -> None:
    old, older = desk.put(b"o" * LARGE, days=31), desk.put(b"p" * LARGE, days=400)
    young, small = desk.put(b"y" * LARGE, days=29), desk.put(b"small", days=31, kind="result")
    done = desk.run()
    assert [desk.tier(key) for key in (old, older, young, small)] == [
        "nearline",
        "archive",
        "standard",
        "nearline",
    ]
    assert (done.moved_packs, done.deleted_packs, done.skipped_packs) == (3, 0, 0)
    assert [desk.storage.get(key)[:5] for key in (old, older, young, small)] == [
        b"ooooo",
        b"ppppp",
        b"yyyyy",
        b"small",
    ]
    assert [info.tier for info in desk.storage.store.list()].count("standard") == 1
    assert desk.run() == Done()
    assert desk.storage.is_intact(older)


def test_a_pack_is_as_young_as_the_youngest_in_it(desk: Desk) -> None:
    first = desk.put(b"first", days=50)
    second = desk.storage.put(b"second", kind="page")
    assert desk.storage.stat(first).pack == desk.storage.stat(second).pack
    assert desk.run() == Done()


def test_what_collecting_moves_together_stays_as_old_as_it_was(desk: Desk) -> None:
    kept = desk.storage.put(b"kept" * 5000, kind="page")
    lost = desk.storage.put(os.urandom(500_000), kind="page")
    desk.storage.seal_open_packs()
    with desk.storage.index.changing() as connection:
        connection.execute("UPDATE blob SET created_at = created_at - ?", (40 * DAY,))
    before = desk.storage.stat(kept).pack
    desk.storage.remove([lost])
    assert desk.storage.collect().moved_packs == 1
    assert desk.storage.stat(kept).pack != before
    assert desk.run().moved_packs == 1
    assert desk.tier(kept) == "nearline"


def test_a_move_that_nobody_noted_is_noted_by_the_next_run(desk: Desk) -> None:
    key = desk.put(b"m" * LARGE)
    desk.storage.store.set_tier(next(desk.storage.packs()).name, "archive")
    desk.storage.index.set_cursor("lifecycle", next(desk.storage.packs()).name)
    assert desk.tier(key) == "standard"
    assert desk.run() == Done()
    assert desk.tier(key) == "archive"


def test_reads_of_what_is_archived_are_counted(desk: Desk) -> None:
    key = desk.put(b"a" * LARGE, days=400)
    desk.run()
    for _ in range(3):
        desk.storage.get(key)
    desk.storage.close()
    assert (desk.opened().stat(key).tier, desk.opened().stat(key).reads) == ("archive", 3)


def test_small_blobs_go_on_in_another_pack_when_theirs_has_moved(desk: Desk) -> None:
    first = desk.put(b"first", days=50)
    assert desk.run().moved_packs == 1
    second = desk.storage.put(b"second", kind="page")
    assert desk.storage.stat(first).pack != desk.storage.stat(second).pack
    assert (desk.storage.get(first), desk.storage.get(second)) == (b"first", b"second")


def test_deleting_leaves_what_a_hold_a_term_an_age_or_a_job_keeps(tmp_path: Path) -> None:
    desk = Desk(tmp_path, keep_days={"result": 60})
    desk.rules(("Delete", {"age": 90, "matchesPrefix": ["page/", "result/"]}))
    held, kept, needed, gone = (desk.put(letter * LARGE, days=100) for letter in (b"h", b"k", b"n", b"g"))
    over, young = desk.put(b"t" * LARGE, days=100), desk.put(b"y" * LARGE, days=80)
    desk.storage.annotate([held], event_hold=True)
    desk.storage.annotate([kept], kept_until=time.time() + DAY)
    desk.storage.annotate([over], kept_until=time.time() - DAY)
    plan, done = run_lifecycle(desk.storage, lambda: [needed])
    assert {(each.name.split("/")[-1], each.reason) for each in plan.kept_back} == {
        (desk.storage.stat(key).pack.split("/")[-1], reason)
        for key, reason in ((held, "hold"), (kept, "term"), (needed, "needed"))
    }
    assert (done.deleted_packs, done.moved_packs) == (2, 0)
    assert [desk.storage.has(key) for key in (held, kept, needed, gone, over, young)] == [
        True, True, True, False, False, True,
    ]  # fmt: skip
    desk.storage.annotate([held], event_hold=False)
    assert desk.run().deleted_packs == 2
    assert not desk.storage.has(held)


def test_what_came_to_be_held_or_needed_since_the_plan_is_skipped(desk: Desk) -> None:
    desk.rules(("Delete", {"age": 90, "matchesPrefix": ["page/"]}))
    held, needed, gone = (desk.put(letter * LARGE, days=100) for letter in (b"h", b"n", b"g"))
    plan = desk.storage.tiering.plan(desk.storage.tiering.rules())
    desk.storage.annotate([held], temporary_hold=True)
    done = desk.storage.let_go(plan, lambda: [needed])
    assert (done.deleted_packs, done.skipped_packs) == (1, 2)
    assert [desk.storage.has(key) for key in (held, needed, gone)] == [True, True, False]


def test_while_blobs_are_put_on_record_nothing_is_deleted(desk: Desk) -> None:
    desk.rules(("Delete", {"age": 90, "matchesPrefix": ["page/"]}))
    key = desk.put(b"g" * LARGE, days=100)
    with desk.storage.sharing():
        assert desk.run() == Done(skipped_packs=1)
        with pytest.raises(AlreadyRunning):
            desk.storage.let_go(desk.storage.tiering.plan(desk.storage.tiering.rules()), nothing_needed)
    assert desk.storage.has(key)
    assert desk.run().deleted_packs == 1


def test_kinds_are_kept_for_the_days_that_the_settings_say(tmp_path: Path) -> None:
    desk = Desk(tmp_path, keep_days={"page": 30})
    young, old = desk.put(b"young" * LARGE, days=29), desk.put(b"old" * LARGE, days=31)
    other = desk.put(b"other" * LARGE, days=0, kind="result")
    desk.storage.sweep(nothing_needed, broken_before=0)
    assert [desk.storage.has(key) for key in (young, old, other)] == [True, False, False]
    with pytest.raises(OnHold, match=r"must be kept for 30 days \(storage.keep_days.page\)"):
        desk.storage.remove([young])
    desk.rules(("Delete", {"age": 10, "matchesPrefix": ["page/"]}))
    with pytest.raises(InvalidInput, match="deletes page after 10 days, but it must be kept for 30"):
        desk.run()
    plan = desk.storage.tiering.plan(desk.storage.tiering.rules())
    assert plan.kept_back == [KeptBack(plan.kept_back[0].name, plan.kept_back[0].size_bytes, 1, "term")]


def test_holds_and_terms_outlast_the_index(desk: Desk) -> None:
    held, kept = desk.put(b"h" * LARGE), desk.put(b"kept")
    until = time.time() + DAY
    desk.storage.annotate([held], event_hold=True)
    desk.storage.annotate([kept], kept_until=until)
    desk.storage.close()
    for path in (desk.root / "data").glob("storage.db*"):
        path.unlink()
    storage = desk.opened()
    storage.rebuild()
    assert storage.stat(held).event_hold
    assert storage.stat(kept).kept_until == until
    storage.sweep(nothing_needed, broken_before=0)
    assert storage.has(held)
    assert storage.has(kept)
    with pytest.raises(OnHold):
        storage.remove([held])


def test_the_plan_tells_costs_and_changes_nothing(desk: Desk) -> None:
    desk.rules(
        ("ARCHIVE", {"age": 30, "matchesPrefix": ["page/"]}),
        ("Delete", {"age": 40, "matchesPrefix": ["page/"]}),
    )
    moved, gone = desk.put(os.urandom(LARGE), days=31), desk.put(os.urandom(LARGE), days=41)
    plan = desk.storage.tiering.plan(desk.storage.tiering.rules())
    assert [
        (step.rule, step.source, step.tier) for step in sorted(plan.steps, key=lambda step: step.rule)
    ] == [
        (1, "standard", "archive"),
        (2, "standard", None),
    ]
    size = sum(step.size_bytes for step in plan.steps)
    assert plan.move_usd == 0.05 / 1000
    assert plan.early_usd == 0
    assert plan.month_usd_before == pytest.approx(0.02 * size / (1 << 30))
    assert plan.month_usd_after == pytest.approx(0.0012 * size / 2 / (1 << 30), rel=0.01)
    assert [desk.tier(key) for key in (moved, gone)] == ["standard", "standard"]


@pytest.mark.parametrize("fault", ["kill", "kill-after", "torn"])
def test_a_run_killed_at_any_point_loses_nothing_and_the_next_finishes(
    tmp_path: Path, fault: faults.Fault
) -> None:
    points = 0
    while True:
        desk = Desk(tmp_path / str(points))
        desk.rules(
            ("NEARLINE", {"age": 30, "matchesPrefix": ["page/"]}),
            ("Delete", {"age": 90, "matchesPrefix": ["page/"]}),
        )
        moved, small = desk.put(b"m" * LARGE, days=40), desk.put(b"small", days=50, kind="page")
        gone, stays = desk.put(b"g" * LARGE, days=100), desk.put(b"s" * LARGE, days=3)
        held = desk.put(b"h" * LARGE, days=100)
        desk.storage.annotate([held], event_hold=True)
        desk.storage.close()

        def run(desk: Desk = desk) -> None:
            run_lifecycle(desk.opened(), nothing_needed)

        outcome = faults.in_child(run, faults.Plan(fault, points + 1, str(tmp_path / str(points))))
        assert outcome in ("done", "killed")
        storage = desk.opened()
        alive = {key: storage.get(key)[:1] for key in (moved, small, stays, held)}
        assert list(alive.values()) == [b"m", b"s", b"s", b"h"]
        run_lifecycle(storage, nothing_needed)
        assert [storage.stat(key).tier for key in (moved, small, stays, held)] == [
            "nearline",
            "nearline",
            "standard",
            "standard",
        ]
        assert not storage.has(gone)
        # The index tells of every pack where it truly lies.
        storage.collect()
        told = {pack.name: pack.tier for pack in storage.packs(sealed_only=False)}
        lies = {info.name: info.tier for info in storage.store.list()}
        assert told == {name: tier for name, tier in lies.items() if name in told}
        assert [storage.get(key)[:1] for key in alive] == list(alive.values())
        storage.close()
        if outcome == "done":
            break
        points += 3
    assert points > 10


def test_rules_that_are_not_sound_do_nothing(desk: Desk) -> None:
    desk.rules(("Delete", {}))
    key = desk.put(b"g" * LARGE, days=100)
    with pytest.raises(InvalidInput, match="rule 1 has no condition"):
        desk.run()
    assert desk.storage.has(key)


def test_unfinished_writes_go_when_the_rules_say_so(desk: Desk) -> None:
    desk.put(b"page")
    old, new = (desk.storage.store.folder / "page" / f".{name}.1-ab.part" for name in ("old", "new"))
    for path, days in ((old, 8), (new, 6)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - days * DAY,) * 2)
    desk.run()
    assert (old.exists(), new.exists()) == (False, True)
