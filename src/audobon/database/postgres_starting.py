"""Starts a restored PostgreSQL server for nobody but us, until it has gone through its log."""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from audobon.database.postgres_programs import Programs
from audobon.database.postgres_recovery import BEGIN
from audobon.errors import CorruptBackup, Unavailable

_PORT = "5432"
_POLL_SECONDS = 0.02
_FATAL = re.compile(r"(FATAL|PANIC):  (?!the database system is)")
_STOP_SECONDS = 60.0


def carry_out(
    folder: Path,
    programs: Programs,
    *,
    user: str,
    max_seconds: float = 3600.0,
    look: Callable[["psycopg.Connection[tuple[object, ...]]"], None] | None = None,
) -> None:
    """Have a server reach its target and end; its folder is then one that any server starts from.

    It listens on a socket of its own alone. When connections are first taken the target is not reached yet:
    the server is waited for until it writes again.
    look    is given a connection to the restored server before it ends
    raises  CorruptBackup when the log does not reach the target, Unavailable
    """
    status = folder.stat()
    owner = (status.st_uid, status.st_gid) if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        sockets = Path(name)
        rules = sockets / "hba.conf"
        rules.write_text("local all all trust\n")
        if owner is not None:
            for path in (sockets, rules):
                os.chown(path, *owner)
        settings = {
            "listen_addresses": "",
            "port": _PORT,
            "unix_socket_directories": str(sockets),
            "hba_file": str(rules),
            "logging_collector": "off",
        }
        arguments = ["-D", str(folder)]
        for setting, value in settings.items():
            arguments += ["-c", f"{setting}={value}"]
        with (sockets / "log").open("w+b") as log:
            process = programs.start("postgres", arguments, stderr=log, owner=owner)
            try:
                _await(process, sockets, user, max_seconds, log.name, look)
            finally:
                _end(process)
    _forget_target(folder)


def _await(
    process: "subprocess.Popen[bytes]",
    sockets: Path,
    user: str,
    max_seconds: float,
    log: str,
    look: Callable[["psycopg.Connection[tuple[object, ...]]"], None] | None,
) -> None:
    until = time.monotonic() + max_seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            words = Path(log).read_text(errors="replace")
            # Whoever asks too early is told so with the same mark.
            fatal = [line for line in words.splitlines() if _FATAL.search(line)]
            what = fatal[0].partition(":  ")[2] if fatal else "the server ended"
            raise CorruptBackup(f"the restored server did not reach its target: {what}")
        try:
            with psycopg.connect(
                host=str(sockets),
                port=_PORT,
                user=user,
                dbname="postgres",
                autocommit=True,
                connect_timeout=10,
            ) as connection:
                if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,):
                    if look is not None:
                        look(connection)
                    return
        except psycopg.OperationalError:
            # It does not listen yet, or has just begun to.
            pass
        time.sleep(_POLL_SECONDS)
    raise Unavailable(f"the restored server was not through its log after {max_seconds:.0f} s")


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait()
    if process.stderr is not None:
        process.stderr.close()


def _forget_target(folder: Path) -> None:
    """Take out again what only the way to the target needed."""
    path = folder / "postgresql.auto.conf"
    before, mark, _ = path.read_text().partition(BEGIN)
    if mark:
        path.write_text(f"{before}synchronous_standby_names = ''\n")
