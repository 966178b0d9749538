"""The words in which the command line speaks of blobs and packs."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from audobon.cli.queue_words import columns, moment
from audobon.cli.terminal import one_line
from audobon.errors import InvalidInput
from audobon.storage.facts import BlobInfo, PackInfo, Usage
from audobon.storage.port import TIERS, Tier

_KEY_CHARS = 16
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class TierUsage(msgspec.Struct, frozen=True):
    """What one tier takes; as `Usage`."""

    tier: Tier
    folder: str
    blobs: int
    packs: int
    size_bytes: int
    stored_bytes: int
    dead_bytes: int


def size(count_bytes: int) -> str:
    """Return a size in three figures, in units of 1024: "12 B", "3.4 MB"."""
    if count_bytes < 1 << 10:
        return f"{count_bytes} B"
    units = ["KB", "MB", "GB", "TB"]
    amount = count_bytes / 1024
    while amount >= 1000 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    unit = units[0]
    return f"{amount:.1f} {unit}" if amount < 100 else f"{amount:.0f} {unit}"


def parse_size(text: str) -> int:
    """Return the bytes of "4MB", "1.5G" or "100". raises InvalidInput."""
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([KMGT]?)(?:I?B)?\s*", text.upper(), re.ASCII)
    if match is None:
        raise InvalidInput(f"{text!r} is not a size", hint="write it like 100KB or 4MB")
    return int(float(match[1]) * _UNITS[match[2]])


def blob_table(found: Sequence[BlobInfo], names: Mapping[str, str]) -> list[str]:
    """Return blobs as lines under headings; `names` are those of subjects."""
    rows = [
        (
            blob.key[:_KEY_CHARS],
            blob.kind,
            names.get(blob.subject, blob.subject),
            blob.tier,
            size(blob.size_bytes),
            moment(blob.created_at),
            _held(blob),
        )
        for blob in found
    ]
    return columns(("key", "kind", "of", "tier", "size", "stored", "held"), rows, right=("size",))


def pack_table(found: Sequence[PackInfo], names: Mapping[str, str]) -> list[str]:
    """Return packs as lines under headings."""
    rows = [
        (
            pack.id[:_KEY_CHARS],
            pack.state,
            pack.kind,
            names.get(pack.subject, pack.subject),
            pack.tier,
            str(pack.blobs),
            size(pack.size_bytes),
            f"{100 * pack.live_bytes // max(1, pack.size_bytes)} %",
            moment(pack.created_at),
        )
        for pack in found
    ]
    headings = ("pack", "state", "kind", "of", "tier", "blobs", "size", "alive", "begun")
    return columns(headings, rows, right=("blobs", "size", "alive"))


def usage_table(found: Sequence[Usage], names: Mapping[str, str]) -> list[str]:
    """Return what blobs take, with their sum."""
    rows: list[tuple[str, ...]] = [
        (
            names.get(each.subject, each.subject),
            each.kind,
            each.tier,
            str(each.blobs),
            size(each.size_bytes),
            str(each.packs),
            size(each.stored_bytes),
            size(each.dead_bytes),
        )
        for each in found
    ]
    rows.append(
        (
            "all",
            "",
            "",
            str(sum(each.blobs for each in found)),
            size(sum(each.size_bytes for each in found)),
            str(sum(each.packs for each in found)),
            size(sum(each.stored_bytes for each in found)),
            size(sum(each.dead_bytes for each in found)),
        )
    )
    headings = ("of", "kind", "tier", "blobs", "size", "packs", "in packs", "dead")
    return columns(headings, rows, right=("blobs", "size", "packs", "in packs", "dead"))


def tiers_of(found: Sequence[Usage], folder_of: Callable[[Tier], Path]) -> list[TierUsage]:
    """Return what each tier takes, all kinds and subjects together, also the empty ones."""
    return [
        TierUsage(
            tier,
            str(folder_of(tier)),
            sum(each.blobs for each in found if each.tier == tier),
            sum(each.packs for each in found if each.tier == tier),
            sum(each.size_bytes for each in found if each.tier == tier),
            sum(each.stored_bytes for each in found if each.tier == tier),
            sum(each.dead_bytes for each in found if each.tier == tier),
        )
        for tier in TIERS
    ]


def tier_table(tiers: Sequence[TierUsage]) -> list[str]:
    """Return what tiers take, a line each."""
    rows = [
        (
            each.tier,
            str(each.blobs),
            size(each.size_bytes),
            str(each.packs),
            size(each.stored_bytes),
            size(each.dead_bytes),
            one_line(each.folder),
        )
        for each in tiers
    ]
    headings = ("tier", "blobs", "size", "packs", "in packs", "dead", "folder")
    return columns(headings, rows, right=("blobs", "size", "packs", "in packs", "dead"))


def blob_lines(blob: BlobInfo, names: Mapping[str, str]) -> list[str]:
    """Return all that is known of a blob, a line each."""
    facts = {
        "key": blob.key,
        "kind": blob.kind,
        "of": names.get(blob.subject, blob.subject),
        "tier": blob.tier,
        "pack": blob.pack,
        "size": f"{size(blob.size_bytes)}, {size(blob.stored_bytes)} as stored",
        "stored": moment(blob.created_at),
        "reads": str(blob.reads) + (f", last {moment(blob.last_read_at)}" if blob.last_read_at else ""),
        "held": _held(blob),
    }
    if blob.custom_time is not None:
        facts["custom time"] = moment(blob.custom_time)
    if blob.is_legacy:
        facts["named by"] = "the plain hash of its bytes, as an older Audobon did"
    if blob.dead_at is not None:
        facts["removed"] = moment(blob.dead_at)
    return [f"{name:<11}  {value}" for name, value in facts.items()]


def _held(blob: BlobInfo) -> str:
    held = []
    if blob.event_hold:
        held.append("event")
    if blob.temporary_hold:
        held.append("temporary")
    if blob.kept_until is not None:
        held.append(f"until {moment(blob.kept_until)}")
    return ", ".join(held) or "no"
