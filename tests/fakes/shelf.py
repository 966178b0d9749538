"""Resources of one kind, by their names: what making, reading, changing and removing them have in common."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask

from fakes.etags import new_etag
from fakes.names import Name
from fakes.pages import page_of
from fakes.refusal import Refused, invalid, not_found

_Item = TypeVar("_Item")


class Shelf(Generic[_Item]):
    """The resources of a kind, which is a class of proto-plus; what is handed out is a copy.

    names     what a name looks like
    etag      the name of the field with the fingerprint; empty: there is none
    conflict  what a fingerprint that does not fit is refused with, which differs among the APIs
    """

    def __init__(
        self, kind: Callable[..., _Item], names: Name, *, etag: str = "", conflict: str = "ABORTED"
    ) -> None:
        self._kind = kind
        self._names = names
        self._etag = etag
        self._conflict = conflict
        self._items: dict[str, _Item] = {}

    def add(self, name: str, item: _Item) -> _Item:
        """Keep a new one under its name. raises Refused when the name is taken or wrong."""
        self._names.parse(name)
        if name in self._items:
            raise Refused("ALREADY_EXISTS", f"{name} already exists.")
        self.put(name, item)
        return self.copy(name)

    def put(self, name: str, item: _Item) -> None:
        """Keep one under its name, whatever was there, with a fresh fingerprint."""
        if self._etag:
            setattr(item, self._etag, new_etag())
        self._items[name] = item

    def get(self, name: str) -> _Item:
        """Return the one that is kept. raises Refused."""
        self._names.parse(name)
        if name not in self._items:
            raise not_found(name)
        return self._items[name]

    def copy(self, name: str) -> _Item:
        """Return a copy of one. raises Refused."""
        return self._kind(self.get(name))

    def check_etag(self, name: str, given: str) -> None:
        """Refuse a fingerprint that is not the present one; none is always right."""
        present = getattr(self.get(name), self._etag)
        if given and given != present:
            raise Refused(self._conflict, f"{name} has the etag {present}, not {given}.")

    def changed(self, name: str, given: _Item, mask: FieldMask, *, fixed: set[str]) -> _Item:
        """Return a copy with the fields that a mask names taken from another; without a mask, all that may.

        fixed  what nobody outside can change
        """
        fields: Any = getattr(self._kind, "meta").fields  # noqa: B009  of proto-plus
        wanted = self.copy(name)
        for path in list(mask.paths) or sorted(set(fields) - fixed):
            if path not in fields or path in fixed:
                raise invalid(f"update_mask: {path!r} is no field that can be updated")
            setattr(wanted, path, getattr(given, path))
        if self._etag and getattr(given, self._etag):
            self.check_etag(name, getattr(given, self._etag))
        return wanted

    def page(self, prefix: str, *, size: int, token: str) -> tuple[list[_Item], str]:
        """Return a page of those whose names begin so, by name, and the token of the next page."""
        names = sorted(name for name in self._items if name.startswith(prefix))
        found, following = page_of(names, size=size, token=token)
        return [self.copy(name) for name in found], following

    def remove(self, name: str) -> _Item:
        """Take one away. raises Refused."""
        item = self.get(name)
        del self._items[name]
        return item

    def __contains__(self, name: str) -> bool:
        """Tell whether there is one of this name."""
        return name in self._items

    def __iter__(self) -> Iterator[_Item]:
        """Go through all that are kept."""
        return iter(list(self._items.values()))
