"""Upkeep that schedules ask for."""

from contextlib import closing
from pathlib import Path

from audobon.backup.service import Backups
from audobon.config import keyrings_folder
from audobon.database.service import Database
from audobon.jobs.maintenance import Upkeep, maintain
from audobon.keys.unlocking import open_keys
from audobon.queue.embedded import SqliteQueue
from audobon.storage.result_cache import ResultCache
from audobon.storage.service import Storage


def no_backups() -> Backups:
    raise AssertionError("upkeep of blobs opens no backups")


def test_sweeping_leaves_the_pages_that_the_result_cache_names(tmp_path: Path, storage: Storage) -> None:
    keys = open_keys(tmp_path, unlock_folder=keyrings_folder())
    cache = ResultCache(tmp_path, keys, budget_bytes=64 << 20)
    kept, needless = storage.put(b"a page that is kept"), storage.put(b"a page of a job that ended")
    cache.put(b"key", b"", kind="page", seconds=1.0, blob=kept, blob_bytes=19)

    with closing(Database(tmp_path).open()) as connection, SqliteQueue(connection) as queue:
        swept = maintain("sweep-blobs", Upkeep(connection, queue, storage, cache, keys, tmp_path, no_backups))
        assert (swept, storage.has(kept), storage.has(needless)) == ('{"freed_bytes":26}', True, False)
        cache.clear()
        assert (
            maintain("sweep-blobs", Upkeep(connection, queue, storage, cache, keys, tmp_path, no_backups))
            == '{"freed_bytes":19}'
        )
    cache.close()
