"""Runs the lifecycle rules of storage, with what jobs need left where it is."""

import sqlite3
from collections.abc import Callable, Collection

import msgspec

from audobon.clock import utc_now
from audobon.errors import AlreadyRunning, InvalidInput
from audobon.jobs.records import JobRecords
from audobon.keys.service import Keys
from audobon.storage.lifecycle_engine import DAY_SECONDS, unfinished_days
from audobon.storage.lifecycle_lint import lint
from audobon.storage.lifecycle_rules import Rule
from audobon.storage.service import Storage
from audobon.storage.tiering import Done, LifecyclePlan, Step

Needed = Callable[[], Collection[str]]


def needed_by_jobs(connection: sqlite3.Connection | None, keys: Keys) -> Needed:
    """Return what tells the keys of blobs that unfinished jobs need; nothing without a database."""
    if connection is None:
        return lambda: ()
    return JobRecords(connection, keys).needed_blobs


def demand_sound(rules: list[Rule], storage: Storage) -> None:
    """Refuse rules that would remove what they must not. raises InvalidInput."""
    errors = [each for each in lint(rules, keep_days=storage.tiering.keep_days) if each.grade == "error"]
    if errors:
        raise InvalidInput(
            "; ".join(f"rule {each.rule} {each.words}" for each in errors),
            hint="audobon storage lifecycle lint",
        )


def plan_lifecycle(storage: Storage, needed: Needed) -> LifecyclePlan:
    """Return what the rules in force would do now. raises InvalidInput for rules that are not sound."""
    rules = storage.tiering.rules()
    demand_sound(rules, storage)
    return storage.tiering.plan(rules, needed=needed())


def run_lifecycle(
    storage: Storage, needed: Needed, *, on_step: Callable[[Step], None] | None = None
) -> tuple[LifecyclePlan, Done]:
    """Do what the rules in force ask for; return what was planned and what was done.

    Broken off at any point, the next run goes on. While pages are being taken in, nothing is deleted.
    """
    plan = plan_lifecycle(storage, needed)
    done = storage.tiering.move(plan, on_step=on_step)
    if any(step.tier is None for step in plan.steps):
        try:
            gone = storage.let_go(plan, needed)
        except AlreadyRunning:
            gone = Done(skipped_packs=sum(step.tier is None for step in plan.steps))
        done = msgspec.structs.replace(
            gone,
            moved_packs=done.moved_packs,
            moved_bytes=done.moved_bytes,
            skipped_packs=done.skipped_packs + gone.skipped_packs,
        )
    if (days := unfinished_days(storage.tiering.rules())) is not None:
        storage.store.clear_unfinished(before=utc_now() - days * DAY_SECONDS)
    return plan, done
