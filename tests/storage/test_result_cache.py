"""The result cache: what it gives back is what was put, it keeps its bound, and it never is in the way."""

import os
import shutil
import signal
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import Popen
from typing import Any, NamedTuple

import pytest

from audobon.config import keyrings_folder
from audobon.keys.unlocking import open_keys
from audobon.sqlite import connect
from audobon.storage import cache_entries
from audobon.storage.cache_entries import Kept
from audobon.storage.result_cache import CacheFigures, ResultCache

StartPython = Callable[..., "Popen[str]"]

MEGABYTE = 1 << 20
# More than ten times any budget here is free.
PLENTY = 64 * MEGABYTE

PUT_FOR_EVER = """
import os, sys
from pathlib import Path
from audobon.config import keyrings_folder
from audobon.keys.unlocking import open_keys
from audobon.storage.result_cache import ResultCache

FOLDER = Path(sys.argv[1])
cache = ResultCache(FOLDER, open_keys(FOLDER, unlock_folder=keyrings_folder()), budget_bytes=1 << 26)
number = 0
while True:
    cache.put(b"%d" % number, b"%d " % number * 20_000, kind="tile", seconds=1.0)
    number += 1
    print(number)
"""

PUT_AND_GET = """
import sys
from pathlib import Path
from audobon.config import keyrings_folder
from audobon.keys.unlocking import open_keys
from audobon.storage.result_cache import ResultCache

FOLDER = Path(sys.argv[1])
name = sys.argv[2].encode()
cache = ResultCache(FOLDER, open_keys(FOLDER, unlock_folder=keyrings_folder()), budget_bytes=1 << 26)
sys.stdin.readline()
wrong = 0
for number in range(150):
    for key in (b"own %s %d" % (name, number), b"common %d" % number):
        cache.put(key, key * 5000, kind="tile", seconds=1.0)
    for before in range(0, number, 10):
        kept = cache.get(b"common %d" % before)
        wrong += kept is not None and kept.value != b"common %d" % before * 5000
cache.close()
print(wrong)
"""


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ResultCache]:
    with closing(
        ResultCache(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=PLENTY)
    ) as cache:
        yield cache


def noise(size: int, seed: int = 0) -> bytes:
    """Return bytes that cannot be packed."""
    import numpy as np

    return np.random.default_rng(seed).bytes(size)


def put(cache: ResultCache, key: str, value: bytes = b"pixels", *, seconds: float = 1.0) -> None:
    cache.put(key.encode(), value, kind="tile", seconds=seconds)


def held(cache: ResultCache, *keys: str) -> list[str]:
    return [key for key in keys if cache.get(key.encode()) is not None]


def raw(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "cache.db", isolation_level=None)


@pytest.mark.parametrize("value", [b"", b"line art " * 9000, noise(70_000)], ids=["none", "drawing", "noise"])
def test_a_result_comes_back_as_it_was_put(cache: ResultCache, value: bytes) -> None:
    assert cache.get(b"key") is None
    cache.put(b"key", value, kind="page", seconds=2.5, blob="a blob", blob_bytes=7)

    assert cache.get(b"key") == Kept(value, "a blob", 2.5)
    assert cache.get(b"kez") is None
    assert cache.blobs() == {"a blob"}


def test_looking_gives_the_same_and_writes_nothing(tmp_path: Path, cache: ResultCache) -> None:
    assert cache.look(b"key") is None
    put(cache, "key")
    assert cache.look(b"key") == cache.get(b"key")
    cache.close()
    before = {path.name: path.read_bytes() for path in tmp_path.glob("cache.db*")}
    assert cache.look(b"key") == Kept(b"pixels", None, 1.0)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("cache.db*")} == before
    _overwrite(tmp_path / "cache.db")
    assert cache.look(b"key") is None


def test_the_newest_result_of_a_key_counts_once(cache: ResultCache) -> None:
    put(cache, "key", b"old" * 50_000)
    put(cache, "key", b"new")

    kept = cache.get(b"key")
    assert kept is not None
    assert kept.value == b"new"
    assert cache.figures() == CacheFigures(tiles=1, size_bytes=2595, budget_bytes=PLENTY)


def test_it_outlasts_its_process_and_may_be_deleted_at_any_time(tmp_path: Path, cache: ResultCache) -> None:
    put(cache, "key")
    cache.close()
    assert held(cache, "key") == ["key"]

    (tmp_path / "cache.db").unlink()

    assert held(cache, "key") == []
    put(cache, "another")
    assert held(cache, "key", "another") == ["another"]


