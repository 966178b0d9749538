"""Does what lifecycle rules ask for: moves and removes whole packs; a kill at any point does no harm."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from audobon.atomic import disk_errors
from audobon.clock import utc_now
from audobon.errors import ObjectNotFound, OnHold
from audobon.storage.annotating import demand_unheld
from audobon.storage.classes import CLASS_OF_TIER, TIER_OF_CLASS, price_list
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.facts import BlobInfo
from audobon.storage.index import Index
from audobon.storage.lifecycle_engine import DAY_SECONDS, Facts, decide, for_tiers
from audobon.storage.lifecycle_rules import Rule, default_rules, read_rules, write_rules
from audobon.storage.pack_care import PackCare
from audobon.storage.port import Tier

Reason = Literal["hold", "term", "needed"]
"""Why a pack that rules would delete stays: a hold, a time it must be kept, or a job that needs it."""

_CURSOR = "lifecycle"

# A pack is as old as its youngest blob: one that came yesterday into a pack of last year is young, and what
# collecting moved together yesterday is as old as it was.
_PACKS = """
SELECT pack.id, pack.name, pack.kind, pack.tier, pack.size_bytes, pack.noncurrent_at,
       coalesce(max(blob.created_at), pack.created_at) AS newest_at,
       max(blob.event_hold + blob.temporary_hold) AS holds, max(blob.kept_until) AS kept_until,
       CASE WHEN count(blob.custom_time) = count(*) THEN max(blob.custom_time) END AS custom_time
