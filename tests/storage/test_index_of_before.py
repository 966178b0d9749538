"""An index that an older Audobon made, and one that is gone: nothing is lost, and nothing done twice."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from stored_blobs import storage_in

from audobon.storage.index_proof import faults_in_packs
from audobon.storage.looking import Wanted
from audobon.storage.rebuild import Rebuilding
from audobon.storage.service import Storage

_INDEXES = (
    "SELECT name FROM sqlite_master WHERE type = 'index' AND sql NOT NULL AND tbl_name = 'blob' ORDER BY name"
)


def indexes(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "storage.db")) as connection:
        return [row[0] for row in connection.execute(_INDEXES)]


def made_before(folder: Path) -> list[str]:
    """Make an index as it was before it held sizes beside packs; return the keys in it, oldest first."""
    with closing(storage_in(folder)) as storage:
        keys = [storage.put(bytes([number]) * 100, kind="page") for number in range(5)]
        storage.annotate(keys[:1], event_hold=True)
        storage.remove(keys[1:2])
        for _ in range(3):
            storage.get(keys[2])
    with closing(sqlite3.connect(folder / "storage.db")) as connection:
        connection.executescript(
            "DROP INDEX blob_of_pack; DROP INDEX blob_by_age;"
            "CREATE INDEX blob_by_pack ON blob (pack, dead_at);"
        )
    assert indexes(folder) == ["blob_by_pack", "blob_legacy"]
    return keys


def told(storage: Storage) -> object:
    return (
        storage.usage(),
        list(storage.packs(sealed_only=False)),
        storage.find(Wanted()),
        storage.find(Wanted(is_dead=True)),
        storage.find(Wanted(), newest=2),
    )


def test_an_index_of_before_gets_what_it_lacks_and_forgets_nothing(tmp_path: Path) -> None:
    keys = made_before(tmp_path)
    with closing(storage_in(tmp_path)) as storage:
        assert [storage.stat(key).reads for key in keys] == [0, 0, 3, 0, 0]
        assert storage.stat(keys[0]).event_hold
        assert [info.key for info in storage.find(Wanted(), newest=2)] == keys[3:]
        assert list(faults_in_packs(storage.index, storage.store)) == []
        before = told(storage)
    assert indexes(tmp_path) == ["blob_by_age", "blob_legacy", "blob_of_pack"]
    with closing(storage_in(tmp_path)) as storage:
        assert told(storage) == before


def test_an_index_that_another_keeps_locked_is_used_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = made_before(tmp_path)
    monkeypatch.setattr("audobon.sqlite.BUSY_SECONDS", 0.0)
    with closing(sqlite3.connect(tmp_path / "storage.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        storage = storage_in(tmp_path)
        assert storage.get(keys[0]) == bytes(100)
        assert sum(each.blobs for each in storage.usage()) == 4
        other.execute("ROLLBACK")
        storage.close()
    assert indexes(tmp_path) == ["blob_by_pack", "blob_legacy"]
    with closing(storage_in(tmp_path)) as storage:
        assert storage.get(keys[0]) == bytes(100)
    assert indexes(tmp_path) == ["blob_by_age", "blob_legacy", "blob_of_pack"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda storage: storage.usage(),
        lambda storage: storage.find(Wanted(), newest=2),
        lambda storage: storage.collect(is_dry=True),
        lambda storage: storage.collect(),
    ],
    ids=["usage", "list", "gc --dry-run", "gc"],
)
def test_all_packs_and_the_newest_blobs_are_told_without_a_look_at_every_blob(
    tmp_path: Path, ask: Callable[[Storage], object]
) -> None:
    with closing(storage_in(tmp_path)) as storage:
        storage.put(b"page", kind="page")
        queries: list[str] = []
        storage.index.connection.set_trace_callback(queries.append)
        ask(storage)
        storage.index.connection.set_trace_callback(None)
        plans = [
            row[3]
            for query in queries
            if query.lstrip().startswith(("SELECT", "UPDATE"))
            for row in storage.index.connection.execute(f"EXPLAIN QUERY PLAN {query}")
        ]
    looks = [plan for plan in plans if "blob" in plan and " COVERING INDEX " not in plan]
    # But for the newest of all, and one that is named.
    assert [plan for plan in looks if "blob_by_age" not in plan and "PRIMARY KEY (key=?)" not in plan] == []


def test_a_lost_index_is_made_anew_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(storage_in(tmp_path)) as storage:
        keys = [storage.put(bytes([number]) * 100) for number in range(3)]
    for path in tmp_path.glob("storage.db*"):
        path.unlink()
    reads = []
    read = Rebuilding.read
    monkeypatch.setattr(Rebuilding, "read", lambda *values: reads.append(values[1].name) or read(*values))
    with closing(storage_in(tmp_path)) as storage:
        found = storage.rebuild()
        assert (found.packs, found.blobs, len(reads)) == (1, 3, 1)
        found = storage.rebuild()
        assert (found.packs, found.blobs, len(reads)) == (1, 3, 2)
        assert sorted(storage.keys()) == sorted(keys)
