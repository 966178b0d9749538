"""What a scrub found, and when that is an error."""

import msgspec

from audobon.errors import CorruptBlob


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """A pack that was not as it was written.

    mended  how it was set right; None: it could not be, or it was only looked at
    lost    keys of blobs that cannot be read any more
    """

    pack: str
    what: str
    mended: str | None
    lost: list[str]


class Scrubbed(msgspec.Struct, frozen=True, kw_only=True):
    """What scrubbing found.

    left_packs    that have not had their turn yet
    found_packs   that the index did not know; taken in or removed
    index_faults  in which the index differed from the packs; mended unless it was only looked at
    news          what was found amiss, and mended, when storage was opened
    """

    packs: int
    blobs: int
    read_bytes: int
    left_packs: int
    seconds: float
    found_packs: int
    index_faults: list[str]
    news: list[str]
    damages: list[Damage]
    is_dry: bool

    @property
    def faults(self) -> list[str]:
        """All that was not as it should be, mended or not, in words."""
        hurt = [f"{damage.pack}: {damage.what}" for damage in self.damages]
        unknown = [f"packs that the index did not know: {self.found_packs}"] if self.found_packs else []
        return self.news + self.index_faults + unknown + hurt

    @property
    def unmended(self) -> list[Damage]:
        """What could not be set right."""
        return [damage for damage in self.damages if damage.mended is None]


def refuse(found: Scrubbed) -> None:
    """Raise CorruptBlob when anything is amiss that was not mended, naming the first of it."""
    if found.is_dry:
        faults = found.faults
        hint = "audobon storage scrub --all"
    else:
        faults = [f"{damage.pack}: {damage.what}" for damage in found.unmended]
        hint = "run the jobs again that need it; what is in a backup place is mended: audobon backup add"
    if faults:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise CorruptBlob(f"{faults[0]}{more}", hint=hint)
