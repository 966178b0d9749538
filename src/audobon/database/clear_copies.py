"""Removes the copies of a database from before its rows were sealed: no erased key closes them."""

import sys
from contextlib import closing, suppress
from pathlib import Path

from audobon.database import precautions
from audobon.database.copies import own_copy
from audobon.database.generations import generations
from audobon.database.shipping import Shipper
from audobon.errors import ObjectNotFound
from audobon.keys.service import Keys


def forget_clear_copies(path: Path, keys: Keys) -> int:
    """Remove what was copied of a database until now, once there is a new copy; return how many objects.

    For when its rows were sealed a moment ago, and its file and log begun anew.
    raises  DiskFull, Denied, Unavailable; the old copies stay then, and the next call goes on
    """
    count = 0
    for copy in precautions.kept_copies(path):
        copy.path.unlink(missing_ok=True)
        count += 1
    store = own_copy(path.parent)
    # Elsewhere nothing is shipped.
    if sys.platform == "win32" or not generations(store):
        return count
    with closing(Shipper(path, store, keys)) as shipper:
        generation = shipper.ship().generation
        shipper.snapshot(waits=True)
    for old in generations(store):
        if old.name == generation:
            continue
        for entry in (*old.objects(), *old.covered):
            with suppress(ObjectNotFound):
                store.delete(entry.name)
            count += 1
    return count
