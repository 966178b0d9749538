"""Audobon's queue on PostgreSQL.

option batch  tasks a worker claims at once; the last batch is finished and the next claimed in one commit
"""

from place import Place, here
from systems.ours_sqlite import OursAdapter, keys_of, work

from audobon.queue.port import Queue
from audobon.queue.postgres import PostgresQueue


def open_queue(place: Place) -> Queue:
    """Open the queue of a place."""
    return PostgresQueue(place.postgres_url, keys=keys_of(place))


class Adapter(OursAdapter):
    program = "systems.ours_postgres"

    def open(self) -> Queue:
        return open_queue(self.place)


if __name__ == "__main__":
    work(open_queue(here()), here().options["batch"])
