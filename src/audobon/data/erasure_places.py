"""What an erasure does at the places that hold copies: the ledger first, then the keystore anew."""

from collections.abc import Sequence

import msgspec

from audobon.backup.ledger_copies import bring_ledger
from audobon.backup.locations import Location
from audobon.backup.repository import KEYSTORES, PACKS, export_name, open_repository
from audobon.clock import Clock
from audobon.data.certificate import PlaceErased, Remains
from audobon.data.erasure_notes import ErasureNotes, Sample
from audobon.data.proof import packs_of, sample_packs
from audobon.errors import AudobonError
from audobon.keys.service import Keys
from audobon.storage.port import Rights

REMOVER: Rights = "full"
"""What the identity may do that removes old exports of the keystore."""


class PlaceLook(msgspec.Struct, frozen=True):
    """What a place holds of a subject.

    why_not  it cannot be reached now; "": it can
    """

    place: str
    packs: int = 0
    size_bytes: int = 0
    keystores: int = 0
    why_not: str = ""


class ErasurePlaces:
    """The places of a data folder, for an erasure."""

    def __init__(self, paths: Sequence[Location], keys: Keys, *, clock: Clock) -> None:
        self._paths = paths
        self._keys = keys
        self._clock = clock

    def look(self, subject: str) -> list[PlaceLook]:
        """Return what each place holds of a subject, and which cannot be reached."""
        return [self._look(path, subject) for path in self._paths]

    def sample(self, subject: str) -> list[Sample]:
        """Return some packs of a subject from each place that can be reached, to try later."""
        samples: list[Sample] = []
        for path in self._paths:
            try:
                store = open_repository(path, self._keys, rights="read").store
                samples += sample_packs(store, subject, self._keys, where=str(path), below=PACKS)
            except AudobonError:
                # It is told as pending.
                continue
        return samples

    def note_in_ledgers(self, notes: ErasureNotes) -> None:
        """Have the ledger at each place that can be reached, before a key is touched."""
        for path in self._paths:
            place = notes.place(str(path))
            try:
                bring_ledger(open_repository(path, self._keys, rights="create").store, self._keys)
            except AudobonError as error:
                place.pending = error.message
                continue
            place.ledger_at = place.ledger_at or self._clock()
            place.pending = "its keystore is not renewed yet"

    def renew_keystores(self, notes: ErasureNotes) -> None:
        """Put the keystore as it is now into each place, and remove the exports that have the key still."""
        known = {str(path) for path in self._paths}
        for place in notes.places:
            if place.place not in known and place.pending:
                place.pending = "it is no place of this data folder any more: destroy what lies there"
        for path in self._paths:
            place = notes.place(str(path))
            if not place.pending:
                continue
            try:
                self._renew(path, place)
            except AudobonError as error:
                place.pending = error.message
                continue
            place.pending = ""

    def _renew(self, path: Location, place: PlaceErased) -> None:
        writer = open_repository(path, self._keys, rights="create")
        # Alone: a backup at work may be about to write an export that it made before.
        with writer.using(alone=True):
            bring_ledger(writer.store, self._keys)
            place.ledger_at = place.ledger_at or self._clock()
            if not place.keystore:
                data = self._keys.export_for_recovery()
                name = export_name(data)
                writer.write(name, data)
                place.keystore, place.keystore_at = name, self._clock()
            remover = open_repository(path, self._keys, rights=REMOVER)
            for info in list(remover.store.list(KEYSTORES)):
                if info.name != place.keystore:
                    remover.store.delete(info.name)
                    place.keystores_removed += 1

    def remains(self, subject: str, *, until: str) -> list[Remains]:
        """Return what lies at the places as ciphertext; it goes as the backups that name it are pruned."""
        return [
            Remains(
                look.place, look.packs, look.size_bytes, f"{until}, when backups are made and pruned there"
            )
            for look in self.look(subject)
            if look.packs
        ]

    def _look(self, path: Location, subject: str) -> PlaceLook:
        try:
            repository = open_repository(path, self._keys, rights="read")
            packs = list(packs_of(repository.store, subject, below=PACKS))
            keystores = sum(1 for _ in repository.store.list(KEYSTORES))
        except AudobonError as error:
            return PlaceLook(str(path), why_not=error.message)
        return PlaceLook(str(path), len(packs), sum(info.size_bytes for info in packs), keystores)
