"""Whose data it is."""

import secrets
from typing import Any

import msgspec

PERSONAL = "personal"
"""The subject of what is nobody else's: the user of this machine.

As an argument it means whoever that is now: once erased, the user begins anew under another id. What is
written down is the id, `Keys.subject(PERSONAL)`.
"""

SYSTEM = "system"
"""The subject of Audobon's own: settings, the database's file, manifests. Cannot be erased."""


class Subject(msgspec.Struct, frozen=True):
    """A person or a project; instants are UTC seconds. The name of an erased one is its id."""

    id: str
    name: str
    created_at: float
    erased_at: float | None


class DataKey(msgspec.Struct, frozen=True):
    """A key for the bytes of one pack.

    id               names it for good
    subject          the id of whose data it encrypts
    subject_version  of the subject key that wrapped it
    wrapped          what is stored beside the bytes
    key              the key itself; never stored
    """

    id: bytes
    subject: str
    subject_version: int
    wrapped: bytes
    key: bytes

    def __repr__(self) -> str:
        """Tell which it is, not the key: a traceback or a log may show it."""
        return f"DataKey(id={self.id.hex()}, subject={self.subject!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return what `__repr__` tells."""
        return [("id", self.id.hex()), ("subject", self.subject)]


def subject_context(subject: str, version: int) -> bytes:
    """Return what a wrapped subject key is bound to."""
    return b"subject key\0" + f"{subject}\0{version}".encode()


def secret_context(name: str) -> bytes:
    """Return what a wrapped secret is bound to."""
    return b"secret\0" + name.encode()


def new_subject_id() -> str:
    """Return a fresh id of a subject."""
    return secrets.token_hex(8)
