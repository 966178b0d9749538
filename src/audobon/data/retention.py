"""Removes what has been kept for as long as its policy says; never sooner, and nothing that is held."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec

from audobon.data.log_lines import blank_lines_before, count_lines_before
from audobon.data.policies import DAY_SECONDS, DataKind, Policies, Policy
from audobon.errors import Unavailable
from audobon.sqlite import transaction
from audobon.storage.result_cache import ResultCache

# A job at work, by its lock's owner, is never among these: it is noted as running.
_OLD_JOBS = "SELECT id FROM job WHERE state IN ('done', 'failed') AND coalesce(finished_at, created_at) < ?"
_LAST_CHANGE = """
coalesce((SELECT max(coalesce(task.finished_at, task.started_at, task.enqueued_at)) FROM task
          WHERE task.job_id = job.id), job.created_at)
"""
_OLD_ORIGINALS = f"""
SELECT entry.rowid FROM entry JOIN job ON job.id = entry.job_id
WHERE job.state IN ('interrupted', 'partial') AND entry.blob IS NOT NULL AND {_LAST_CHANGE} < ?
"""  # noqa: S608  (no part of it comes from outside)
_OLD_RESULTS = """
SELECT task.id FROM task JOIN job ON job.id = task.job_id
WHERE job.state IN ('interrupted', 'partial') AND task.state = 'done' AND task.result_blob IS NOT NULL
  AND task.finished_at < ?
"""
_OLD_EVENTS = "SELECT id FROM task_event WHERE at < ?"
# The page is done again when its job is gone on with.
_FORGET_RESULT = """
UPDATE task SET state = 'cancelled', result_blob = NULL, result = NULL, stop_reason = 'kept no longer'
WHERE id = ? AND state = 'done'
"""
_AT_ONCE = 500


class Removed(msgspec.Struct, frozen=True):
    """What retention removed, or would remove, of one kind.

    before  UTC seconds: what is older goes; None: no policy, or a hold
    count   jobs, files, pages, events, lines, or entries of the cache
    why_not what kept it from being removed; "": nothing
    """

    kind: DataKind
    count: int
    before: float | None
    why_not: str = ""


class Retention:
    """Applies the policies of a data folder."""

    def __init__(
        self,
        folder: Path,
        connection: sqlite3.Connection,
        cache: ResultCache,
        *,
        sweep: Callable[[], int],
        now: float,
    ) -> None:
        self._folder = folder
        self._connection = connection
        self._cache = cache
        self._policies = Policies(folder)
        self._sweep = sweep
        self._now = now

    def apply(self, *, is_dry: bool) -> list[Removed]:
        """Remove what is older than its policy allows, kind by kind; broken off, the next goes on.

        is_dry  only count it
        """
        removed = [self._apply(policy, is_dry=is_dry) for policy in self._policies.all()]
        if not is_dry and any(each.count for each in removed if each.kind != "logs"):
            self._sweep()
        return removed

    def _apply(self, policy: Policy, *, is_dry: bool) -> Removed:
        if policy.hold:
            return Removed(policy.kind, 0, None, f"on hold: {policy.hold}")
        if policy.days is None:
            return Removed(policy.kind, 0, None)
        # A minimum that was raised by hand in the file still counts.
        before = self._now - max(policy.days, policy.minimum_days) * DAY_SECONDS
        deeds: dict[DataKind, Callable[[float, bool], int]] = {
            "jobs": lambda at, dry: self._rows(_OLD_JOBS, "DELETE FROM job WHERE id = ?", at, dry),
            "originals": lambda at, dry: self._rows(
                _OLD_ORIGINALS, "UPDATE entry SET blob = NULL WHERE rowid = ?", at, dry
            ),
            "results": lambda at, dry: self._rows(_OLD_RESULTS, _FORGET_RESULT, at, dry),
            "events": lambda at, dry: self._rows(_OLD_EVENTS, "DELETE FROM task_event WHERE id = ?", at, dry),
            "logs": self._logs,
            "cache": self._empty_cache,
        }
        try:
            return Removed(policy.kind, deeds[policy.kind](before, is_dry), before)
        except Unavailable as error:
            return Removed(policy.kind, 0, before, error.message)

    def _rows(self, find: str, remove: str, before: float, is_dry: bool) -> int:
        if is_dry:
            return len(self._connection.execute(find, (before,)).fetchall())
        count = 0
        while True:
            # In bunches, so that nobody waits long for the database.
            with transaction(self._connection):
                found = self._connection.execute(f"{find} LIMIT {_AT_ONCE}", (before,)).fetchall()
                for row in found:
                    self._connection.execute(remove, (row[0],))
            count += len(found)
            if len(found) < _AT_ONCE:
                return count

    def _logs(self, before: float, is_dry: bool) -> int:
        return (count_lines_before if is_dry else blank_lines_before)(self._folder, before)

    def _empty_cache(self, before: float, is_dry: bool) -> int:
        figures = self._cache.figures()
        held = figures.pages + figures.tiles
        begun = self._policies.cache_emptied_at()
        if begun is None and held and not is_dry:
            # How old its oldest entry is cannot be told; from now on it can.
            self._policies.note_cache_emptied(self._now)
        if begun is None or begun >= before or not held:
            return 0
        if not is_dry:
            if not self._cache.clear():
                raise Unavailable("the cache is being written to; the next run empties it")
            self._policies.note_cache_emptied(self._now)
        return held
