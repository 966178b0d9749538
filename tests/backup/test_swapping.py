"""A restore in place that is killed leaves one data folder or the other, and nothing to clean up."""

import errno
import shutil
import sys
from pathlib import Path

import pytest
from desk import Desk

import faults
from audobon.atomic import clear_leftovers, temporary_beside
from audobon.backup import swapping
from audobon.backup.restoring import Point
from audobon.backup.swapping import finish_swap, swap_in
from audobon.errors import AudobonError


class Pair:
    """An old folder, and a new one that is to take its place."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "data"
        self.new = temporary_beside(self.folder)

    def make(self) -> None:
        for path, text in ((self.folder, "old"), (self.new, "new")):
            path.mkdir(parents=True)
            (path / "text").write_text(text)

    def swap(self) -> None:
        swap_in(self.new, self.folder)

    def texts(self) -> dict[str, str]:
        return {path.name: (path / "text").read_text() for path in self.root.iterdir() if path.is_dir()}


@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("fault", ["kill", "kill-after", "torn"])
def test_a_kill_at_any_step_leaves_the_old_folder_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool, fault: faults.Fault
) -> None:
    if not can_exchange or sys.platform != "linux":
        monkeypatch.setattr(swapping, "_exchange", lambda one, other: False)
    outcome, at, ends = "killed", 0, []
    while outcome == "killed":
        at += 1
        pair = Pair(tmp_path / str(at))
        pair.make()
        outcome = faults.in_child(pair.swap, faults.Plan(fault, at, str(pair.root)))
        if can_exchange and sys.platform == "linux":
            assert pair.folder.exists()
        finish_swap(pair.folder)
        clear_leftovers(pair.folder)
        kept = {text for name, text in pair.texts().items() if name.startswith("data.before-")}
        text = pair.texts()["data"]
        ends.append(text)
        assert kept == ({"old"} if text == "new" else set())
        if text == "old":
            pair.swap()
            assert sorted(pair.texts().values()) == ["new", "old"]
        assert [path.name for path in pair.root.iterdir() if not path.name.startswith("data")] == []
    assert ends[0] == "old"
    assert ends[-1] == "new"
    assert ends == sorted(ends, reverse=True)


@pytest.mark.parametrize("can_exchange", [True, False])
def test_an_error_at_any_step_leaves_the_old_folder_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange or sys.platform != "linux":
        monkeypatch.setattr(swapping, "_exchange", lambda one, other: False)
    for at in range(1, 20):
        pair = Pair(tmp_path / str(at))
        pair.make()
        with faults.failing(errno.EIO, at=at, below=pair.root) as calls:
            try:
                pair.swap()
                text = "new"
            except AudobonError:
                text = "old"
        assert pair.texts()["data"] == text
        finish_swap(pair.folder)
        assert pair.texts()["data"] == text
        assert sorted(pair.texts().values()) == ["new", "old"]
        if len(calls) < at:
            return
    raise AssertionError("it never came to its end")


def test_a_folder_where_none_was_appears_at_once(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.make()
    shutil.rmtree(pair.folder)
    assert swap_in(pair.new, pair.folder) is None
    assert pair.texts() == {"data": "new"}


def test_two_swaps_in_a_second_keep_both_folders(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.make()
    pair.swap()
    pair.new.mkdir()
    (pair.new / "text").write_text("newer")
    pair.swap()
    assert pair.texts()["data"] == "newer"
    assert sorted(pair.texts().values()) == ["new", "newer", "old"]


def test_a_restore_in_place_leaves_what_was_there_openable(desk: Desk) -> None:
    key = desk.put()
    desk.add_job("one", [key])
    desk.backups.make()
    later = desk.put()
    stored = desk.repository().newest()
    assert stored is not None
    restorer = desk.restorer()
    desk.storage.close()
    desk.keys.close()
    restored = restorer.replace(Point([stored]), desk.folder)
    assert restored.kept_aside is not None
    after, before = Desk(desk.root), Desk(desk.root, name=Path(restored.kept_aside).name)
    for turn in range(10):
        (after, before)[turn % 2].keys.rotate()
    assert after.storage.has(key)
    assert not after.storage.has(later)
    assert len(before.storage.get(later)) == 10_000
    assert len(after.storage.get(key)) == 10_000
    for each in (after, before):
        each.close()


def test_a_restore_that_fails_leaves_no_unlock_file(desk: Desk, tmp_path: Path) -> None:
    desk.add_job("one", [desk.put(2 << 20) for _ in range(2)])
    desk.backups.make()
    into = tmp_path / "restored"
    failed = 0
    for at in range(1, 1000, 2):
        before = sorted(desk.unlock.iterdir())
        with faults.failing(errno.ENOSPC, at=at, below=into.parent / ".restored") as calls:
            try:
                desk.restore(into)
            except AudobonError:
                failed += 1
                assert sorted(desk.unlock.iterdir()) == before
        assert not list(tmp_path.glob(".restored*"))
        if len(calls) < at:
            break
        # Some calls may fail and nothing is lost by it.
        shutil.rmtree(into, ignore_errors=True)
    assert failed > 20
    assert into.exists()
