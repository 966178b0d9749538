"""What is noted of blobs so that it survives the loss of the index: holds, terms, instants, removals.

A note tells the whole state of one blob, and lies encrypted among the records of a pack of its subject and
kind. The last one counts: they are numbered.
"""


import msgspec

_NO_ID = bytes(32)
_NUMBER = "notes"


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is noted of one blob.

    key         in hexadecimal
    dead_at     when it was removed by name; None: it was not. What is only swept is not noted: it is found
                to be needed by nobody again
    damaged     packs and offsets at which it was found damaged
    """

    number: int
    key: str
    custom_time: float | None = None
    event_hold: bool = False
    temporary_hold: bool = False
    kept_until: float | None = None
    dead_at: float | None = None
    damaged: tuple[tuple[str, int], ...] = ()


def encode(notes: list[Note]) -> bytes:
    """Return notes as one record holds them."""
    return msgspec.json.encode(notes)


def decode(data: bytes) -> list[Note]:
    """Return what `encode` was given."""
    return msgspec.json.decode(data, type=list[Note])
