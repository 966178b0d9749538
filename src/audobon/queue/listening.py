"""Hears across machines that a task may be claimable, over a PostgreSQL connection of its own."""

import select

import psycopg

from audobon.database.postgres import Address, Connection

CHANNEL = "audobon_queue"


class Ear:
    """Listens from the first wait on.

    A call is never lost for one that has begun to wait: the connection keeps it.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Connection | None = None

    def wait(self, timeout_seconds: float) -> None:
        """Return when somebody called since the last wait began, or after the time-out.

        raises  Unavailable when the server does not answer
        """
        if self._connection is None:
            self._listen()
            # What was called before is not known: look once at once.
            return
        try:
            self._hear(self._connection, timeout_seconds)
        except psycopg.OperationalError:
            # It may have been called meanwhile; the next look tells.
            self.close()
            self._listen()

    def close(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _listen(self) -> None:
        connection = self._address.connect()
        with self._address.errors():
            connection.execute(f"LISTEN {CHANNEL}".encode())
        self._connection = connection

    def _hear(self, connection: Connection, timeout_seconds: float) -> None:
        select.select([connection.fileno()], [], [], max(0.0, timeout_seconds))
        connection.pgconn.consume_input()
        while connection.pgconn.notifies() is not None:
            pass
