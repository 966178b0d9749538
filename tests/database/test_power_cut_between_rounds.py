"""A round of the log is begun anew and the power goes: what follows on the disk is never passed over.

The disk is imagined: of all that was written since the log was last waited for, each sector of 512 bytes is
there or not. SQLite waits for the log before it copies it into the database, and for the head of a new round
before its first frame; so those are there.
"""

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from shipped_desk import Desk, content, number_in

from audobon.database.wal_format import HEADER_BYTES, LogIndex
from audobon.database.wal_reader import Broken, LogPlace, LogReader

SECTOR_BYTES = 512
CUTS = 60

Commit = Callable[[Desk], None]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "data").mkdir()
    desk = Desk(tmp_path / "data")
    yield desk
    desk.close()


def few(desk: Desk) -> None:
    desk.write_many(2)


def many(desk: Desk) -> None:
    desk.write_many(12)


def as_many_as_before(desk: Desk) -> None:
    desk.write("INSERT INTO note (text) VALUES (hex(randomblob(60000)))")
    desk.write_many(10)


def cut_power(desk: Desk, unshipped: int, new: Commit, draw: random.Random, into: Path) -> Desk:
    """Begin the log anew, unseen by who ships it, commit more, and return what a power cut leaves of it all.

    unshipped  commits at the end of the old round that nobody shipped
    """
    log = Path(f"{desk.path}-wal")
    for _ in range(unshipped):
        desk.write_many(1)
    # Waits for the log, and for the database.
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as other:
        assert other.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0] == 0
    before = log.read_bytes()
    new(desk)
    after = log.read_bytes()
    assert after[:12] == before[:12]
    assert after[16:24] != before[16:24]
    shutil.copytree(desk.folder, into, ignore=shutil.ignore_patterns("*-shm", "restored.db"))
    left = bytearray(before.ljust(len(after), b"\0"))
    left[:HEADER_BYTES] = after[:HEADER_BYTES]
    share = draw.random()
    for at in range(HEADER_BYTES, len(after), SECTOR_BYTES):
        end = (at // SECTOR_BYTES + 1) * SECTOR_BYTES
        if draw.random() < share:
            left[at:end] = after[at:end]
    Path(f"{into / desk.path.name}-wal").write_bytes(left)
    found = Desk(into, is_new=False)
    found.seen, found.number = desk.seen, desk.number
    return found


def faults(found: Desk, shipped: int) -> list[str]:
    """Ship what is there after the cut, and return what is wrong with the copy then.

    shipped  the last commit that was shipped before
    """
    last = found.ship().commit
    here = content(found.connection)
    wrong = [] if found.restored() == here else ["the copy is not what the database holds"]
    before = number_in(found.restored(shipped))
    if len(found.generations()) == 1:
        for commit in range(shipped + 1, last + 1):
            state = found.restored(commit)
            number = number_in(state)
            if number - before not in (0, 1) or state != found.seen[number]:
                wrong.append(f"commit {commit} is not the one that followed")
            before = number
    return wrong


def storm(tmp_path: Path, *, seed: int) -> tuple[list[str], int]:
    """Cut the power again and again; return what was wrong, and how often a generation was gone on with."""
    draw = random.Random(seed)
    wrong: list[str] = []
    gone_on = 0
    for number in range(CUTS):
        folder = tmp_path / f"cut-{number}"
        (folder / "data").mkdir(parents=True)
        with closing(Desk(folder / "data")) as desk:
            desk.write_many(draw.randint(1, 12))
            shipped = desk.ship().commit
            unshipped = draw.choice([0, 0, 1, 3])
            new = draw.choice([few, many, as_many_as_before])
            with closing(cut_power(desk, unshipped, new, draw, folder / "left")) as found:
                wrong += faults(found, shipped)
                is_one = len(found.generations()) == 1
                gone_on += is_one
                if is_one and unshipped:
                    wrong.append("commits that nobody shipped were passed over")
        shutil.rmtree(folder)
    return wrong, gone_on


def test_after_a_power_cut_a_generation_goes_on_only_where_nothing_is_missing(tmp_path: Path) -> None:
    wrong, gone_on = storm(tmp_path, seed=5)
    assert wrong == []
    # Else this would say nothing.
    assert 0 < gone_on < CUTS


def going_on_blindly(reader: LogReader, _place: LogPlace, index: LogIndex) -> LogPlace:
    header = reader.header()
    if header is None or header.salts != index.salts:
        raise Broken("the log was begun anew by others")
    return LogPlace(header.salts, 0, header.checksum)


def test_who_goes_on_blindly_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogReader, "next_round", going_on_blindly)
    wrong, _ = storm(tmp_path, seed=5)
    assert "commits that nobody shipped were passed over" in wrong
