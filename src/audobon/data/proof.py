"""Tries to read what was erased, with every key that is left: the proof that it failed."""

import base64
import sqlite3
from collections.abc import Iterator

import blake3

from audobon.data.certificate import Attempt
from audobon.data.erasure_notes import Sample
from audobon.errors import AudobonError, Corrupt
from audobon.keys.rotation import data_key_context
from audobon.keys.service import Keys
from audobon.queue.sealing import cell_context
from audobon.storage.facts import KINDS
from audobon.storage.pack_format import MOST_HEADER_BYTES, parse_header
from audobon.storage.port import ObjectInfo, ObjectStore

_MOST_PACKS = 8
_MOST_ROWS = 4


def packs_of(store: ObjectStore, subject: str, *, below: str = "") -> Iterator[ObjectInfo]:
    """Yield the packs of a subject in a store.

    below  what the names of packs begin with there, such as "packs/"
    """
    for kind in KINDS:
        yield from store.list(f"{below}{kind}/{subject}/")


def sample_packs(
    store: ObjectStore, subject: str, keys: Keys, *, where: str, below: str = ""
) -> list[Sample]:
    """Return some packs of a subject to try later, the oldest, the newest, and some between.

    where  they lie, for the certificate
    """
    found = sorted(packs_of(store, subject, below=below), key=lambda info: info.created_at)
    step = max(1, len(found) // _MOST_PACKS)
    chosen = found if len(found) <= _MOST_PACKS else [*found[:-1:step][: _MOST_PACKS - 1], found[-1]]
    samples = []
    for info in chosen:
        with store.open(info.name) as file:
            data = file.read(MOST_HEADER_BYTES)
        try:
            header = parse_header(data)
        except Corrupt:
            # Damaged, so nothing can be said of it; scrubbing tells.
            continue
        samples.append(
            Sample(
                where,
                info.name.removeprefix(below),
                blake3.blake3(header.data).hexdigest(),
                _is_opened(keys, header.key_id, header.subject, header.subject_version, header.wrapped),
                key_id=header.key_id.hex(),
                wrapped=header.wrapped.hex(),
            )
        )
    return samples


def sample_rows(connection: sqlite3.Connection, subject: str, keys: Keys) -> list[Sample]:
    """Return sealed texts of a subject's rows to try later; every copy of the database has them."""
    samples = []
    rows = connection.execute(
        "SELECT id, source FROM job WHERE subject = ? ORDER BY created_at LIMIT ?", (subject, _MOST_ROWS)
    ).fetchall()
    for job_id, sealed in rows:
        context = cell_context("job.source", job_id)
        if not keys.is_sealed(sealed, context=context):
            continue
        samples.append(
            Sample(
                "the database and every copy of it",
                f"job.source of {job_id}",
                blake3.blake3(sealed.encode()).hexdigest(),
                True,
                key_id=context.hex(),
                sealed=sealed,
            )
        )
    return samples


def attempt(sample: Sample, subject: str, keys: Keys) -> Attempt:
    """Try to read a sample with every key of the keyring."""
    if sample.sealed:
        raw = base64.urlsafe_b64decode(sample.sealed.rpartition(".")[2])
        tried, opened_by = keys.try_every_key(raw[4:], context=bytes.fromhex(sample.key_id))
    else:
        context = data_key_context(bytes.fromhex(sample.key_id), subject)
        tried, opened_by = keys.try_every_key(bytes.fromhex(sample.wrapped), context=context)
    return Attempt(sample.where, sample.what, sample.digest, sample.was_readable, tried, opened_by)


def _is_opened(keys: Keys, key_id: bytes, subject: str, version: int, wrapped: bytes) -> bool:
    try:
        keys.open_data_key(key_id, subject, version, wrapped)
    except AudobonError:
        return False
    return True
