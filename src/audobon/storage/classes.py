"""The classes of Cloud Storage: which tier each is here, and what it costs for how long at least."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from audobon.storage.port import Tier

StorageClass = Literal["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"]
"""From the dearest to keep to the cheapest."""

CLASSES: tuple[StorageClass, ...] = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")

TIER_OF_CLASS: dict[StorageClass, Tier] = {
    "STANDARD": "standard",
    "NEARLINE": "nearline",
    "COLDLINE": "nearline",
    "ARCHIVE": "archive",
}
"""Here COLDLINE lies in the folder of nearline, and counts as NEARLINE from then on."""

CLASS_OF_TIER: dict[Tier, StorageClass] = {
    "standard": "STANDARD",
    "nearline": "NEARLINE",
    "archive": "ARCHIVE",
}

_GIB = 1 << 30
_MONTH_DAYS = 30


class ClassPrice(msgspec.Struct, frozen=True):
    """What a class costs.

    minimum_days              paid for at least so long after its creation, also when deleted before
    usd_per_thousand_changes  for moving objects into the class, each counted once
    """

    minimum_days: int
    usd_per_gib_month: float
    usd_per_thousand_changes: float


class PriceList(msgspec.Struct, frozen=True):
    """The prices of all classes, where they were read and when."""

    source: str
    read_on: str
    of: dict[StorageClass, ClassPrice]

    def month_usd(self, storage_class: StorageClass, size_bytes: int) -> float:
        """Return what a month of keeping costs."""
        return self.of[storage_class].usd_per_gib_month * size_bytes / _GIB

    def move_usd(self, storage_class: StorageClass, objects: int) -> float:
        """Return what it costs to move objects into a class by rule: a fee for each, whatever its size."""
        return self.of[storage_class].usd_per_thousand_changes * objects / 1000

    def early_usd(self, storage_class: StorageClass, size_bytes: int, *, age_days: float) -> float:
        """Return the rest of the minimum that is due when it is deleted at this age."""
        missing = max(0.0, self.of[storage_class].minimum_days - age_days)
        return self.month_usd(storage_class, size_bytes) * missing / _MONTH_DAYS


@cache
def price_list() -> PriceList:
    """Return the prices that Audobon ships with."""
    tree = tomllib.loads(Path(__file__).with_name("prices.toml").read_text(encoding="utf-8"))
    classes = {name: tree[name] for name in CLASSES}
    return msgspec.convert(tree | {"of": classes}, PriceList)


def dollars(usd: float) -> str:
    """Return an amount as people read it: "$1,204", "$3.40", "$0.0012", "$0"."""
    if usd >= 1000:
        return f"${usd:,.0f}"
    if usd >= 0.1 or usd == 0:
        return f"${usd:,.2f}" if usd else "$0"
    return f"${usd:.2g}" if usd >= 0.0001 else "under $0.0001"
