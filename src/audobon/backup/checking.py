"""Looks whether all of a data folder and its places is as it was written; mends nothing."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

import msgspec

from audobon.backup.service import Backups
from audobon.backup.sources import Tell, tell_nobody
from audobon.database.comparing import faults_against_copy
from audobon.database.copies import own_copy
from audobon.database.looking import faults_in_copy
from audobon.database.restoring import faults_in
from audobon.errors import AudobonError, Corrupt


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What checking one part found.

    part    keys, storage, database or places
    faults  in words; empty: it is as it was written
    hint    the command that mends it
    """

    part: str
    faults: list[str]
    hint: str


def check_everything(backups: Backups, *, tell: Tell = tell_nobody) -> list[Checked]:
    """Read every byte that is kept, here and in every place, and return what was found, part by part."""
    parts: list[tuple[str, Callable[[], Iterable[str]], str]] = [
        ("keys", lambda: _keys(backups), "audobon keys import-recovery"),
        ("storage", lambda: _storage(backups), "audobon storage scrub --all"),
        ("database", lambda: _database(backups), "audobon database restore --help"),
        ("places", lambda: _places(backups, tell), "audobon backup verify --repair"),
    ]
    return [Checked(part=part, faults=_told(look), hint=hint) for part, look, hint in parts]


def refuse(found: list[Checked]) -> None:
    """Raise Corrupt when anything is not as it was written, naming the first of it."""
    faults = [(each, fault) for each in found for fault in each.faults]
    if faults:
        first, words = faults[0]
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise Corrupt(f"{first.part}: {words}{more}", hint=first.hint)


def _told(look: Callable[[], Iterable[str]]) -> list[str]:
    faults: list[str] = []
    try:
        faults.extend(look())
    except AudobonError as error:
        faults.append(error.message)
    return faults


def _keys(backups: Backups) -> Iterator[str]:
    keys = backups.sources.keys
    if keys.exists or keys.was_made:
        found = keys.status()
        if found.ledger_fault is not None:
            yield found.ledger_fault


def _storage(backups: Backups) -> Iterator[str]:
    storage = backups.sources.storage
    if backups.sources.keys.exists:
        yield from storage.scrubber.scrub(is_all=True, is_dry=True).faults


def _database(backups: Backups) -> Iterator[str]:
    sources = backups.sources
    connection = sources.database.look()
    store = own_copy(sources.folder)
    if connection is not None:
        with closing(connection), sources.database.errors():
            yield from (f"{sources.database.path.name}: {fault}" for fault in faults_in(connection))
    faults = list(faults_in_copy(store, sources.keys)) if sources.keys.exists else []
    yield from faults
    if connection is not None and not faults and sources.keys.exists:
        with sources.database.errors():
            yield from faults_against_copy(sources.database.path, store, sources.keys)


def _places(backups: Backups, tell: Tell) -> Iterator[str]:
    if not backups.places.list():
        return
    for verified in backups.verify(tell=tell):
        yield from (f"{verified.place}/{fault.object}: {fault.what}" for fault in verified.faults)
    yield from (f"{failure.place}: {failure.message}" for failure in backups.failures)
