"""What storage is told of how to keep blobs, and what it tells of them."""

from typing import Literal, get_args

import msgspec

from audobon.storage.port import Tier

Kind = Literal["page", "result", "other", "user"]
"""page: a file of a document; result: what was made of a page; user: put by a person, never swept."""

KINDS: tuple[Kind, ...] = get_args(Kind)

PackState = Literal["open", "sealed"]
"""open: blobs are appended to it; sealed: it never changes again."""


class BlobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a blob; instants are UTC seconds.

    offset           of its record in the pack
    stored_bytes     that its encrypted stream takes in the pack
    size_bytes       of its own bytes
    event_hold, temporary_hold, kept_until   what forbids to remove it; see `Storage.annotate`
    dead_at          when it was found to be needed no more; None: it is alive
    """

    key: str
    subject: str
    kind: Kind
    tier: Tier
    pack: str
    offset: int
    stored_bytes: int
    size_bytes: int
    is_packed: bool
    is_legacy: bool
    created_at: float
    reads: int
    last_read_at: float | None
    custom_time: float | None
    event_hold: bool
    temporary_hold: bool
    kept_until: float | None
    dead_at: float | None


class PackInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a pack.

    name          of the object in its store
    tier_since    when it came into its tier
    size_bytes    of the file; of an open pack, as far as the index knows it
    digest        BLAKE3 of the whole sealed file, in hexadecimal; None while it is open
    blobs         that are alive, and live_bytes what they take in it
    noncurrent_at when its last blob died
    verified_at   when every byte of it was last proved
    """

    id: str
    name: str
    subject: str
    kind: Kind
    tier: Tier
    tier_since: float
    state: PackState
    size_bytes: int
    digest: str | None
    created_at: float
    noncurrent_at: float | None
    verified_at: float | None
    blobs: int
    live_bytes: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one subject, kind and tier take.

    size_bytes    of the blobs themselves
    stored_bytes  of the packs on the disk
    dead_bytes    of the packs' bytes, those that hold no living blob
    """

    subject: str
    kind: Kind
    tier: Tier
    blobs: int
    packs: int
    size_bytes: int
    stored_bytes: int
    dead_bytes: int


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """How blobs are kept, as it is handed to workers.

    nearline, archive  folders of these tiers; empty: beside the others
    keep_removed_days  for how long what was removed can be brought back
    keep_days          by kind: what is younger is not removed
    scrub_days         within so many days every byte is read and proved
    """

    nearline: str = ""
    archive: str = ""
    keep_removed_days: float = 0.0
    keep_days: dict[str, float] = {}
    scrub_days: float = 30.0
