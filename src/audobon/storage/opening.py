"""Opens the storage of a data folder as the settings have it, in the command and in its workers."""

from collections.abc import Callable
from pathlib import Path

from audobon.keys.service import Keys
from audobon.storage.facts import Keeping
from audobon.storage.port import Tier
from audobon.storage.service import Storage


def open_storage(
    folder: Path, keys: Keys, keeping: Keeping, *, tell: Callable[[str], None] = lambda words: None
) -> Storage:
    """Return the storage of a data folder; nothing is read or written before it is used.

    tell  told what was found amiss and mended
    """
    tiers: dict[Tier, Path] = {}
    if keeping.nearline:
        tiers["nearline"] = Path(keeping.nearline)
    if keeping.archive:
        tiers["archive"] = Path(keeping.archive)
    return Storage(
        folder,
        keys,
        tiers=tiers,
        keep_removed_days=keeping.keep_removed_days,
        keep_days=keeping.keep_days,
        scrub_days=keeping.scrub_days,
        tell=tell,
    )
