"""Packs that the index does not know: taken in, or removed when nobody can ever read them."""

from contextlib import suppress
from typing import NamedTuple

from audobon.errors import AudobonError, CorruptKeyring, NewerFormat, ObjectNotFound, SubjectErased
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.index import Index
from audobon.storage.pack_reading import Ciphers
from audobon.storage.rebuild import Rebuilding


class Found(NamedTuple):
    """What was found.

    packs       that were taken in or removed, or would be
    unreadable  by name, why
    """

    packs: int
    unreadable: dict[str, str]


class Orphans:
    """Settles packs the index does not know, such as what a killed writer never came to note.

    Of what is taken in, blobs that nobody needs go with the next sweep.
    """

    def __init__(
        self, index: Index, store: FolderObjectStore, ciphers: Ciphers, rebuilding: Rebuilding
    ) -> None:
        self._index = index
        self._store = store
        self._ciphers = ciphers
        self._rebuilding = rebuilding

    def settle(self, *, is_dry: bool) -> Found:
        """Take in or remove every pack that the index does not know."""
        known = {row[0] for row in self._index.rows("SELECT name FROM pack")}
        count, unreadable = 0, {}
        for info in list(self._rebuilding.names()):
            if info.name in known or self._is_known(info.name):
                continue
            try:
                # What is held in memory may be of another file of that name.
                self._ciphers.forget(info.name)
                with self._store.open(info.name) as file:
                    self._ciphers.of(info.name, file.fileno())
            except ObjectNotFound:
                continue
            except SubjectErased:
                count += 1
                if not is_dry:
                    with suppress(ObjectNotFound):
                        self._store.delete(info.name)
            except (CorruptKeyring, NewerFormat):
                raise
            except AudobonError as error:
                unreadable[info.name] = error.message
            else:
                count += 1
                if not is_dry:
                    self._adopt(info.name)
        return Found(count, unreadable)

    def _is_known(self, name: str) -> bool:
        """Look again: it may have come, or be about to be removed, since the list was made."""
        return bool(
            self._index.rows(
                "SELECT 1 FROM pack WHERE name = ? UNION ALL SELECT 1 FROM cursor WHERE name = ?",
                name,
                f"removing {name}",
            )
        )

    def _adopt(self, name: str) -> None:
        with suppress(ObjectNotFound):
            self._rebuilding.adopt(self._index, name)
