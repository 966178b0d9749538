"""Folders as object stores: the whole promise in one folder and in three, on full and dying disks."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from object_store_conformance import ObjectStoreConformance, OpenStore, get, names, put

import faults
from audobon.errors import (
    AudobonError,
    CorruptBlob,
    Denied,
    DiskFull,
    Misconfigured,
    ObjectExists,
    ObjectNotFound,
    Unavailable,
)
from audobon.storage import embedded
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.port import TIERS, ObjectStore, Tier

OPENING = """
from pathlib import Path
from audobon.storage.embedded import FolderObjectStore

def open_store():
    return FolderObjectStore({folders})
"""


def in_one(root: Path) -> dict[Tier, Path]:
    return {"standard": root / "all"}


def in_three(root: Path) -> dict[Tier, Path]:
    return {tier: root / tier for tier in TIERS}


def objects_below(root: Path) -> list[Path]:
    return [
        path
        for path in root.rglob("*")
        if path.is_file()
        and path.suffix != ".lock"
        and path.name != ".tier-of-audobon"
        and not path.name.endswith("-is-used")
    ]


class FolderStores(ObjectStoreConformance):
    """What the store in one folder and that in three have in common."""

    def folders(self, root: Path) -> dict[Tier, Path]:
        raise NotImplementedError

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return lambda rights="full": FolderObjectStore(self.folders(tmp_path), rights=rights)

    @pytest.fixture
    def opening(self, tmp_path: Path) -> str:
        folders = ", ".join(f"{tier!r}: Path({str(path)!r})" for tier, path in self.folders(tmp_path).items())
        return OPENING.format(folders="{" + folders + "}")

    @pytest.fixture
    def kept(self, tmp_path: Path) -> Callable[[], int]:
        return lambda: len(objects_below(tmp_path))


class TestOneFolder(FolderStores):
    """Tiers without folders of their own lie hidden within the one."""

    def folders(self, root: Path) -> dict[Tier, Path]:
        return in_one(root)


class TestThreeFolders(FolderStores):
    """A folder for each tier."""

    def folders(self, root: Path) -> dict[Tier, Path]:
        return in_three(root)


class TestThreeDisks(FolderStores):
    """A move is a copy where files cannot have second names across the folders."""

    def folders(self, root: Path) -> dict[Tier, Path]:
        return in_three(root)

    @pytest.fixture(autouse=True)
    def other_disks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        as_on_other_disks(monkeypatch)


def as_on_other_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have links between folders of tiers fail as they do between disks."""
    real = os.link

    def link(source: Path, target: Path) -> None:
        if Path(source).suffix != ".part":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real(source, target)

    monkeypatch.setattr(embedded.os, "link", link)


def test_an_object_is_on_the_disk_before_its_name_and_its_name_before_success(tmp_path: Path) -> None:
    store = FolderObjectStore(in_one(tmp_path))
    put(store, "page/zero.pack")
    with faults.watching(below=tmp_path / "all" / "page") as calls:
        put(store, "page/one.pack", b"x" * 10_000)
    shown = [(call.deed, "*.part" if call.path.endswith(".part") else Path(call.path).name) for call in calls]
    assert shown == [
        ("open", "*.part"),
        ("write", "*.part"),
        ("fsync", "*.part"),
        ("link", "*.part"),
        ("unlink", "*.part"),
        ("fsync", "page"),
    ]


def test_a_finished_file_is_taken_in_under_a_name_that_is_free(tmp_path: Path) -> None:
    store = FolderObjectStore(in_one(tmp_path))
    put(store, "page/one")
    file = tmp_path / "all" / "file"
    file.write_bytes(b"ready")
    with pytest.raises(ObjectExists):
        store.take_in(file, "page/one")
    assert file.read_bytes() == b"ready"
    store.take_in(file, "page/two")
    assert not file.exists()
    assert get(store, "page/two") == b"ready"
    with pytest.raises(Denied):
        FolderObjectStore(in_one(tmp_path), rights="read").take_in(file, "page/three")


