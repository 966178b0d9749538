"""What the process that tries a user's model is asked, and what it answers; light, for both sides."""

from typing import Literal

import msgspec

from audobon.models.card import Card, Footprint, Golden, Memory

UNMEASURED = Memory(fast=Footprint({1: 1}, 1.0), lean=Footprint({1: 1}, 1.0))
UNPROVED = Golden((1,), (1,), (), (), 0.0, 0.0)
"""What stands in a card until they are known."""


class Limits(msgspec.Struct, frozen=True):
    """What the process may take; the system ends it beyond that.

    memory_bytes  addresses it may use, of which most are never filled
    seconds       of clock time; of processor time, so many on every processor
    file_bytes    largest file it may write
    """

    memory_bytes: int
    seconds: float
    file_bytes: int


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to be done with a model.

    act            check: the file alone, nothing of it is run; prepare: optimise it into `models_folder`;
                   prove: run it, against what its card says; weigh: what running it takes
    card           with `file` set
    side, lean     of weigh: the tile's side in pixels, and the way to run
    """

    act: Literal["check", "prepare", "prove", "weigh"]
    card: Card
    models_folder: str
    threads: int
    limits: Limits
    side: int = 0
    lean: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; `code` is set when it is an error, with `message` and `hint` for people.

    golden       of prove
    tile_exact   of prove: pages cut into two sizes of tiles, and not cut, came out the same
    peak_bytes   of weigh: growth of the process at its peak, weights included
    seconds      of weigh: processor time of one run
    """

    code: str | None = None
    message: str = ""
    hint: str | None = None
    golden: Golden | None = None
    tile_exact: bool = False
    peak_bytes: int = 0
    seconds: float = 0.0
