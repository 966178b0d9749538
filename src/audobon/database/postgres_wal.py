"""The log of a PostgreSQL server, taken as it is written, and kept."""

import contextlib
import hashlib
import signal
import subprocess
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from audobon.atomic import disk_errors, sync_folder
from audobon.database.postgres import Address
from audobon.database.postgres_lsn import SEGMENT_BYTES, Segment, prove_segment, segment_of
from audobon.database.postgres_objects import PostgresObjects
from audobon.database.postgres_places import WAL, ask_server, claim_place
from audobon.database.postgres_programs import Programs
from audobon.errors import CorruptBackup, ObjectExists, Unavailable

RECEIVER = "audobon_receiver"
_STOP_SECONDS = 10.0
_MOST_LINES = 100
# It says: write-ahead log file "000000010000000000000003.partial" has 1048576 bytes, should be 0 or 16777216
_CUT_SHORT = " bytes, should be 0 or "
_OWN_WORDS = "pg_receivewal: "
_PARTIAL = ".partial"
_HISTORY = ".history"


class WalReceiver:
    """`pg_receivewal`, taking the log of a server into a folder, each commit before it is acknowledged.

    The folder must not lie on the server's disk: it is what remains when that one is lost. What is in it is
    as clear as in the server's own folder; `WalArchive` seals what is whole.
    name    the server knows it by; also of its slot, by which the server keeps the log for it
    """

    def __init__(self, address: Address, folder: Path, programs: Programs, *, name: str = RECEIVER) -> None:
        self._address = address
        self._folder = folder
        self._programs = programs
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._listening: threading.Thread | None = None
        # Of an outage it speaks every five seconds; the newest tells what is the matter.
        self._heard: deque[str] = deque(maxlen=_MOST_LINES)

    def __enter__(self) -> "WalReceiver":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Return the process; 0 while there is none."""
        return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        """Begin; returns at once. Lost connections are taken up again. raises Unavailable, Misconfigured."""
        with disk_errors(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        slot, passwords = self._slot()
        self._programs.run("pg_receivewal", *slot, "--create-slot", "--if-not-exists", secrets=passwords)
        self._launch()

    def _slot(self) -> tuple[list[str], dict[str, str]]:
        conninfo, passwords = self._address.for_programs(application_name=self._name)
        return ["-d", conninfo, "-w", "-S", self._name], passwords

    def _launch(self) -> None:
        slot, passwords = self._slot()
        self._remove_cut_short()
        self._process = self._programs.start(
            "pg_receivewal",
            [*slot, "-D", str(self._folder), "--synchronous", "--status-interval=1"],
            secrets=passwords,
            # One that outlived us would hold the slot against the next.
            ends_with_us=True,
        )
        assert self._process.stderr is not None
        self._listening = threading.Thread(
            target=self._listen, args=(self._process.stderr,), name="listening to pg_receivewal", daemon=True
        )
        self._listening.start()

    def _listen(self, said: IO[bytes]) -> None:
        with said:
            for line in said:
                if words := line.decode(errors="replace").strip().removeprefix(_OWN_WORDS):
                    self._heard.append(words)

    def attend(self) -> list[str]:
        """Return what it said since the last call, each once: why it receives nothing, and tries again.

        Where a full disk cut short a file that it was making, it is started anew: it would not go on itself.
        """
        lines = []
        while self._heard:
            lines.append(self._heard.popleft())
        if any(_CUT_SHORT in line for line in lines):
            self.stop()
            self._launch()
        return list(dict.fromkeys(lines))

    def _remove_cut_short(self) -> None:
        """Remove a file that is not as long as it is made at first; nothing was received into it yet."""
        with disk_errors(self._folder):
            for path in self._folder.glob(f"*{_PARTIAL}"):
                is_made = path.stat().st_size in (0, SEGMENT_BYTES)
                if segment_of(path.stem) is not None and not is_made and not path.read_bytes().strip(b"\0"):
                    path.unlink()

    def stop(self) -> None:
        """End it in order; what was received stays."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._listening is not None:
            self._listening.join()

    def demand_alive(self) -> None:
        """Raise Unavailable with its last words when it ended by itself."""
        if self._process is not None and (status := self._process.poll()) is not None:
            words = "; ".join(self._heard) or f"it ended with {status}"
            raise Unavailable(f"pg_receivewal: {words}", hint="see that the server runs")

    def is_synchronous(self) -> bool:
        """Tell whether the server waits for it at every commit. raises Unavailable."""
        connection = self._address.connect()
        try:
            with self._address.errors():
                rows = connection.execute(
                    "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND sync_state = 'sync'"
                    " AND state = 'streaming'",
                    (self._name,),
                ).fetchall()
        finally:
            connection.close()
        return bool(rows)

    def require(self) -> None:
        """Have the server acknowledge no commit before this receiver has it on its disk."""
        self._set_standbys(self._name)

    def release(self) -> None:
        """Have the server wait for nobody: for when no receiver can run, and work must go on."""
        self._set_standbys("")

    def _set_standbys(self, names: str) -> None:
        connection = self._address.connect()
        try:
            with self._address.errors():
                connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'".encode())
                connection.execute("SELECT pg_reload_conf()")
        finally:
            connection.close()


