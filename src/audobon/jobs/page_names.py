"""What pages are called: for those who know only a job and a place in its document."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import PurePath

import msgspec

from audobon.database.service import Database
from audobon.jobs.records import JobRecords
from audobon.keys.service import Keys

# Names never change, so they are kept; a watch may go on for weeks.
_MOST_KEPT = 20_000

Place = tuple[str, int]
"""A job, and the place of an entry in its document."""


class PageName(msgspec.Struct, frozen=True):
    """What is done to a page, and where it comes from.

    document  path of the picture, folder or book
    page      its name inside the document
    """

    operation: str
    document: str
    page: str

    def __str__(self) -> str:
        document = PurePath(self.document).name
        # A picture is a document and its page at once.
        return f"{self.operation} {self.page if self.page == document else f'{document}/{self.page}'}"


class PageNames:
    """Looks names up in the records of jobs, each once.

    No connection is held: a database that comes, goes or is exchanged meanwhile does no harm.
    """

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys
        self._known: dict[Place, PageName] = {}

    def find(self, places: Iterable[Place]) -> dict[Place, PageName]:
        """Return the names that are known; a job that was discarded has none."""
        wanted = set(places)
        unknown = sorted(place for place in wanted if place not in self._known)
        if unknown and self._database.path.exists():
            if len(self._known) > _MOST_KEPT:
                self._known = {place: self._known[place] for place in wanted if place in self._known}
            with closing(self._database.open()) as connection, self._database.errors():
                records = JobRecords(connection, self._keys)
                for place in unknown:
                    if (found := records.page_at(*place)) is not None:
                        self._known[place] = PageName(*found)
        return {place: self._known[place] for place in wanted if place in self._known}
