"""Puts a restored database in the place of the one in use, which is kept."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from audobon.atomic import disk_errors, sync_folder
from audobon.clock import utc_now
from audobon.database.restoring import Restored, restore_database
from audobon.keys.service import Keys
from audobon.storage.port import ObjectStore

KEPT = "before-restore"
"""The folder beside the database in which each one that was replaced has a folder of its own."""


def restore_in_place(
    store: ObjectStore,
    keys: Keys,
    path: Path,
    *,
    to: datetime | int | None = None,
    as_far_as_possible: bool = False,
) -> tuple[Restored, Path | None]:
    """Restore over the database in use; return what was made, and the folder that has what was there.

    Nobody may have it open. Until the restored one is whole and checked, what is there stays in its place; a
    kill in between leaves it there or in the folder, and the same call goes on.
    raises  as `restore_database`
    """
    kept = _keep(path)
    try:
        restored = restore_database(
            store, keys, path, to=to, overwrite=True, as_far_as_possible=as_far_as_possible
        )
    except BaseException:
        if kept is not None and path.exists():
            shutil.rmtree(kept, ignore_errors=True)
        raise
    return restored, kept


def _keep(path: Path) -> Path | None:
    """Give the files of a database second names in a folder of their own; None when there are none."""
    files = [file for name in (path, f"{path}-wal") if (file := Path(name)).exists()]
    if not files:
        return None
    stamp = datetime.fromtimestamp(utc_now(), UTC).strftime("%Y%m%d-%H%M%S")
    folder, number = path.parent / KEPT / stamp, 1
    with disk_errors(folder):
        while folder.exists():
            number += 1
            folder = folder.with_name(f"{stamp}-{number}")
        folder.mkdir(parents=True, mode=0o700)
        for file in files:
            target = folder / file.name
            try:
                os.link(file, target)
            except OSError:
                # Not every file system has two names for one file.
                shutil.copy2(file, target)
        sync_folder(folder)
        sync_folder(folder.parent)
    return folder
