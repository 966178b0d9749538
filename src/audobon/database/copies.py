"""The copy of the database that each data folder keeps of itself, and who ships into it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from audobon.storage.embedded import FolderObjectStore

if TYPE_CHECKING:
    from audobon.database.continuous import ContinuousShipping
    from audobon.database.pruning import Pruned
    from audobon.keys.service import Keys


def own_copy(folder: Path) -> FolderObjectStore:
    """Return the store into which the database of a data folder is shipped: its folder `wal`."""
    return FolderObjectStore({"standard": folder})


def prune_own_copy(folder: Path, keys: "Keys", *, keep_days: float, is_dry_run: bool = False) -> "Pruned":
    """Remove what the copy of a data folder keeps no longer."""
    from audobon.database.pruning import prune_shipped

    return prune_shipped(own_copy(folder), keys, keep_days=keep_days, is_dry_run=is_dry_run)


def ship_before_answers(folder: Path, keys: "Keys") -> "ContinuousShipping":
    """Return what ships the database of a data folder before what is committed counts; prunes nothing."""
    from audobon.database.continuous import ContinuousShipping
    from audobon.database.shipping import Shipper

    path = folder / "audobon.db"
    return ContinuousShipping(path, lambda: Shipper(path, own_copy(folder), keys), mode="sync", seconds=1.0)


def continuous_shipping(
    folder: Path,
    keys: "Keys",
    *,
    mode: str,
    seconds: float,
    keep_days: float,
    tell: Callable[[str], None] = lambda _: None,
) -> "ContinuousShipping":
    """Return what ships the database of a data folder while it is open."""
    import msgspec

    from audobon.database.continuous import ContinuousShipping, ShippingMode
    from audobon.database.shipping import Shipper

    store = own_copy(folder)

    def prune() -> None:
        prune_own_copy(folder, keys, keep_days=keep_days)

    return ContinuousShipping(
        folder / "audobon.db",
        lambda: Shipper(folder / "audobon.db", store, keys),
        mode=msgspec.convert(mode, ShippingMode),
        seconds=seconds,
        tell=tell,
        after_snapshot=prune,
    )
