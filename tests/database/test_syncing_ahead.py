"""A file that is synced while it grows is on the disk in the end, or the error is told."""

import os
from pathlib import Path

import pytest

from audobon.database import syncing_ahead
from audobon.database.syncing_ahead import SyncingAhead

MUCH = 64 << 20


def test_an_error_of_an_early_sync_is_told_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [OSError(5, "the disk failed")]
    synced: list[int] = []

    def fsync(descriptor: int) -> None:
        if failures:
            raise failures.pop()
        synced.append(descriptor)

    monkeypatch.setattr(syncing_ahead.os, "fsync", fsync)
    with (tmp_path / "file").open("wb") as file:
        syncing = SyncingAhead(file.fileno())
        syncing.wrote(MUCH)
        syncing.begin_last()
        with pytest.raises(OSError, match="the disk failed"):
            syncing.finish()
        assert synced == [file.fileno()]


def test_what_is_written_last_is_synced_after_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(
        syncing_ahead.os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size)
    )
    with (tmp_path / "file").open("wb", buffering=0) as file:
        syncing = SyncingAhead(file.fileno())
        file.truncate(MUCH)
        syncing.wrote(MUCH)
        file.truncate(MUCH + 1)
        syncing.wrote(1)
        syncing.begin_last()
        syncing.finish()
    assert sizes[-1] == MUCH + 1
    assert len(sizes) == 2