FROM pack LEFT JOIN blob ON blob.pack = pack.id AND blob.dead_at IS NULL
GROUP BY pack.id ORDER BY pack.name
"""

# What came into it since the plan was made is younger than all that the rule was asked about.
_MUST_STAY = """
SELECT 1 FROM blob WHERE pack = ? AND dead_at IS NULL
AND (event_hold > 0 OR temporary_hold > 0 OR kept_until > ? OR created_at > ?) LIMIT 1
"""

_LET_GO = "UPDATE blob SET dead_at = ? WHERE pack = ? AND dead_at IS NULL"


class Step(msgspec.Struct, frozen=True):
    """What is to be done to one pack.

    row        its id in the index
    newest_at  when its youngest blob was stored
    rule       number of the rule that asks for it
    tier       where it moves; None: it is deleted
    """

    row: int
    name: str
    size_bytes: int
    newest_at: float
    rule: int
    source: Tier
    tier: Tier | None


class KeptBack(msgspec.Struct, frozen=True):
    """A pack that a rule would delete, and why it stays."""

    name: str
    size_bytes: int
    rule: int
    reason: Reason


class LifecyclePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What rules would do now, and what it would cost in the cloud.

    move_usd              fees for moving
    early_usd             due for what is deleted before the minimum of its class
    month_usd_before, _after   of keeping all packs
    """

    steps: list[Step]
    kept_back: list[KeptBack]
    packs: int
    move_usd: float
    early_usd: float
    month_usd_before: float
    month_usd_after: float


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was done."""

    moved_packs: int = 0
    moved_bytes: int = 0
    deleted_packs: int = 0
    deleted_bytes: int = 0
    skipped_packs: int = 0


class Tiering:
    """Applies rules to the packs of a data folder."""

    def __init__(
        self,
        folder: Path,
        index: Index,
        store: FolderObjectStore,
        care: PackCare,
        *,
        keep_days: Mapping[str, float],
    ) -> None:
        self._path = folder / "lifecycle.json"
        self._index = index
        self._store = store
        self._care = care
        self.keep_days = keep_days

    @property
    def has_own_rules(self) -> bool:
        """Whether other rules than those that Audobon comes with are in force."""
        return self._path.exists()

    def rules(self) -> list[Rule]:
        """Return the rules in force. raises InvalidInput when their file was spoilt."""
        return read_rules(self._path) if self.has_own_rules else default_rules()

    def set_rules(self, rules: list[Rule] | None) -> None:
        """Put rules in force; None: those that Audobon comes with."""
        if rules is not None:
            write_rules(self._path, rules)
            return
        with disk_errors(self._path):
            self._path.unlink(missing_ok=True)

    def facts(self) -> list[Facts]:
        """Return what rules may ask of each pack."""
        return [_facts(row) for row in self._index.rows(_PACKS)]

    def plan(
        self,
        rules: Sequence[Rule],
        *,
        needed: Collection[str] = (),
        now: float | None = None,
    ) -> LifecyclePlan:
        """Return what the rules would do; nothing is changed.

        needed  keys of blobs that jobs need still
        """
        instant = utc_now() if now is None else now
        rules, prices = for_tiers(rules), price_list()
        needed_rows = self._rows_of(needed)
        steps: list[Step] = []
        kept: list[KeptBack] = []
        before = after = early = 0.0
        rows = self._index.rows(_PACKS)
        for row in rows:
            facts = _facts(row)
            month = prices.month_usd(facts.storage_class, facts.size_bytes)
            before, after = before + month, after + month
            decision = decide(rules, facts, instant)
            if decision is None or (decision.storage_class is None and facts.noncurrent_at is not None):
                # What has no living blob goes with the next collection, when its time is over.
                continue
            target = None if decision.storage_class is None else TIER_OF_CLASS[decision.storage_class]
            if decision.storage_class is None:
                reason = _kept_because(row, instant, self.keep_days.get(row["kind"], 0.0))
                if reason is None and row["id"] in needed_rows:
                    reason = "needed"
                if reason is not None:
                    kept.append(KeptBack(facts.name, facts.size_bytes, decision.rule, reason))
                    continue
                after -= month
                early += prices.early_usd(
                    facts.storage_class, facts.size_bytes, age_days=facts.age_days(instant)
                )
            else:
                after += prices.month_usd(decision.storage_class, facts.size_bytes) - month
            rule, size = decision.rule, facts.size_bytes
            steps.append(Step(row["id"], facts.name, size, facts.created_at, rule, row["tier"], target))
        moves = [CLASS_OF_TIER[step.tier] for step in steps if step.tier is not None]
        return LifecyclePlan(
            steps=steps,
            kept_back=kept,
            packs=len(rows),
            move_usd=sum(prices.move_usd(target, 1) for target in moves),
            early_usd=early,
            month_usd_before=before,
            month_usd_after=max(after, 0.0),
        )

    def move(self, plan: LifecyclePlan, *, on_step: Callable[[Step], None] | None = None) -> Done:
        """Move what a plan would move; again after a kill, it goes on where it was."""
        self.settle()
        moved = size = skipped = 0
        for step in plan.steps:
            if step.tier is None:
                continue
            if self._move(step.row, step.name, step.tier):
                moved, size = moved + 1, size + step.size_bytes
            else:
                skipped += 1
            if on_step is not None:
                on_step(step)
        return Done(moved_packs=moved, moved_bytes=size, skipped_packs=skipped)

    def _move(self, row: int, name: str, tier: Tier) -> bool:
        # What is old enough to be moved is written to no more, and must never be again.
        if self._index.rows("SELECT 1 FROM pack WHERE id = ? AND digest IS NULL", row):
            self._care.seal(row)
        if not self._index.rows("SELECT 1 FROM pack WHERE id = ? AND state = 'sealed'", row):
            return False
        # Told before it begins: whoever comes after a kill sets the index right.
        self._index.set_cursor(_CURSOR, name)
        try:
            self._store.set_tier(name, tier)
        except ObjectNotFound:
            # Removed meanwhile, or missing; scrubbing tells of the latter.
            return False
        finally:
            self.settle()
        return True

    def settle(self) -> None:
        """Note where the pack lies whose move was the last to begin."""
        name = self._index.cursor(_CURSOR)
        if name is None:
            return
        try:
            tier = self._store.stat(name).tier
        except ObjectNotFound:
            tier = None
        with self._index.changing(is_hasty=True) as connection:
            if tier is not None:
                connection.execute(
                    "UPDATE pack SET tier = ?, tier_since = ? WHERE name = ? AND tier != ?",
                    (tier, utc_now(), name, tier),
                )
            connection.execute("DELETE FROM cursor WHERE name = ? AND value = ?", (_CURSOR, name))

    def let_go(self, plan: LifecyclePlan, needed: Collection[str]) -> Done:
        """Mark as dead what a plan deletes, but for what is held or needed by now; see `Storage.let_go`."""
        now, count, size, skipped = utc_now(), 0, 0, 0
        needed_rows = self._rows_of(needed)
        for step in plan.steps:
            if step.tier is not None:
                continue
            with self._index.changing() as connection:
                must_stay = connection.execute(_MUST_STAY, (step.row, now, step.newest_at)).fetchone()
                if must_stay is None and step.row not in needed_rows:
                    connection.execute(_LET_GO, (now, step.row))
                    count, size = count + 1, size + step.size_bytes
                else:
                    skipped += 1
        return Done(deleted_packs=count, deleted_bytes=size, skipped_packs=skipped)

    def _rows_of(self, keys: Collection[str]) -> set[int]:
        found = (self._index.find(bytes.fromhex(key)) for key in keys)
        return {each.pack_row for each in found if each is not None}


def demand_free(info: BlobInfo, now: float, *, keep_days: float) -> None:
    """Refuse to remove a blob that a hold, a term or its age keeps. raises OnHold."""
    is_held = info.event_hold or info.temporary_hold
    demand_unheld(info.key, is_held=is_held, kept_until=info.kept_until, now=now)
    hint = f"audobon storage stat {info.key[:12]}"
    if now - info.created_at < keep_days * DAY_SECONDS:
        days = f"{keep_days:g} days (storage.keep_days.{info.kind})"
        raise OnHold(f"blob {info.key[:12]}… must be kept for {days}", hint=hint)


def tier_bytes(facts: Sequence[Facts]) -> dict[Tier, int]:
    """Return how many bytes of packs lie in each tier."""
    sizes: dict[Tier, int] = dict.fromkeys(("standard", "nearline", "archive"), 0)
    for each in facts:
        sizes[TIER_OF_CLASS[each.storage_class]] += each.size_bytes
    return sizes


def _facts(row: Any) -> Facts:
    return Facts(
        name=row["name"],
        size_bytes=row["size_bytes"],
        storage_class=CLASS_OF_TIER[row["tier"]],
        created_at=row["newest_at"],
        custom_time=row["custom_time"],
        noncurrent_at=row["noncurrent_at"],
    )


def _kept_because(row: Any, now: float, keep_days: float) -> Reason | None:
    if row["holds"]:
        return "hold"
    kept_until = row["newest_at"] + keep_days * DAY_SECONDS if keep_days else 0.0
    kept_until = max(kept_until, row["kept_until"] or 0.0)
    return "term" if kept_until > now else None