def test_its_size_stays_below_its_budget_and_so_does_its_file(tmp_path: Path) -> None:
    budget_bytes = 2 * MEGABYTE
    cache = ResultCache(
        tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=budget_bytes
    )
    for number in range(200):
        put(cache, str(number), noise(30_000 + number * 400, number))
        assert cache.figures().size_bytes <= budget_bytes

    assert cache.figures().tiles >= 15
    assert cache.get(b"199") is not None
    cache.close()
    assert (tmp_path / "cache.db").stat().st_size <= budget_bytes * 1.1


def test_blobs_count_and_go_with_their_pages(tmp_path: Path) -> None:
    cache = ResultCache(
        tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=10 * MEGABYTE
    )
    for number in range(8):
        cache.put(
            b"%d" % number, b"", kind="page", seconds=1.0, blob=f"blob {number}", blob_bytes=2 * MEGABYTE
        )

    figures = cache.figures()
    assert figures.pages == 4
    assert figures.size_bytes <= 10 * MEGABYTE
    assert len(cache.blobs()) == 4
    assert "blob 7" in cache.blobs()


def test_what_is_larger_than_the_whole_cache_is_not_kept(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=MEGABYTE)
    put(cache, "huge", noise(2 * MEGABYTE))
    assert held(cache, "huge") == []


def test_a_lower_budget_makes_the_file_smaller(tmp_path: Path) -> None:
    with closing(
        ResultCache(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=PLENTY)
    ) as large:
        for number in range(20):
            put(large, str(number), noise(MEGABYTE, number))
    before = (tmp_path / "cache.db").stat().st_size

    with closing(
        ResultCache(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=4 * MEGABYTE)
    ) as small:
        put(small, "one more")
        assert held(small, "one more") == ["one more"]

    assert before > 20 * MEGABYTE
    assert (tmp_path / "cache.db").stat().st_size < 5 * MEGABYTE


def test_what_saves_least_for_its_size_goes_first(tmp_path: Path) -> None:
    cache = ResultCache(
        tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=4 * MEGABYTE
    )
    put(cache, "dear", noise(MEGABYTE, 1), seconds=10.0)
    put(cache, "cheap", noise(MEGABYTE, 2), seconds=0.1)
    put(cache, "used", noise(MEGABYTE, 3), seconds=0.1)
    for _ in range(5):
        cache.get(b"used")

    put(cache, "new", noise(MEGABYTE, 4), seconds=1.0)
    assert held(cache, "dear", "cheap", "used", "new") == ["dear", "used", "new"]


def test_what_was_worth_much_long_ago_goes_at_last(tmp_path: Path) -> None:
    cache = ResultCache(
        tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=4 * MEGABYTE
    )
    put(cache, "dear", noise(MEGABYTE), seconds=5.0)
    for number in range(30):
        put(cache, f"page {number}", noise(MEGABYTE, number), seconds=1.0)
    assert held(cache, "dear", "page 29") == ["page 29"]