def test_new_folders_are_synced_into_those_above_them(tmp_path: Path) -> None:
    store = FolderObjectStore(in_one(tmp_path))
    with faults.watching(below=tmp_path) as calls:
        put(store, "page/ab/one.pack")
    shown = [(call.deed, Path(call.path).name) for call in calls if ".locks" not in call.path][:6]
    assert shown == [
        ("mkdir", "all"),
        ("fsync", tmp_path.name),
        ("mkdir", "page"),
        ("fsync", "all"),
        ("mkdir", "ab"),
        ("fsync", "page"),
    ]


def test_a_copy_is_on_its_disk_before_the_first_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_on_other_disks(monkeypatch)
    store = FolderObjectStore(in_three(tmp_path))
    put(store, "page/zero", tier="archive")
    put(store, "page/one")
    with faults.watching(below=tmp_path) as calls:
        store.set_tier("page/one", "archive")
    shown = [
        (
            call.deed,
            Path(call.path).parent.name,
            "*.part" if call.path.endswith(".part") else Path(call.path).name,
        )
        for call in calls
        if ".locks" not in call.path
    ]
    page = "page"
    assert shown == [
        ("link", page, "one"),
        ("open", page, "*.part"),
        ("write", page, "*.part"),
        ("utime", page, "*.part"),
        ("fsync", page, "*.part"),
        ("rename", page, "*.part"),
        ("fsync", "archive", page),
        # Tried where it might lie as well, and under the temporary name that is gone by now.
        ("unlink", page, "one"),
        ("fsync", "standard", page),
        ("unlink", page, "one"),
        ("unlink", page, "*.part"),
    ]


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, DiskFull), (errno.EIO, Denied)])
@pytest.mark.parametrize("deed", ["create", "move"])
def test_a_disk_that_fails_at_any_point_is_named_and_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[AudobonError], deed: str
) -> None:
    as_on_other_disks(monkeypatch)
    points = failed = 0
    while True:
        root = tmp_path / str(points)
        store = FolderObjectStore(in_three(root))
        if deed == "move":
            put(store, "page/one.pack", b"x" * 10_000)
        with faults.failing(number, at=points + 1, below=root) as calls:
            try:
                if deed == "move":
                    store.set_tier("page/one.pack", "archive")
                else:
                    put(store, "page/one.pack", b"x" * 10_000)
            except kind as error:
                failed += str(root) in error.message
        if len(calls) <= points:
            break
        point = calls[points]
        is_leftover = point.deed == "unlink" and point.path.endswith(".part")
        if deed == "move":
            # Twice at most, and whole wherever it is.
            assert {path.read_bytes() for path in objects_below(root) if path.suffix != ".part"} == {
                b"x" * 10_000
            }
            assert names(store.list()) == ["page/one.pack"]
            store.set_tier("page/one.pack", "archive")
            assert store.stat("page/one.pack").tier == "archive"
        elif store_has(store, "page/one.pack"):
            assert is_leftover or ".lock" in point.path
        else:
            assert objects_below(root) == []
            put(store, "page/one.pack", b"x" * 10_000)
        store.clear_unfinished(before=time.time() + 3600)
        assert [path.name for path in objects_below(root)] == ["one.pack"]
        points += 1
    assert failed >= (8 if deed == "create" else 12)


def store_has(store: ObjectStore, name: str) -> bool:
    try:
        store.stat(name)
    except ObjectNotFound:
        return False
    return True


