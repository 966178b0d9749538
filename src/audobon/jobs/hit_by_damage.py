"""Tells whose work is hit when blobs are lost."""

from collections.abc import Iterable
from contextlib import closing

from audobon.database.service import Database
from audobon.errors import AudobonError
from audobon.jobs.records import JobRecords
from audobon.keys.service import Keys


def who_needs(database: Database, keys: Keys, lost: Iterable[str]) -> dict[str, list[str]]:
    """Return for each lost blob the unfinished jobs, and files in them, that need it; none: left out.

    A database that cannot be read tells nothing.
    """
    wanted = set(lost)
    try:
        connection = database.look() if wanted else None
        if connection is None:
            return {}
        with closing(connection), database.errors():
            return JobRecords(connection, keys).who_needs(wanted)
    except AudobonError:
        return {}
