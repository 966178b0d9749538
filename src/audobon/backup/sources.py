"""What backups are made of, and restored into."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from audobon.clock import Clock, utc_now
from audobon.database.service import Database
from audobon.keys.service import Keys
from audobon.storage.service import Storage


class Progress(msgspec.Struct, frozen=True):
    """How far a command on a place is.

    done_bytes, total_bytes  of the step; 0 and 0 where it has no length
    """

    place: str
    step: str
    done_bytes: int = 0
    total_bytes: int = 0


Tell = Callable[[Progress], None]


def tell_nobody(_: Progress) -> None:
    """Say nothing."""


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a data folder that a backup holds.

    settings_file  None when there is none
    """

    folder: Path
    keys: Keys
    storage: Storage
    database: Database
    settings_file: Path | None = None
    clock: Clock = utc_now