class Shipped(msgspec.Struct, frozen=True):
    """What was sealed into the store, by name."""

    names: list[str]
    stored_bytes: int


class WalArchive:
    """The log of one server in a store, sealed file by file.

    folder  where a receiver puts it
    """

    def __init__(self, objects: PostgresObjects, folder: Path) -> None:
        self._objects = objects
        self._folder = folder
        self._last_partial = ""
        self._proven: set[str] = set()

    def claim(self, address: Address) -> int:
        """Make the place that of a server, and return which. raises ForeignRepository."""
        system_identifier = ask_server(address).system_identifier
        claim_place(self._objects, system_identifier)
        return system_identifier

    def ship(self, *, system_identifier: int, partial: bool = False) -> Shipped:
        """Seal what the receiver finished, prove that it can be read back, and remove it from its folder.

        The newest finished file stays: from it the receiver knows where to go on.
        partial  also what the receiver has of the next one
        raises   CorruptBackup when a file is of another server, or cannot be read back
        """
        names = []
        whole: list[Path] = []
        with disk_errors(self._folder):
            files = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
        for path in files:
            segment = segment_of(path.name)
            if path.suffix == _HISTORY or segment is not None:
                with disk_errors(path):
                    data = path.read_bytes()
                if segment is not None:
                    prove_segment(data, segment, system_identifier, what=str(path))
                    whole.append(path)
                names += self._keep(f"{WAL}{path.name}", data)
        if partial and files and files[-1].suffix == _PARTIAL:
            names += self._keep_partial(files[-1], system_identifier)
        with disk_errors(self._folder):
            for path in whole[:-1]:
                path.unlink()
            if whole[:-1]:
                sync_folder(self._folder)
        return Shipped(names, sum(self._objects.store.stat(name).size_bytes for name in names))

    def _keep(self, name: str, data: bytes) -> list[str]:
        if name in self._proven:
            return []
        is_new = not self._objects.has(name)
        if is_new:
            with contextlib.suppress(ObjectExists):
                self._objects.write(name, data)
        if self._objects.read(name) != data:
            raise CorruptBackup(f"{name} is not what the server wrote")
        self._proven.add(name)
        return [name] if is_new else []

    def _keep_partial(self, path: Path, system_identifier: int) -> list[str]:
        segment = segment_of(path.stem)
        try:
            data = path.read_bytes().rstrip(b"\0")
        except FileNotFoundError:
            # The receiver has just finished it: the next time it is a whole file.
            return []
        digest = hashlib.sha256(data).hexdigest()
        if segment is None or not data or digest == self._last_partial:
            return []
        prove_segment(data.ljust(40, b"\0"), segment, system_identifier, what=str(path))
        number = sum(1 for _ in self._objects.store.list(f"{WAL}{path.name}/"))
        names = self._keep(f"{WAL}{path.name}/{number:06d}", data)
        self._last_partial = digest
        return names


def received(folder: Path | None) -> tuple[dict[Segment, Path], Path | None]:
    """Return what a receiver's folder holds: whole files, and the one it was at."""
    whole: dict[Segment, Path] = {}
    partial = None
    for path in sorted(folder.iterdir()) if folder is not None and folder.is_dir() else []:
        if segment := segment_of(path.name):
            whole[segment] = path
        elif path.suffix == _PARTIAL and segment_of(path.stem):
            partial = path
    return whole, partial


def read_received(path: Path) -> bytes:
    """Return a received file; one that was begun may have been finished since. raises FileNotFoundError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if path.suffix != _PARTIAL:
            raise
    return path.with_suffix("").read_bytes()


def padded(data: bytes) -> bytes:
    """Return what was received of a file, as long as the server made it."""
    return data.ljust(SEGMENT_BYTES, b"\0")
