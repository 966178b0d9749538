"""Seals what tasks say, each with the key of the subject it belongs to.

Sealed are payloads, results, the messages of failures, and notes. Ids, states, instants, sizes, kinds, models
and reasons stay readable (docs/decisions/0021).
"""

from typing import Literal, overload

from audobon.errors import SubjectErased
from audobon.keys.service import Keys

Cell = Literal["task.payload", "task.result", "task.error_message", "task_event.detail", "schedule.payload"]
"""A column whose texts are sealed."""

ERASED = "erased"
"""What stands for a text whose subject was erased."""

ERASED_JSON = '{"erased":true}'
"""The same where JSON is expected."""

_HOLDING_JSON = ("task.payload", "task.result", "schedule.payload")


def cell_context(cell: str, row: object) -> bytes:
    """Return what binds a sealed text to its place: the column, and the id of its row."""
    return f"{cell}\0{row}".encode()


class Seals:
    """Seals and unseals the texts of the queue.

    keys  None: texts stay as they are, as they do where a queue is tried or measured without a keyring
    """

    def __init__(self, keys: Keys | None) -> None:
        self._keys = keys

    @overload
    def seal(self, subject: str, text: str, cell: Cell, row: object) -> str: ...
    @overload
    def seal(self, subject: str, text: str | None, cell: Cell, row: object) -> str | None: ...
    def seal(self, subject: str, text: str | None, cell: Cell, row: object) -> str | None:
        """Return a text sealed for its place; nothing stays nothing.

        What comes of a task whose subject was erased meanwhile is not kept; only that it is erased.
        raises  SubjectErased when it is a payload
        """
        if self._keys is None or not text:
            return text
        try:
            return self._keys.seal_text(subject, text, context=cell_context(cell, row))
        except SubjectErased:
            if cell in ("task.payload", "schedule.payload"):
                raise
            return _stand_in(cell)

    @overload
    def unseal(self, text: str, cell: Cell, row: object) -> str: ...
    @overload
    def unseal(self, text: str | None, cell: Cell, row: object) -> str | None: ...
    def unseal(self, text: str | None, cell: Cell, row: object) -> str | None:
        """Return what was sealed for this place; of an erased subject, that it is erased.

        raises  CorruptKeyring when it was changed, or sealed for another place
        """
        if self._keys is None or not text:
            return text
        try:
            return self._keys.unseal_text(text, context=cell_context(cell, row))
        except SubjectErased:
            return _stand_in(cell)


def _stand_in(cell: Cell) -> str:
    return ERASED_JSON if cell in _HOLDING_JSON else ERASED
