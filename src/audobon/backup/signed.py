"""Small JSON documents with a signature: what a repository says of itself."""

from typing import Protocol, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audobon.errors import CorruptBackup, NewerFormat

FORMAT = 1

_Kind = TypeVar("_Kind", bound="Document")


class Signer(Protocol):
    """Who signs: a keyring."""

    def sign(self, data: bytes) -> bytes:
        """Return a signature (Ed25519, 64 bytes)."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What every signed document begins with."""

    format: int = FORMAT


class _Envelope(msgspec.Struct, frozen=True):
    """The bytes that were signed, as they stand, and the signature in base64."""

    body: msgspec.Raw
    signature: bytes


class _Format(msgspec.Struct, frozen=True):
    format: int


def signed(document: Document, signer: Signer) -> bytes:
    """Return a document as a file: JSON, signed as what it is, so that none passes for another."""
    body = msgspec.json.encode(document)
    return msgspec.json.encode(_Envelope(msgspec.Raw(body), signer.sign(_said(type(document), body))))


def opened(data: bytes, kind: type[_Kind], *, public_key: bytes, name: str) -> _Kind:
    """Return the document in a file, its signature checked.

    name    of the file, for the error
    raises  CorruptBackup, NewerFormat
    """
    envelope, document = _parsed(data, kind, name)
    if not _is_by(public_key, envelope, kind):
        raise CorruptBackup(f"{name} does not bear the signature of this repository's keys")
    return document


def is_signed(data: bytes, kind: type[Document], *, public_key: bytes) -> bool:
    """Tell whether a file bears a signature, whatever the format of its document."""
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return _is_by(public_key, envelope, kind)


def unproved(data: bytes, kind: type[_Kind], *, name: str) -> _Kind:
    """Return a document whose signature cannot be checked yet. raises CorruptBackup, NewerFormat."""
    return _parsed(data, kind, name)[1]


def _parsed(data: bytes, kind: type[_Kind], name: str) -> tuple[_Envelope, _Kind]:
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
        written_as = msgspec.json.decode(envelope.body, type=_Format).format
        if written_as > FORMAT:
            raise NewerFormat(f"{name} was written by a newer Audobon", hint="upgrade Audobon")
        return envelope, msgspec.json.decode(envelope.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptBackup(f"{name} is not as it was written") from error


def _is_by(public_key: bytes, envelope: _Envelope, kind: type[Document]) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(envelope.signature, _said(kind, bytes(envelope.body)))
    except (InvalidSignature, ValueError):
        return False
    return True


def _said(kind: type[Document], body: bytes) -> bytes:
    return f"audobon {kind.__name__}\0".encode() + body
