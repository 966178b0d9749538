"""Where the copies of a PostgreSQL server lie, and the proof that they are its own.

postgres/identity                        the server's own number; the first backup writes it
postgres/base/<id>/{data,manifest,record}  a base backup; without a record it was broken off
postgres/wal/<segment>                   a whole file of the log, 16 MiB
postgres/wal/<segment>.partial/<number>  a file of the log as far as it went; a higher number, further
postgres/wal/<timeline>.history          where a timeline left another
"""

import contextlib

import msgspec

from audobon.database.postgres import Address
from audobon.database.postgres_lsn import SEGMENT_BYTES
from audobon.database.postgres_objects import PostgresObjects
from audobon.errors import BackupNotFound, ForeignRepository, Misconfigured, ObjectExists

IDENTITY = "postgres/identity"
BASE = "postgres/base/"
WAL = "postgres/wal/"


class ServerFacts(msgspec.Struct, frozen=True):
    """What a server says of itself; the instant is UTC by its own clock."""

    system_identifier: int
    timeline: int
    now: float
    next_transaction: int
    user: str


class _Identity(msgspec.Struct, frozen=True):
    system_identifier: int


def ask_server(address: Address) -> ServerFacts:
    """Return what a server says of itself. raises Unavailable, Denied, Misconfigured."""
    connection = address.connect()
    try:
        with address.errors():
            row = connection.execute(
                "SELECT system_identifier::text, timeline_id, extract(epoch FROM clock_timestamp())::float8,"
                " pg_snapshot_xmax(pg_current_snapshot())::text, current_user::text,"
                " (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'),"
                " (SELECT count(*) FROM pg_tablespace)"
                " FROM pg_control_system(), pg_control_checkpoint()"
            ).fetchall()[0]
    finally:
        connection.close()
    identifier, timeline, now, transaction, user, segment_bytes, tablespaces = map(str, row)
    if int(segment_bytes) != SEGMENT_BYTES:
        raise Misconfigured(
            f"the log of {address.place} is cut into {segment_bytes} bytes, not {SEGMENT_BYTES}"
        )
    if int(tablespaces) > 2:
        raise Misconfigured(
            f"{address.place} has tablespaces outside its folder", hint="move their tables to pg_default"
        )
    return ServerFacts(int(identifier), int(timeline), float(now), int(transaction), user)


def claim_place(objects: PostgresObjects, system_identifier: int) -> None:
    """Make a place the one of a server; ForeignRepository when it is another's."""
    if not objects.has(IDENTITY):
        # Another may be quicker, and of another server.
        with contextlib.suppress(ObjectExists):
            objects.write(IDENTITY, msgspec.json.encode(_Identity(system_identifier)))
    known = owner(objects)
    if known != system_identifier:
        raise ForeignRepository(
            f"this place holds the copies of server {known}, not of {system_identifier}",
            hint="choose another folder for this server",
        )


def owner(objects: PostgresObjects) -> int:
    """Return the server whose copies a place holds. raises BackupNotFound, CorruptBackup."""
    if not objects.has(IDENTITY):
        raise BackupNotFound(
            "no PostgreSQL server was ever copied here", hint="audobon database postgres backup"
        )
    return objects.told(IDENTITY, _Identity).system_identifier