def test_never_more_than_a_share_of_the_free_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        total: int
        used: int
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(PLENTY, 0, 20 * MEGABYTE))
    cache = ResultCache(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=PLENTY)
    for number in range(6):
        put(cache, str(number), noise(MEGABYTE // 2, number))
    assert cache.figures().size_bytes <= 2.2 * MEGABYTE
    assert held(cache, "5") == ["5"]


def test_switched_off_it_neither_gives_nor_takes_and_makes_no_file(tmp_path: Path) -> None:
    off = ResultCache(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=0)
    put(off, "key")
    assert off.figures() == CacheFigures()
    assert list(tmp_path.iterdir()) == []

    with closing(
        ResultCache(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=PLENTY)
    ) as on:
        on.put(b"key", b"", kind="page", seconds=1.0, blob="blob", blob_bytes=1)
    assert not off.is_on
    assert held(off, "key") == []
    # What is there stays there, and its blobs with it, until it is cleared.
    assert off.blobs() == {"blob"}
    assert off.clear()
    assert off.blobs() == set()


def test_cleared_nothing_is_left_of_it_in_the_file(tmp_path: Path, cache: ResultCache) -> None:
    for number in range(10):
        put(cache, str(number), noise(200_000, number))
    with closing(raw(tmp_path)) as connection:
        (value,) = connection.execute("SELECT value FROM content LIMIT 1").fetchone()
    # Some run of it that lies on one page of the file.
    secret = value[1000:1064]
    cache.close()
    assert secret in (tmp_path / "cache.db").read_bytes()

    assert cache.clear()

    assert cache.figures() == CacheFigures(budget_bytes=PLENTY)
    assert sum(path.stat().st_size for path in tmp_path.glob("cache.db*")) < 150_000
    assert all(secret not in path.read_bytes() for path in tmp_path.glob("cache.db*"))


def test_what_is_forgotten_is_not_there_and_not_readable_in_the_file(
    tmp_path: Path, cache: ResultCache
) -> None:
    put(cache, "page", noise(50_000, 1))
    put(cache, "other", noise(50_000, 2))

    cache.forget([b"page", b"unknown"])

    assert held(cache, "page", "other") == ["other"]
    cache.close()
    assert noise(50_000, 1)[:64] not in (tmp_path / "cache.db").read_bytes()


# Damage


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_byte_in_a_value_is_a_miss_and_the_rest_stays(
    tmp_path: Path, cache: ResultCache, seed: int
) -> None:
    put(cache, "good", b"good" * 1000)
    put(cache, "bad", noise(3000, seed))
    with closing(raw(tmp_path)) as connection:
        row, value = connection.execute("SELECT id, value FROM content ORDER BY id DESC LIMIT 1").fetchone()
        flipped = bytearray(value)
        flipped[seed * 1000] ^= 1 << seed
        connection.execute("UPDATE content SET value = ? WHERE id = ?", (bytes(flipped), row))

    assert held(cache, "bad", "good") == ["good"]
    # It was taken out, so the next one is kept.
    put(cache, "bad", b"mended")
    assert held(cache, "bad", "good") == ["bad", "good"]


def test_the_value_of_another_key_is_a_miss(tmp_path: Path, cache: ResultCache) -> None:
    put(cache, "one", b"1")
    put(cache, "two", b"2")
    with closing(raw(tmp_path)) as connection:
        connection.execute("UPDATE content SET value = (SELECT value FROM content WHERE id = 1)")
    assert held(cache, "one", "two") == ["one"]


def test_nothing_that_is_kept_or_looked_for_can_be_read_in_the_file(
    tmp_path: Path, cache: ResultCache
) -> None:
    value = b"the words of a balloon " * 10
    put(cache, "a telling key", value)
    put(cache, "noise", noise(5000, 1))
    cache.close()
    everything = b"".join(path.read_bytes() for path in tmp_path.glob("cache.db*"))
    assert everything
    for told in (b"a telling key", value[:16], zlib.compress(value, 1)[:16], noise(5000, 1)[100:116]):
        assert told not in everything


def test_what_was_made_for_one_is_not_found_by_another(tmp_path: Path) -> None:
    keys = open_keys(tmp_path, unlock_folder=keyrings_folder())
    fox, hare = keys.subject("the fox"), keys.subject("the hare")
    with closing(ResultCache(tmp_path, keys, budget_bytes=PLENTY)) as cache:
        cache.of_subject(fox).put(b"key", b"tile of the fox", kind="tile", seconds=1.0)
        assert cache.of_subject(hare).get(b"key") is None
        assert cache.of_subject(hare).look(b"key") is None
        cache.of_subject(hare).put(b"key", b"tile of the hare", kind="tile", seconds=1.0)
        assert cache.of_subject(fox).get(b"key") == Kept(b"tile of the fox", None, 1.0)

        cache.forget_subject(fox)

        assert cache.of_subject(fox).get(b"key") is None
        assert cache.of_subject(hare).get(b"key") == Kept(b"tile of the hare", None, 1.0)


def test_what_was_kept_for_one_who_was_erased_is_not_there_and_nothing_new_is_kept(tmp_path: Path) -> None:
    keys = open_keys(tmp_path, unlock_folder=keyrings_folder())
    fox = keys.subject("the fox")
    with closing(ResultCache(tmp_path, keys, budget_bytes=PLENTY)) as cache:
        of_fox = cache.of_subject(fox)
        of_fox.put(b"key", b"tile", kind="tile", seconds=1.0)
        keys.erase(fox)

        assert of_fox.look(b"key") is None
        of_fox.put(b"new", b"tile", kind="tile", seconds=1.0)
        # Noise by now, and nothing was added.
        assert cache.figures().tiles == 1
        # Asked for, it is found out that nobody can read it.
        assert of_fox.get(b"key") is None
        assert cache.figures().tiles == 0
        # It is no reason to keep still.
        put(cache, "of others")
        assert held(cache, "of others") == ["of others"]


def _overwrite(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def _scramble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    # All pages but the first: the tables are there, and none of their trees is.
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _of_old(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP TABLE content; PRAGMA user_version = 0")


def _of_later(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")


@pytest.mark.parametrize("damage", [_overwrite, _scramble, _cut, _of_old, _of_later])
def test_a_damaged_file_is_thrown_away_and_begun_anew(
    tmp_path: Path, cache: ResultCache, damage: Callable[[Path], None]
) -> None:
    for number in range(20):
        put(cache, str(number), noise(10_000, number))
    cache.close()
    damage(tmp_path / "cache.db")

    found = [cache.get(b"%d" % number) for number in range(20)]
    assert all(kept is None or kept.value == noise(10_000, number) for number, kept in enumerate(found))
    assert cache.blobs() == set()
    for number in range(20):
        put(cache, f"new {number}")
    assert held(cache, "new 1", "new 19") == ["new 1", "new 19"]
    with closing(raw(tmp_path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_two_that_find_the_same_damage_throw_the_file_away_once(tmp_path: Path, cache: ResultCache) -> None:
    other = ResultCache(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=PLENTY)
    for number in range(20):
        put(cache, str(number), noise(10_000, number))
    other.get(b"1")
    cache.close()
    other.get(b"1")
    with closing(raw(tmp_path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    _scramble(tmp_path / "cache.db")

    for number in range(20):
        cache.get(b"%d" % number)
    put(cache, "new", b"mine")
    put(other, "other", b"theirs")

    assert held(cache, "new", "other") == held(other, "new", "other") == ["new", "other"]
    other.close()


# Trouble with the disk and with others


class Failing:
    """A connection that fails with an error of SQLite when told to."""

    def __init__(self, connection: sqlite3.Connection, code: int) -> None:
        self._connection = connection
        self._code = code
        self.is_failing = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, *arguments: Any) -> Any:
        if self.is_failing:
            error = sqlite3.OperationalError("made up")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(*arguments)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_READONLY])
def test_while_the_disk_refuses_it_keeps_still_for_a_minute(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    cache = ResultCache(
        tmp_path,
        open_keys(tmp_path, unlock_folder=keyrings_folder()),
        budget_bytes=PLENTY,
        clock=lambda: now,
    )
    put(cache, "before")
    failing = Failing(cache._file.open(), code)
    monkeypatch.setattr(cache._file, "open", lambda: failing)

    put(cache, "lost")
    failing.is_failing = False
    assert held(cache, "before", "lost") == []
    now = 61.0
    put(cache, "after")
    assert held(cache, "before", "lost", "after") == ["before", "after"]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = ResultCache(
        tmp_path / "file" / "data",
        open_keys(tmp_path, unlock_folder=keyrings_folder()),
        budget_bytes=PLENTY,
    )
    put(cache, "key")
    assert held(cache, "key") == []
    assert cache.figures() == CacheFigures(budget_bytes=PLENTY)
    cache.close()


def test_memory_that_runs_out_is_no_error(cache: ResultCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(cache_entries.zlib, "compress", fail)
    put(cache, "key")
    assert held(cache, "key") == []


def test_one_that_writes_for_long_is_not_waited_for(tmp_path: Path, cache: ResultCache) -> None:
    put(cache, "before")
    with closing(connect(tmp_path / "cache.db", durable=False)) as writing:
        writing.execute("BEGIN IMMEDIATE")
        put(cache, "meanwhile")
        assert held(cache, "before", "meanwhile") == ["before"]
        assert not cache.clear()
        writing.execute("ROLLBACK")
    # Nobody was offended: the next one is kept.
    put(cache, "after")
    assert held(cache, "before", "after") == ["before", "after"]


def test_killed_while_it_writes_all_that_was_put_is_there(tmp_path: Path, start_python: StartPython) -> None:
    for round_number in range(3):
        process = start_python(PUT_FOR_EVER, tmp_path)
        assert process.stdout is not None
        for _ in range(10 + 7 * round_number):
            acknowledged = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

        with closing(
            ResultCache(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=PLENTY)
        ) as cache:
            for number in range(acknowledged):
                kept = cache.get(b"%d" % number)
                assert kept is not None
                assert kept.value == b"%d " % number * 20_000
            with closing(raw(tmp_path)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
                total = connection.execute("SELECT sum(size_bytes) FROM entry").fetchone()[0]
            assert cache.figures().size_bytes == total


def test_two_processes_share_it(tmp_path: Path, start_python: StartPython) -> None:
    processes = [start_python(PUT_AND_GET, tmp_path, name) for name in ("a", "b")]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    wrong = [process.communicate()[0] for process in processes]

    assert wrong == ["0\n", "0\n"]
    cache = ResultCache(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=PLENTY)
    keys = [f"{whose} {number}" for whose in ("own a", "own b", "common") for number in range(150)]
    # A put that meets another one waits for it a quarter of a second.
    assert len(held(cache, *keys)) > 400
    with closing(raw(tmp_path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    cache.close()


def test_many_threads_share_it(cache: ResultCache) -> None:
    wrong: list[int] = []

    def work(first: int) -> None:
        for number in range(first, first + 40):
            put(cache, str(number), b"%d " % number * 100)
            kept = cache.get(b"%d" % number)
            if kept is None or kept.value != b"%d " % number * 100:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 20, 40, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.figures().tiles == 100
