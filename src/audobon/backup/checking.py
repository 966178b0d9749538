"""Looks whether all of a data folder and its places is as it was written; mends nothing."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Literal, get_args

import msgspec

from audobon.backup.service import Backups
from audobon.backup.sources import Tell, tell_nobody
from audobon.database.comparing import faults_against_copy, faults_in_log
from audobon.database.copies import own_copy
from audobon.database.exchanged import faults_of_file
from audobon.database.looking import faults_in_copy
from audobon.database.restoring import faults_in
from audobon.errors import (
    AudobonError,
    Corrupt,
    CorruptKeyring,
    NewerFormat,
    SubjectErased,
    SubjectNotFound,
)
from audobon.storage.data_keys import data_keys

Part = Literal["keys", "storage", "database", "places"]

PARTS: tuple[Part, ...] = get_args(Part)

_Told = str | tuple[str, str]
"""A fault in words, and the code of the error if that says more than that something is damaged."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What checking one part found.

    faults    in words; empty: it is as it was written
    is_newer  nothing is damaged: what is told of was written by a newer Audobon
    hint      what to do about it
    """

    part: Part
    faults: list[str]
    is_newer: bool = False
    hint: str


def check_everything(backups: Backups, *, tell: Tell = tell_nobody) -> list[Checked]:
    """Read every byte that is kept, here and in every place, and return what was found, part by part."""
    return [check_part(part, backups, tell=tell) for part in PARTS]


def check_part(part: Part, backups: Backups, *, tell: Tell = tell_nobody) -> Checked:
    """Read every byte of one part, and return what was found."""
    looks: dict[Part, tuple[Callable[[], Iterable[_Told]], str]] = {
        "keys": (lambda: _keys(backups), "audobon keys import-recovery, or audobon keys mend-ledger"),
        "storage": (lambda: _storage(backups), "audobon storage scrub --all"),
        "database": (lambda: _database(backups), "audobon database restore --help"),
        "places": (lambda: _places(backups, tell), "audobon backup verify --repair"),
    }
    look, hint = looks[part]
    faults, codes = _told(look)
    is_newer = codes == {NewerFormat.code}
    return Checked(part=part, faults=faults, is_newer=is_newer, hint="upgrade Audobon" if is_newer else hint)


def refuse(found: list[Checked]) -> None:
    """Raise Corrupt when anything is not as it was written, naming the first of it.

    raises  NewerFormat where nothing is damaged, but written by a newer Audobon
    """
    faults = [(each, fault) for each in found for fault in each.faults]
    if faults:
        # Damage before what may be none.
        first, words = min(faults, key=lambda told: told[0].is_newer)
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        kind = NewerFormat if first.is_newer else Corrupt
        raise kind(f"{first.part}: {words}{more}", hint=first.hint)


def _told(look: Callable[[], Iterable[_Told]]) -> tuple[list[str], set[str]]:
    """Return what a look tells, and the codes of it."""
    told: list[tuple[str, str]] = []
    try:
        for each in look():
            told.append(each if isinstance(each, tuple) else (each, Corrupt.code))
    except AudobonError as error:
        told.append((error.message, error.code))
    return [words for words, _ in told], {code for _, code in told}


def _keys(backups: Backups) -> Iterator[str]:
    keys = backups.sources.keys
    if keys.exists or keys.was_made:
        found = keys.status()
        if not keys.is_marked:
            yield "the data folder notes another keyring than it has"
        yield from _strangers(backups)
        if found.ledger_fault is not None:
            yield found.ledger_fault


def _strangers(backups: Backups) -> Iterator[str]:
    """Yield packs whose keys this keyring does not know, as when an older one was put in its place."""
    count = 0
    for key_id, subject, version, wrapped in data_keys(backups.sources.storage):
        try:
            backups.sources.keys.open_data_key(key_id, subject, version, wrapped)
        except SubjectErased:
            continue
        except (CorruptKeyring, SubjectNotFound):
            count += 1
    if count:
        yield f"the keys of {count} packs are not in this keyring"


def _storage(backups: Backups) -> Iterator[str]:
    storage = backups.sources.storage
    if backups.sources.keys.exists:
        yield from storage.scrubber.scrub(is_all=True, is_dry=True).faults


def _database(backups: Backups) -> Iterator[str]:
    sources = backups.sources
    log_faults = list(faults_in_log(sources.database.path))
    yield from log_faults
    store = own_copy(sources.folder)
    if sources.keys.exists and (
        exchanged := list(faults_of_file(sources.database.path, store, sources.keys))
    ):
        # What is under the log of another says nothing.
        yield from exchanged
        return
    connection = sources.database.look()
    if connection is not None:
        with closing(connection), sources.database.errors():
            yield from (f"{sources.database.path.name}: {fault}" for fault in faults_in(connection))
    faults = list(faults_in_copy(store, sources.keys)) if sources.keys.exists else []
    yield from faults
    if not log_faults and not faults and sources.keys.exists:
        with sources.database.errors():
            yield from faults_against_copy(sources.database.path, store, sources.keys)


def _places(backups: Backups, tell: Tell) -> Iterator[_Told]:
    if not backups.places.list():
        if backups.memory.known():
            yield "places.json is gone: backups were made, and no place is known"
        return
    yield from backups.forgotten()
    for verified in backups.verify(tell=tell):
        yield from (
            (f"{verified.place}/{fault.object}: {fault.what}", fault.code) for fault in verified.faults
        )
    yield from ((f"{failure.place}: {failure.message}", failure.code) for failure in backups.failures)
