"""Killing a backup, a prune or a restore at any instant costs nothing but that command; two at once agree."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from desk import DAY, Desk, files_below

from audobon.backup.rules import KeepRules
from audobon.backup.verifying import refuse
from audobon.database.shipping import Shipper

StartPython = Callable[..., "subprocess.Popen[str]"]

HERE = str(Path(__file__).parent)
_PRELUDE = f"""
import sys
sys.path.insert(0, {HERE!r})
from pathlib import Path
from desk import Desk
from audobon.backup.rules import KeepRules
desk = Desk(Path(sys.argv[1]))
desk.now = float(sys.argv[2])
"""
_MAKE = _PRELUDE + "print('begun', flush=True); desk.backups.make(); print('done', flush=True)"
_PRUNE = (
    _PRELUDE
    + "print('begun', flush=True);"
    + " desk.backups.prune(rules=KeepRules(last=1, daily=0, weekly=0, monthly=0, days=0), is_dry=False);"
    + " print('done', flush=True)"
)
_RESTORE = (
    _PRELUDE
    + "print('begun', flush=True); desk.restore(Path(sys.argv[3]), number=1); print('done', flush=True)"
)


def _killed_somewhere(
    start: Callable[[], "subprocess.Popen[str]"], *, tries: int, most_seconds: float
) -> int:
    """Start a command again and again and kill it at random instants; return how often it was killed."""
    chance = random.Random(5)
    killed = 0
    for _ in range(tries):
        process = start()
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        until = time.monotonic() + chance.uniform(0, most_seconds)
        while time.monotonic() < until and process.poll() is None:
            pass
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        else:
            # It was quicker here than was thought.
            most_seconds /= 2
        process.wait()
    return killed


def test_a_killed_backup_leaves_a_sound_place_and_is_gone_on_with(
    desk: Desk, start_python: StartPython
) -> None:
    desk.add_job("one", [desk.put(2 << 20) for _ in range(12)])
    desk.storage.seal_open_packs()
    killed = _killed_somewhere(lambda: start_python(_MAKE, desk.root, desk.now), tries=8, most_seconds=0.15)
    assert killed >= 4
    # What is half there has a hidden name, and is gone after the next backup.
    before = files_below(desk.place)
    refuse(desk.backups.verify())
    desk.now += DAY
    (made,) = desk.backups.make()
    assert made.packs == 12
    after = files_below(desk.place)
    assert {name: after[name] for name in before} == before
    assert not list(desk.place.rglob("*.part"))
    refuse(desk.backups.verify())
    desk.restore(desk.root / "restored")


def test_a_killed_prune_is_gone_on_with(desk: Desk, start_python: StartPython) -> None:
    for day in range(6):
        desk.add_job(f"job{day}", [desk.put(1 << 20)])
        desk.backups.make()
        desk.storage.sweep(lambda: set(), broken_before=0)
        desk.now += DAY
    killed = _killed_somewhere(lambda: start_python(_PRUNE, desk.root, desk.now), tries=6, most_seconds=0.02)
    assert killed >= 2
    refuse(desk.backups.verify())
    desk.backups.prune(rules=KeepRules(last=1, daily=0, weekly=0, monthly=0, days=0), is_dry=False)
    refuse(desk.backups.verify())
    assert desk.repository().numbers() == [6]
    assert len(desk.objects("packs/")) == 1
    desk.restore(desk.root / "restored")


def test_a_killed_restore_leaves_nothing_and_can_be_repeated(
    desk: Desk, start_python: StartPython, tmp_path: Path
) -> None:
    desk.add_job("one", [desk.put(2 << 20) for _ in range(12)])
    desk.backups.make()
    into = tmp_path / "restored"
    for _ in range(4):
        killed = _killed_somewhere(
            lambda: start_python(_RESTORE, desk.root, desk.now, into), tries=1, most_seconds=0.1
        )
        assert killed == 1
        assert not into.exists()
    desk.restore(into)
    assert into.exists()
    assert not list(tmp_path.glob(".restored*"))


def test_two_backups_at_once_become_two_links_of_one_chain(desk: Desk, start_python: StartPython) -> None:
    desk.add_job("one", [desk.put(2 << 20) for _ in range(6)])
    desk.backups.make()
    both = [start_python(_MAKE, desk.root, desk.now + DAY) for _ in range(2)]
    assert [process.communicate()[0] for process in both] == ["begun\ndone\n"] * 2
    assert desk.repository().numbers() == [1, 2, 3]
    refuse(desk.backups.verify())


def test_a_pack_that_is_moved_while_it_is_copied_is_found_where_it_went(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [desk.put(200_000) for _ in range(8)]
    desk.add_job("one", keys[:2])
    desk.storage.seal_open_packs()
    desk.storage.sweep(lambda: set(keys[:2]), broken_before=0)
    store = desk.storage.store
    opened = store.open
    moved = []

    def open_after_collecting(name: str):
        if not moved and name.endswith(".pack"):
            moved.append(name)
            desk.storage.collect()
            desk.storage.seal_open_packs()
        return opened(name)

    monkeypatch.setattr(store, "open", open_after_collecting)
    (made,) = desk.backups.make()
    assert moved
    assert made.lacking == {}
    refuse(desk.backups.verify())
    desk.restore(desk.root / "restored")


def test_a_backup_waits_for_the_first_snapshot_that_another_takes(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = desk.put()
    taken = Shipper.snapshot

    def is_taken_elsewhere(shipper: Shipper, *, waits: bool = False) -> None:
        if waits:
            taken(shipper, waits=True)

    monkeypatch.setattr(Shipper, "snapshot", is_taken_elsewhere)
    desk.backups.make()
    desk.restore(tmp_path / "restored")
    assert desk.storage.has(key)
