"""Results made before: pages for equal work in any job, and tiles for pages that changed in part."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import blake3
import msgspec

from audobon import __version__
from audobon.compute.work import PageResult, Work, work_key
from audobon.models.card import Card
from audobon.models.devices import Choice
from audobon.models.store import machine_digest
from audobon.pages.operations import operation_named
from audobon.storage.result_cache import ResultCache, SubjectCache
from audobon.storage.service import Storage

if TYPE_CHECKING:
    from audobon.pages.tile_results import TileResults


class Results:
    """What was made before on this machine, within the size of its cache.

    device  what models are to run on: pages made on a card and on the processor differ in their last bits
    """

    def __init__(self, cache: ResultCache, storage: Storage, *, device: str) -> None:
        self._cache = cache
        self._storage = storage
        self._device = device

    def find(self, key: str, *, subject: str) -> tuple[str | None, str] | None:
        """Return the blob and result of equal work, every byte of them proved; None when there is none.

        key      of the work; the blob stays as long as `Storage.sharing` is held
        """
        kept = self._cache.get(self._page_key(key), subject=subject)
        if kept is None:
            return None
        if kept.blob is not None and not self._storage.is_intact(kept.blob):
            self.forget([key], subject=subject)
            return None
        try:
            result = msgspec.json.decode(kept.value, type=PageResult)
        except msgspec.DecodeError:
            # Of another version of Audobon that counts itself the same.
            return None
        result = msgspec.structs.replace(result, is_cached=True)
        return kept.blob, msgspec.json.encode(result).decode()

    def has(self, key: str, *, subject: str) -> bool:
        """Tell whether `find` would find something, writing nothing and reading no blob."""
        kept = self._cache.look(self._page_key(key), subject=subject)
        return kept is not None and (kept.blob is None or self._storage.has(kept.blob))

    def forget(self, keys: list[str], *, subject: str) -> None:
        """Forget pages of a subject by the keys of their work."""
        self._cache.forget([self._page_key(key) for key in keys], subject=subject)

    def of_task(self, work: Work, *, subject: str) -> "TaskResults":
        """Return what keeps and finds the results of one task of a subject."""
        return TaskResults(self._cache.of_subject(subject), work, self._page_key, is_on=self._cache.is_on)

    def _page_key(self, key: str) -> bytes:
        return blake3.blake3(msgspec.json.encode((key, *self._edition))).digest()

    @cached_property
    def _edition(self) -> tuple[str, ...]:
        return __version__, machine_digest(), self._device


class TaskResults:
    """What one task finds and leaves in the cache; nothing when its work is not to use it."""

    def __init__(
        self, cache: SubjectCache, work: Work, page_key: Callable[[str], bytes], *, is_on: bool
    ) -> None:
        self._cache = cache
        self._is_used = work.use_cache and is_on
        # Now: a model of the user's may be another one of its name when the page is done.
        self._key = page_key(work_key(work, operation_named(work.operation))) if self._is_used else b""
        self._is_as_wanted = True
        self._tiles: TileResults | None = None

    def runs_on(self, choice: Choice) -> None:
        """Note where a model of the task runs; a page made elsewhere than wanted is not kept."""
        if choice.is_fallback:
            self._is_as_wanted = False

    def tiles(self, card: Card, choice: Choice) -> "TileResults | None":
        """Return the tiles made before with a model on a device; None without a cache."""
        if not self._is_used:
            return None
        # It brings numpy, which the command, looking for whole pages, does without.
        from audobon.pages.tile_results import TileResults

        device = (choice.device.kind, choice.device.name)
        self._tiles = TileResults(self._cache, (card.identity, card.picture, machine_digest(), device))
        return self._tiles

    def counted(self, result: PageResult) -> PageResult:
        """Return a result that tells how many of its tiles were there."""
        if self._tiles is None:
            return result
        return msgspec.structs.replace(result, tiles=self._tiles.asked, cached_tiles=self._tiles.found)

    def keep_page(self, blob: str | None, result: PageResult) -> None:
        """Keep a page that was made; `Storage.sharing` is held for its blob."""
        if not (self._is_used and self._is_as_wanted):
            return
        # What its tiles would have taken, had they not been there, is what the page is worth.
        saved_seconds = 0.0 if self._tiles is None else self._tiles.saved_seconds
        self._cache.put(
            self._key,
            msgspec.json.encode(msgspec.structs.replace(result, cached_tiles=0, tiles=0)),
            kind="page",
            seconds=result.seconds + saved_seconds,
            blob=blob,
            blob_bytes=result.size_bytes,
        )
