"""Schedules the upkeep that every data folder needs: once, so that changes to it stay."""

import sqlite3
from collections.abc import Mapping

from audobon.clock import utc_now
from audobon.compute.maintenance_kinds import DEFAULT_SCHEDULES
from audobon.queue.port import Queue
from audobon.queue.schedule import Schedule
from audobon.queue.tasks import Needs


def put_default_schedules(
    connection: sqlite3.Connection, queue: Queue, *, defaults: Mapping[str, str] = DEFAULT_SCHEDULES
) -> list[str]:
    """Add the schedules that were never added here before; return their names.

    One that was removed, changed or paused stays so, and a kind that is scheduled already, under whatever
    name, gets no second schedule.
    """
    rows = connection.execute("SELECT deed FROM once WHERE deed LIKE 'schedule %'")
    known = {str(row[0]) for row in rows}
    new = {kind: cron for kind, cron in defaults.items() if f"schedule {kind}" not in known}
    if not new:
        return []
    added = []
    with queue.transaction():
        present = queue.schedules()
        taken = {each.name for each in present} | {each.needs.kind for each in present}
        for kind, cron in new.items():
            note = (f"schedule {kind}", utc_now())
            if (
                connection.execute("INSERT OR IGNORE INTO once VALUES (?, ?)", note).rowcount
                and kind not in taken
            ):
                queue.put_schedule(
                    Schedule(name=kind, queue="maintenance", needs=Needs(kind=kind), cron=cron)
                )
                added.append(kind)
    return added
