"""What recovery looks after."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from audobon.clock import Clock, utc_now
from audobon.database.service import Database
from audobon.keys.protector import Protectors
from audobon.keys.service import Keys
from audobon.storage.service import Storage
from audobon.telemetry.logs import Log

if TYPE_CHECKING:
    # Dear to import, and needed only when something is amiss.
    from audobon.backup.service import Backups


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of one data folder.

    backups          opens its backups, when they are needed
    is_shipped       whether its database is shipped into its own copy
    settle           removes what a restore brought back of whoever is erased; returns their ids
    told_of_storage  holds in words what the storage mended by itself when it was opened
    """

    folder: Path
    keys: Keys
    protectors: Protectors
    database: Database
    storage: Storage
    log: Log
    backups: "Callable[[], Backups]"
    is_shipped: bool
    settle: Callable[[], list[str]]
    told_of_storage: list[str]
    clock: Clock = utc_now
