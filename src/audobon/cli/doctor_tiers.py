"""What `audobon doctor` says of the folders of the tiers; information, never a fault."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audobon.settings import StorageSettings


def tiers_on_one_disk(storage: "StorageSettings") -> list[str]:
    """Return the tiers that lie on the same disk as the standard one, so that moving there frees no room."""
    from audobon.compute.disks import existing_part

    standard = existing_part(storage.folder / "blobs").stat().st_dev
    folders = {
        "nearline": storage.folder if storage.nearline == Path() else storage.nearline,
        "archive": storage.folder if storage.archive == Path() else storage.archive,
    }
    return [tier for tier, folder in folders.items() if existing_part(folder).stat().st_dev == standard]


def in_one_line(storage: "StorageSettings") -> str:
    """Return what a person should know of the tiers."""
    same = tiers_on_one_disk(storage)
    if not same:
        return "tiers: nearline and archive lie on other disks than the rest"
    lie = "lie" if len(same) > 1 else "lies"
    settings = " and ".join(f"storage.{tier}" for tier in same)
    return (
        f"tiers: {' and '.join(same)} {lie} on the disk of the rest, so moving there frees no room;"
        f" {settings} can name another"
    )
