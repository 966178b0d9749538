"""`audobon check` and `audobon backup verify --repair`, word for word."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from test_backup_commands import Command

from audobon.sqlite import connect, transaction

PARTS = ("keys", "storage", "database", "places")
HINTS = {
    "keys": "audobon keys import-recovery, or audobon keys mend-ledger",
    "storage": "audobon storage scrub --all",
    "database": "audobon database restore --help",
    "places": "audobon backup verify --repair",
}
VERIFY = "audobon backup verify --repair; if this disk is failing, another place"


class Machine:
    """A machine with two packs, an erased project, and a backup in one place."""

    def __init__(self, root: Path) -> None:
        self.audobon = Command(root / "machine")
        self.data, self.place = self.audobon.root / "data", root / "disk"
        for name in ("one", "two"):
            page = root / name
            page.write_bytes(os.urandom(2_000_000))
            assert self.audobon("storage", "put", page).returncode == 0
        assert self.audobon("storage", "put", "--subject", "fox", page).returncode == 0
        assert self.audobon("data", "erase", "fox", "--yes").returncode == 0
        assert self.audobon("backup", "add", self.place).returncode == 0
        self._have_log_begun_anew()
        assert self.audobon("backup", "now").returncode == 0

    def _have_log_begun_anew(self) -> None:
        """Commit so much that the next command copies the log into the file: a young one holds nothing."""
        with closing(connect(self.data / "audobon.db", keeps_log=True)) as connection:
            with transaction(connection):
                connection.execute("CREATE TABLE filling AS SELECT randomblob(6000000) AS bytes")
            with transaction(connection):
                connection.execute("DROP TABLE filling")

    def objects(self, prefix: str) -> list[str]:
        return sorted(
            str(path.relative_to(self.place)) for path in (self.place / prefix).rglob("*") if path.is_file()
        )

    def pack(self) -> Path:
        return sorted((self.data / "blobs").rglob("*.pack"))[0]

    def name_of(self, pack: Path) -> str:
        return str(pack.relative_to(self.data / "blobs"))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("check"))


@contextmanager
def instead(path: Path, data: bytes | None) -> Iterator[None]:
    """Have other bytes in a file, or no file, for a while."""
    whole, before = path.read_bytes(), path.stat()
    path.chmod(0o600)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
        # A disk that loses a bit does not note when.
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    try:
        yield
    finally:
        path.write_bytes(whole)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def flipped(path: Path) -> bytes:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    return bytes(data)


def told(machine: Machine, **faults: list[str]) -> None:
    """Assert that `check` tells these faults by part, and no other."""
    done = machine.audobon("check")
    assert done.stdout == "".join(f"{part:<10}as it was written\n" for part in PARTS if part not in faults)
    said = [
        line
        for part in PARTS
        if part in faults
        for line in (*(f"{part}: {fault}" for fault in faults[part]), f"hint: {HINTS[part]}")
    ]
    every = [(part, fault) for part in PARTS for fault in faults.get(part, [])]
    if every:
        part, first = every[0]
        more = f", and {len(every) - 1} more" if len(every) > 1 else ""
        said += [f"error: {part}: {first}{more}", f"hint: {HINTS[part]}"]
    assert done.stderr.splitlines() == said
    assert done.returncode == (9 if every else 0)


def test_all_that_is_sound_is_told_part_by_part(machine: Machine) -> None:
    told(machine)


def test_a_row_of_the_keystore_that_was_changed(machine: Machine) -> None:
    store = machine.data / "keys" / "keystore.db"
    whole = store.read_bytes()
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("UPDATE subject SET created_at = created_at + 1")
    changed = store.read_bytes()
    store.write_bytes(whole)
    with instead(store, changed):
        told(machine, keys=[f"rows of {store} are not as they were written"])


def test_a_line_of_the_ledger_of_erasures_that_was_changed(machine: Machine) -> None:
    ledger = machine.data / "keys" / "ledger.jsonl"
    with instead(ledger, flipped(ledger)):
        told(machine, keys=["line 1 of the ledger of erasures is not as it was written"])


def test_a_pack_that_is_gone(machine: Machine) -> None:
    pack = machine.pack()
    with instead(pack, None):
        told(machine, storage=[f"{machine.name_of(pack)}: it is missing"])


def test_a_pack_with_a_flipped_bit(machine: Machine) -> None:
    pack = machine.pack()
    with instead(pack, flipped(pack)):
        fault = f"{machine.name_of(pack)}: 1 of 1 records are not as they were written"
        told(machine, storage=[fault])


def test_a_database_that_is_gone(machine: Machine) -> None:
    path = machine.data / "audobon.db"
    (copy,) = (machine.data / "wal").iterdir()
    last = max(int(name) for each in copy.iterdir() for name in each.stem.split("-")[:2])
    with instead(path, None):
        told(machine, database=[f"{path}: it is gone; its copy reaches to commit {last}"])


def test_a_page_of_the_database_with_a_flipped_bit(machine: Machine) -> None:
    path = machine.data / "audobon.db"
    # SQLite finds nothing wrong with it.
    page = path.stat().st_size // 2 // 4096 + 1
    with instead(path, flipped(path)):
        fault = f"{path}: 1 pages differ from what was committed, the first is page {page}"
        told(machine, database=[fault])


def test_a_copy_of_the_database_with_a_flipped_bit(machine: Machine) -> None:
    (path,) = (machine.data / "wal").rglob("*.snapshot")
    name = path.relative_to(machine.data)
    stream = "an encrypted stream is not as it was written, or another key or context made it"
    with instead(path, flipped(path)):
        told(machine, database=[f"{name} of the shipped database is not as it was written: {stream}"])


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("packs", "its bytes are not those that were written"),
        ("files", "its bytes are not those that were written"),
        ("keystores", "its bytes are not those that were written"),
    ],
)
def test_an_object_of_a_place_with_a_flipped_bit(machine: Machine, kind: str, what: str) -> None:
    name = machine.objects(kind)[0]
    with instead(machine.place / name, flipped(machine.place / name)):
        told(machine, places=[f"{machine.place}/{name}: {what}"])


def test_a_backup_that_was_signed_as_another(machine: Machine) -> None:
    name = machine.objects("manifests")[0]
    changed = (machine.place / name).read_bytes().replace(b'"jobs":0', b'"jobs":1')
    with instead(machine.place / name, changed):
        what = "does not bear the signature of this repository's keys"
        told(machine, places=[f"{machine.place}/{name}: {what}"])


def test_an_object_of_a_place_that_is_gone(machine: Machine) -> None:
    name = machine.objects("packs")[0]
    with instead(machine.place / name, None):
        told(machine, places=[f"{machine.place}/{name}: it is missing"])


def test_a_place_that_is_not_there(machine: Machine) -> None:
    away = machine.place.with_name("away")
    machine.place.rename(away)
    try:
        told(machine, places=[f"the place {machine.place} is not there"])
    finally:
        away.rename(machine.place)


def test_lists_of_places_that_are_damaged_or_gone(machine: Machine) -> None:
    path = machine.data / "places.json"
    with instead(path, None):
        told(machine, places=["places.json is gone: backups were made, and no place is known"])
    with instead(path, path.read_bytes()[:-1]):
        told(machine, places=[f"{path} is not as it was written"])
    path = machine.data / "backups.json"
    with instead(path, None):
        told(machine, places=[f"backups.json is gone, or does not know the backups in {machine.place}"])


def test_what_a_newer_audobon_wrote_is_no_damage_and_ends_with_3(machine: Machine) -> None:
    name = machine.objects("files")[0]
    newer = (machine.place / name).read_bytes().replace(b"AUDOFIL1", b"AUDOFIL2")
    with instead(machine.place / name, newer):
        done = machine.audobon("check")
        fault = f"places: {machine.place}/{name}: was written by a newer Audobon"
        assert done.stderr == f"{fault}\nhint: upgrade Audobon\nerror: {fault}\nhint: upgrade Audobon\n"
        assert done.returncode == 3
        done = machine.audobon("backup", "verify")
        assert done.returncode == 3
        assert done.stderr.splitlines()[-2:] == [
            f"error: {machine.place}/{name}: was written by a newer Audobon",
            "hint: upgrade Audobon",
        ]


class Repairing:
    """What `backup verify --repair` says; the place is as it was afterwards."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def __call__(self, *said: str, faults: tuple[str, ...] = (), status: int = 0, hint: str = "") -> None:
        """Repair, and assert what is said before and after the line that sums up."""
        place = self.machine.place
        done = self.machine.audobon("backup", "verify", "--repair")
        lines = done.stderr.splitlines()
        summing = next(index for index, line in enumerate(lines) if " objects, " in line)
        state = "all as it was written" if not faults else f"{len(faults)} not as written"
        assert lines[summing].startswith(f"{place}: ")
        assert lines[summing].endswith(f" read: {state}")
        assert lines[:summing] == [f"{place}/{each}" for each in (*said, *faults)]
        ending = [f"error: {place}/{faults[0]}", f"hint: {hint}"] if faults else []
        assert (lines[summing + 1 :], done.returncode) == (ending, status)


