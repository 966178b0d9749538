"""What an erasure has done so far, so that it is finished whatever ends it; ids and instants only."""

from pathlib import Path

import msgspec

from audobon.atomic import disk_errors, make_private_folder, write_bytes
from audobon.data.certificate import Attempt, PlaceErased
from audobon.errors import Corrupt


class Sample(msgspec.Struct, frozen=True):
    """Ciphertext of the subject that is tried when its key is gone.

    key_id, wrapped  of the data key of a pack, in hexadecimal; "" for a sealed text
    sealed           the sealed text of a row; "" for a pack
    """

    where: str
    what: str
    digest: str
    was_readable: bool | None
    key_id: str = ""
    wrapped: str = ""
    sealed: str = ""


class ErasureNotes(msgspec.Struct):
    """An erasure under way; instants are UTC seconds, None until they come.

    copied_commit  the last in the copy of the database before the key was destroyed
    """

    subject: str
    asked_at: float
    ledger: str = ""
    erased_at: float | None = None
    is_cleared: bool = False
    removed: dict[str, int] = {}
    samples: list[Sample] = []
    attempts: list[Attempt] = []
    places: list[PlaceErased] = []
    finished_at: float | None = None
    copied_commit: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return self.finished_at is not None

    def place(self, name: str) -> PlaceErased:
        """Return what was done at a place; noted from now on."""
        for place in self.places:
            if place.place == name:
                return place
        place = PlaceErased(name)
        self.places.append(place)
        return place


class NoteBook:
    """The notes of all erasures of a data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "erasures"

    def begin(self, subject: str, *, at: float) -> ErasureNotes:
        """Return the notes of an erasure, those of an earlier try when there was one."""
        return self.find(subject) or ErasureNotes(subject, at)

    def find(self, subject: str) -> ErasureNotes | None:
        """Return the notes of an erasure; None when it was never begun. raises Corrupt."""
        path = self._path(subject)
        with disk_errors(path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                return None
        try:
            return msgspec.json.decode(data, type=ErasureNotes)
        except msgspec.DecodeError as error:
            raise Corrupt(
                f"{path} is not as it was written",
                hint="remove it; the ledger of erasures knows what was erased",
            ) from error

    def keep(self, notes: ErasureNotes) -> None:
        """Write notes through to the disk."""
        path = self._path(notes.subject)
        with disk_errors(path):
            make_private_folder(path.parent)
        write_bytes(path, msgspec.json.encode(notes))

    def unfinished(self) -> list[ErasureNotes]:
        """Return the erasures that are not over, in the order they were begun."""
        if not self._folder.is_dir():
            return []
        found = [
            self.find(path.name.removesuffix(".notes.json")) for path in self._folder.glob("*.notes.json")
        ]
        return sorted(
            (notes for notes in found if notes is not None and not notes.is_over),
            key=lambda notes: notes.asked_at,
        )

    def _path(self, subject: str) -> Path:
        return self._folder / f"{subject}.notes.json"
