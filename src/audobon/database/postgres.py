"""Opens a PostgreSQL database, bringing its schema up to date, and names what it complains about."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import Int8Dumper

from audobon.database.revisions import SCHEMA_REVISION, must_migrate
from audobon.errors import (
    AudobonError,
    Conflict,
    Corrupt,
    Denied,
    DiskFull,
    InvalidInput,
    Misconfigured,
    NewerFormat,
    NotFound,
    Unavailable,
)

Connection = psycopg.Connection[tuple[object, ...]]

# Chosen once, at random; whoever migrates holds it, and it goes with the connection.
_MIGRATION_LOCK = 0x6175_646F_626F_6E01
_DEFAULTS = {
    "connect_timeout": "10",
    "application_name": "audobon",
    # A server that is gone without a word is noticed within half a minute.
    "tcp_user_timeout": "30000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
}
# Plans are kept as long as a connection, and often made while the tables are still empty: those that read
# whole tables would be kept too. With the cost of such a plan the compiler would always be tried.
_SESSION = b"SET enable_seqscan = off; SET jit = off"


class Address:
    """Where a database is, and how to get in.

    url     as libpq takes it, `postgresql://user:password@host:port/database`
    place   for messages: the database and its host, never a password
    raises  Misconfigured when it cannot be read
    """

    def __init__(self, url: str) -> None:
        known = _parts(url)
        self._password = str(known.get("password") or "")
        self._conninfo = make_conninfo(url, **{k: v for k, v in _DEFAULTS.items() if k not in known})
        host = known.get("host") or known.get("hostaddr") or "this machine"
        port = f":{known['port']}" if known.get("port") else ""
        self.place = f"the PostgreSQL database {known.get('dbname') or 'of the user'} at {host}{port}"

    def __repr__(self) -> str:
        return f"Address({self.place!r})"

    def connect(self) -> Connection:
        """Return a connection on which every statement is a transaction of its own; its schema may be old.

        raises  Unavailable, Denied, Misconfigured
        """
        with self.errors():
            connection: Connection = psycopg.connect(self._conninfo, autocommit=True)
            try:
                connection.execute(_SESSION)
            except BaseException:
                connection.close()
                raise
        # By default the type follows the value, and each type means another prepared statement.
        connection.adapters.register_dumper(int, Int8Dumper)
        return connection

    def for_programs(self, **extra: str) -> tuple[str, dict[str, str]]:
        """Return the address for PostgreSQL's own programs, and its password for their environment."""
        parts = {k: v for k, v in conninfo_to_dict(self._conninfo).items() if k != "password"}
        secrets = {"PGPASSWORD": self._password} if self._password else {}
        return make_conninfo("", **(parts | extra)), secrets

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn the complaints of PostgreSQL in the block into ours, naming the database and what to do."""
        try:
            yield
        except psycopg.Error as error:
            raise self.named(error) from error

    def named(self, error: psycopg.Error) -> AudobonError:
        """Return our error for one of PostgreSQL's."""
        words = error.diag.message_primary or str(error).strip() or type(error).__name__
        words = " ".join(words.split())
        if self._password:
            words = words.replace(self._password, "***")
        return _named(error, self.place, words)


