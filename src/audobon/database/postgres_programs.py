"""Finds and runs the programs that PostgreSQL brings: the copying of a server, its log, its start."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from audobon.errors import Corrupt, Denied, Misconfigured, Unavailable

_VERSION = 17
"""The first that has incremental backups."""

_END_WITH_PARENT = """
import os, sys
from audobon.processes import end_with_parent

end_with_parent()
# It may have ended before this was asked for.
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class Programs:
    """The programs of one installation of PostgreSQL.

    folder  where they lie, as `database.postgres_binaries` says; None: those on the PATH
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def find(self, name: str) -> str:
        """Return the path of a program. raises Misconfigured."""
        found = shutil.which(name, path=None if self._folder is None else str(self._folder))
        if found is None:
            raise Misconfigured(
                f"{name} of PostgreSQL {_VERSION} is not in {self._folder or 'any folder of the PATH'}",
                hint="install PostgreSQL, or set database.postgres_binaries to the folder with its programs",
            )
        return found

    def run(self, name: str, *arguments: str, secrets: dict[str, str] | None = None) -> None:
        """Run a program to its end. raises Unavailable with its last words, Misconfigured."""
        done = subprocess.run(
            [self.find(name), *arguments],
            env=_environment(secrets),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise failure(name, done.stderr)

    @contextmanager
    def reading(
        self, name: str, *arguments: str, secrets: dict[str, str] | None = None
    ) -> Iterator[IO[bytes]]:
        """Yield what a program writes, all of which must be read; raises Unavailable when it fails."""
        process = self.start(name, arguments, secrets=secrets, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield process.stdout
            words = process.stderr.read()
            if process.wait():
                raise failure(name, words)
        except Corrupt as error:
            # What was cut short because the program failed is best told in its own words.
            if not process.stdout.read(1) and process.wait() > 0:
                raise failure(name, process.stderr.read()) from error
            raise
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()
            process.stderr.close()

    def start(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        secrets: dict[str, str] | None = None,
        stdout: int = subprocess.DEVNULL,
        stderr: int | IO[bytes] = subprocess.PIPE,
        owner: tuple[int, int] | None = None,
        ends_with_us: bool = False,
    ) -> "subprocess.Popen[bytes]":
        """Start a program in a session of its own.

        owner         user and group to run as, when this process is root
        ends_with_us  the system kills it when the thread that starts it ends; only where it can (Linux)
        """
        command = [self.find(name), *arguments]
        if ends_with_us:
            command = [sys.executable, "-P", "-c", _END_WITH_PARENT, str(os.getpid()), *command]
        try:
            return subprocess.Popen(
                command,
                env=_environment(secrets),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                user=None if owner is None else owner[0],
                group=None if owner is None else owner[1],
                extra_groups=None if owner is None else [],
                cwd="/",
            )
        except PermissionError as error:
            raise Denied(f"{name} cannot be started by the user who owns the data: {error}") from error


def failure(name: str, words: bytes) -> Unavailable:
    """Return the error of a program that failed."""
    lines = [line for line in words.decode(errors="replace").splitlines() if line.strip()]
    return Unavailable(
        f"{name}: {lines[-1].strip() if lines else 'failed without a word'}", hint="see that the server runs"
    )


def _environment(secrets: dict[str, str] | None) -> dict[str, str] | None:
    # Passwords go by the environment: what stands in a command line, everybody can read. Without one the
    # program may look for it where its user keeps it.
    return None if not secrets else {"PATH": os.defpath, "LC_ALL": "C", **secrets}