@pytest.mark.parametrize("fault", ["kill", "kill-after", "torn"])
@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_move_killed_at_any_point_leaves_the_object_whole_and_again_finishes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: faults.Fault, is_elsewhere: bool
) -> None:
    if is_elsewhere:
        as_on_other_disks(monkeypatch)
    data, points = b"0123456789" * 300_000, 0
    while True:
        root = tmp_path / str(points)
        store = FolderObjectStore(in_three(root))
        put(store, "page/one.pack", data)
        os.utime(store.path("page/one.pack"), (1_700_000_000, 1_700_000_000))
        plan = faults.Plan(fault, points + 1, str(root))
        outcome = faults.in_child(lambda store=store: store.set_tier("page/one.pack", "archive"), plan)
        assert outcome in ("done", "killed")
        assert get(store, "page/one.pack") == data
        assert store.stat("page/one.pack").created_at == 1_700_000_000
        assert names(store.list()) == ["page/one.pack"]
        store.set_tier("page/one.pack", "archive")
        assert (store.stat("page/one.pack").tier, store.stat("page/one.pack").created_at) == (
            "archive",
            1_700_000_000,
        )
        store.clear_unfinished(before=time.time() + 3600)
        assert objects_below(root) == [root / "archive" / "page" / "one.pack"]
        assert get(store, "page/one.pack") == data
        if outcome == "done":
            break
        points += 1
    assert points >= (12 if is_elsewhere else 8)


def test_an_object_broken_off_between_tiers_may_go_to_the_third_or_be_deleted(tmp_path: Path) -> None:
    for number, finish in enumerate(("nearline", "delete")):
        root = tmp_path / str(number)
        store = FolderObjectStore(in_three(root))
        put(store, "one")
        put(store, "zero", tier="archive")
        (root / "archive" / "one").hardlink_to(root / "standard" / "one")
        assert [info.tier for info in store.list("one")] == ["standard"]
        if finish == "delete":
            store.delete("one")
            assert names(store.list()) == ["zero"]
        else:
            store.set_tier("one", "nearline")
            assert [info.tier for info in store.list("one")] == ["nearline"]
            assert len(objects_below(root)) == 2


def test_a_copy_that_is_not_what_was_written_does_not_replace_the_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_on_other_disks(monkeypatch)
    store = FolderObjectStore(in_three(tmp_path))
    put(store, "one", b"right")

    def rot(handle: int, *_rest: int) -> None:
        os.pwrite(handle, b"w", 0)

    monkeypatch.setattr(embedded.os, "posix_fadvise", rot)
    with pytest.raises(CorruptBlob, match="is not what was written"):
        store.set_tier("one", "archive")
    monkeypatch.undo()
    assert get(store, "one") == b"right"
    assert objects_below(tmp_path) == [tmp_path / "standard" / "one"]


def test_a_disk_that_is_not_attached_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    store = FolderObjectStore(in_three(tmp_path))
    put(store, "old", tier="archive")
    put(store, "new")
    (tmp_path / "archive").rename(tmp_path / "detached")
    # The place to attach it may be there and empty.
    (tmp_path / "archive").mkdir()
    expected = f"the folder of the tier archive is not there: {tmp_path / 'archive'}"
    for deed in (
        lambda: list(store.list()),
        lambda: store.stat("old"),
        lambda: get(store, "old"),
        lambda: put(store, "old", b"other"),
        lambda: store.delete("old"),
        lambda: store.set_tier("new", "archive"),
    ):
        with pytest.raises(Unavailable) as caught:
            deed()
        assert caught.value.message == expected
    assert get(store, "new") == b"abc"
    (tmp_path / "archive").rmdir()
    (tmp_path / "detached").rename(tmp_path / "archive")
    assert names(store.list()) == ["new", "old"]


@pytest.mark.parametrize("inner", ["", "cold", "../blobs", "../link"])
def test_tiers_may_not_share_a_folder(tmp_path: Path, inner: str) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "blobs")
    with pytest.raises(Misconfigured, match="may not lie in the folder of"):
        FolderObjectStore({"standard": tmp_path / "blobs", "archive": tmp_path / "blobs" / inner})


def test_a_folder_that_is_closed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderObjectStore(in_one(tmp_path))
    put(store, "one")

    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(Denied, match="not allowed"):
        store.stat("one")