def open_postgres(address: Address) -> Connection:
    """Return a connection to an up-to-date schema; any number of processes may do so at once.

    raises  NewerFormat when a newer Audobon wrote it; Misconfigured, Denied, DiskFull, Unavailable
    """
    connection = address.connect()
    try:
        with address.errors():
            if _must_migrate(address, connection):
                _migrate(address, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def is_lost(error: psycopg.Error) -> bool:
    """Tell whether an error means that the connection is of no use any more."""
    state = error.sqlstate or ""
    return (isinstance(error, psycopg.OperationalError) and not state) or state[:2] == "08" or state in _GONE


def is_undone(error: psycopg.Error) -> bool:
    """Tell whether an error means that the whole transaction was undone only because others were at work."""
    return error.sqlstate in ("40001", "40P01")


def _parts(url: str) -> dict[str, object]:
    # What libpq says of a URL, or takes for its host and port, may be parts of a password.
    try:
        known: dict[str, object] = dict(conninfo_to_dict(url))
    except psycopg.Error:
        known = {"host": "@"}
    ports = str(known.get("port") or "0").split(",")
    if "@" in str(known.get("host", "")) or not all(port.isdecimal() for port in ports if port):
        raise Misconfigured(
            "the address of the PostgreSQL database cannot be read",
            hint="postgresql://user:password@host:port/database, with % codes for special characters",
        )
    return known


_GONE = ("57P01", "57P02", "57P03", "57P05")


def _revision(connection: Connection) -> str | None:
    (is_known,) = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchall()[0]
    rows = connection.execute("SELECT version_num FROM alembic_version").fetchall() if is_known else []
    return str(rows[0][0]) if rows else None


def _floor(connection: Connection) -> str | None:
    (is_known,) = connection.execute("SELECT to_regclass('schema_floor') IS NOT NULL").fetchall()[0]
    rows = connection.execute("SELECT revision FROM schema_floor").fetchall() if is_known else []
    return str(rows[0][0]) if rows else None


def _must_migrate(address: Address, connection: Connection) -> bool:
    revision = _revision(connection)
    floor = None if revision is None or revision <= SCHEMA_REVISION else _floor(connection)
    return must_migrate(revision, floor, place=address.place)


def _migrate(address: Address, connection: Connection) -> None:
    # Dear to import, and needed once in the life of a schema.
    from audobon.database.migrate import is_known, upgrade_postgres

    connection.execute("SELECT pg_advisory_lock(%s)", (_MIGRATION_LOCK,))
    try:
        revision = _revision(connection)
        if revision is not None and not is_known(revision):
            raise NewerFormat(
                f"{address.place} has a schema nobody knows here ({revision})", hint="upgrade Audobon"
            )
        if _must_migrate(address, connection):
            upgrade_postgres(address.connect)
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_MIGRATION_LOCK,))


def _named(error: psycopg.Error, place: str, words: str) -> AudobonError:
    # https://www.postgresql.org/docs/current/errcodes-appendix.html
    state = error.sqlstate or ""
    if isinstance(error, errors.DiskFull):
        return DiskFull(f"no room left for {place}", hint="free some space on its server and try again")
    if state[:2] == "28" or isinstance(error, errors.InsufficientPrivilege):
        return Denied(f"not allowed: {place}: {words}", hint="check the user and the password")
    if isinstance(error, errors.DataCorrupted | errors.IndexCorrupted):
        return Corrupt(f"{place} is damaged: {words}", hint="restore it from a backup")
    if isinstance(error, errors.InvalidCatalogName):
        return Misconfigured(f"{place} does not exist", hint="create it, or correct the address")
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
        return Misconfigured(f"{place} lacks what Audobon needs: {words}", hint="restore it from a backup")
    if isinstance(error, errors.UniqueViolation):
        return Conflict(f"it is there already: {words}")
    if isinstance(error, errors.ForeignKeyViolation):
        return NotFound(f"what it belongs to is not there: {words}")
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return InvalidInput(f"{place} does not take it: {words}")
    if is_lost(error) and not state:
        # Nobody answered, or the server went away in the middle.
        hint = "start the server, or correct the address, and try again"
        return _refused(place, words) or Unavailable(f"{place} does not answer: {words}", hint=hint)
    if is_lost(error) or is_undone(error) or isinstance(error, psycopg.OperationalError):
        return Unavailable(f"{place} could not do it now: {words}", hint="try again later")
    return AudobonError(f"{place}: {words} ({state or type(error).__name__})")


def _refused(place: str, words: str) -> AudobonError | None:
    """Return the error for a connection that the server refused: libpq hands on its words, not its code."""
    if "authentication failed" in words or "no pg_hba.conf entry" in words or "no password supplied" in words:
        return Denied(f"not allowed: {place}: {words}", hint="check the user and the password")
    if "database" in words and "does not exist" in words:
        return Misconfigured(f"{place} does not exist", hint="create it, or correct the address")
    if "role" in words and "does not exist" in words:
        return Denied(f"not allowed: {place}: {words}", hint="check the user and the password")
    return None
