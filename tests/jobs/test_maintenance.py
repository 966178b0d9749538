"""Upkeep that schedules ask for."""

import json
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

from audobon.backup.service import Backups
from audobon.config import keyrings_folder
from audobon.database.copies import own_copy
from audobon.database.service import Database
from audobon.database.shipping import Shipper
from audobon.jobs.maintenance import Upkeep, maintain
from audobon.jobs.records import JobRecords
from audobon.keys.unlocking import open_keys
from audobon.queue.embedded import SqliteQueue
from audobon.storage.lifecycle_rules import parse_rules
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


def test_the_rules_of_the_lifecycle_leave_what_an_unfinished_job_needs(
    tmp_path: Path, storage: Storage
) -> None:
    needed, old = storage.put(b"n" * (1 << 20), kind="page"), storage.put(b"o" * (1 << 20), kind="page")
    with storage.index.changing() as index:
        index.execute("UPDATE blob SET created_at = created_at - 100 * 86400")
    storage.tiering.set_rules(
        parse_rules(
            b'{"rule":[{"action":{"type":"Delete"},"condition":{"age":90,"matchesPrefix":["page/"]}},'
            b'{"action":{"type":"SetStorageClass","storageClass":"NEARLINE"},"condition":{"age":30}}]}'
        )
    )
    keys = open_keys(tmp_path, unlock_folder=keyrings_folder())
    cache = ResultCache(tmp_path, keys, budget_bytes=64 << 20)
    with closing(Database(tmp_path).open()) as connection, SqliteQueue(connection) as queue:
        upkeep = Upkeep(connection, queue, storage, cache, keys, tmp_path, no_backups)
        records = JobRecords(connection, keys)
        with patch.object(JobRecords, "needed_blobs", lambda self: {needed}):
            told = json.loads(maintain("run-lifecycle", upkeep))
        assert records.needed_blobs() == set()
        assert (told["deleted_packs"], told["moved_packs"]) == (1, 0)
        assert (storage.has(needed), storage.has(old)) == (True, False)
        assert json.loads(maintain("run-lifecycle", upkeep))["deleted_packs"] == 1
    cache.close()


def test_the_copy_of_the_database_is_pruned_as_the_settings_say(tmp_path: Path, storage: Storage) -> None:
    keys = open_keys(tmp_path, unlock_folder=keyrings_folder())
    cache = ResultCache(tmp_path, keys, budget_bytes=64 << 20)
    with closing(Database(tmp_path).open()) as connection, SqliteQueue(connection) as queue:
        upkeep = Upkeep(connection, queue, storage, cache, keys, tmp_path, no_backups)
        with closing(Shipper(tmp_path / "audobon.db", own_copy(tmp_path), keys)) as shipper:
            shipper.ship()
        # A generation that never got its snapshot leads nowhere.
        with own_copy(tmp_path).create("wal/000000000000-00000000/000000000002.segment") as file:
            file.write(bytes(100))
        assert json.loads(maintain("prune-database", upkeep)) == {"removed_objects": 1, "freed_bytes": 100}
        assert json.loads(maintain("prune-database", upkeep)) == {"removed_objects": 0, "freed_bytes": 0}
    cache.close()