@pytest.fixture
def repairing(machine: Machine, tmp_path: Path) -> Iterator[Callable[..., None]]:
    kept = tmp_path / "kept"
    shutil.copytree(machine.place, kept)
    memory = (machine.data / "backups.json").read_bytes()
    yield Repairing(machine)
    shutil.rmtree(machine.place)
    kept.rename(machine.place)
    (machine.data / "backups.json").write_bytes(memory)


def harm(machine: Machine, name: str, data: bytes | None = None) -> None:
    path = machine.place / name
    path.chmod(0o600)
    path.write_bytes(flipped(path) if data is None else data)


def test_what_has_a_second_copy_is_mended(machine: Machine, repairing: Repairing) -> None:
    repairing()
    pack, export = machine.objects("packs")[0], machine.objects("keystores")[0]
    harm(machine, pack)
    harm(machine, export)
    repairing(f"{pack}: mended", f"{export}: made anew")
    repairing()


def test_what_a_newer_audobon_wrote_is_spared(machine: Machine, repairing: Repairing) -> None:
    name = machine.objects("files")[0]
    newer = (machine.place / name).read_bytes().replace(b"AUDOFIL1", b"AUDOFIL2")
    harm(machine, name, newer)
    repairing(
        f"{name}: left as it is, as it could not be read",
        faults=(f"{name}: was written by a newer Audobon",),
        status=3,
        hint="upgrade Audobon",
    )
    assert (machine.place / name).read_bytes() == newer


def test_what_nothing_has_a_second_time_is_given_up(machine: Machine, repairing: Repairing) -> None:
    pack, manifest = machine.objects("packs")[0], machine.objects("manifests")[0]
    harm(machine, pack)
    with instead(machine.data / "blobs" / pack.removeprefix("packs/"), None):
        repairing(
            f"{pack}: nothing has it a second time",
            faults=(f"{pack}: it is missing",),
            status=9,
            hint=VERIFY,
        )
        harm(machine, manifest)
        repairing(f"{manifest}: nothing has it a second time")
