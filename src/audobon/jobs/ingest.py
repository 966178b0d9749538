"""Takes a document in: every file into storage, every page's header read."""

import zipfile
import zlib
from collections.abc import Callable

import msgspec

from audobon.compute.codec import Codec
from audobon.compute.placement import Peaks, card_peak
from audobon.compute.work import least_budget, model_names, page_load, result_info
from audobon.errors import (
    AudobonError,
    Denied,
    DiskFull,
    MemoryTooSmall,
    PictureTooLarge,
    UnreadablePicture,
    by_code,
)
from audobon.keys.service import PERSONAL
from audobon.models.catalogue import card_named
from audobon.pages.documents import Document, Entry
from audobon.pages.operations import CleanSettings, Settings, UpscaleSettings
from audobon.pages.picture_info import PictureInfo
from audobon.storage.service import Storage

_PIECE_BYTES = 1 << 20
# A page's file is held by three processes at once, and something must be left for its pixels.
_FILE_SHARE = 6


class Fault(msgspec.Struct, frozen=True):
    """Why a page cannot be worked on: an error's code, words and advice."""

    code: str
    message: str
    hint: str | None = None

    def error(self) -> AudobonError:
        """Return the error it was made from."""
        return by_code(self.code)(self.message, hint=self.hint)


class TakenEntry(msgspec.Struct, frozen=True):
    """One file of a document that was taken in.

    blob   None when its bytes could not be read
    info   a page's header; None for other files and faulty pages
    fault  why the page cannot be worked on
    """

    entry: Entry
    blob: str | None
    size_bytes: int
    info: PictureInfo | None
    fault: Fault | None


class Ingest:
    """Takes in the files of one document.

    Hold `Storage.sharing` from the first `take` until the entries are on record.
    remedy    says what to do so that a page may take so many megabytes
    peaks     tells what models take
    subject   whose they are
    is_trial  nothing is stored: pages get the key that their blob would have, and their memory is not asked
    is_compared  a trial's pages may be looked for among others; else they need no key, and no keyring
    """

    def __init__(
        self,
        storage: Storage,
        codec: Codec,
        settings: Settings,
        *,
        target_format: str | None,
        budget_bytes: int,
        remedy: Callable[[int], str] = lambda megabytes: f"--memory {megabytes}MB",
        peaks: Peaks = card_peak,
        is_trial: bool = False,
        is_compared: bool = True,
        subject: str = PERSONAL,
    ) -> None:
        self._storage = storage
        self._codec = codec
        self._settings = settings
        self._target_format = target_format
        self._budget_bytes = budget_bytes
        self._remedy = remedy
        self._peaks = peaks
        self._is_trial = is_trial
        self._is_compared = is_compared
        self._subject = subject

    def take(self, document: Document, entry: Entry) -> TakenEntry:
        """Store one file; look at its header when it is a page.

        A file that cannot be read, and a page that cannot be used, is taken with its fault.
        raises  DiskFull, Denied, MemoryTooSmall when a page does not fit the budget
        """
        try:
            if not entry.is_page:
                return self._store(document, entry)
            data = self._read_page(document, entry)
        except DiskFull:
            raise
        except (AudobonError, OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            if isinstance(error, Denied) and document.kind == "picture":
                raise
            return TakenEntry(entry, None, 0, None, _fault(error))
        blob = self._take_page(data)
        try:
            info = self._codec.inspect(data)
            self._check(info)
            if not self._is_trial:
                self.check_memory(info, len(data))
        except MemoryTooSmall:
            raise
        except AudobonError as error:
            return TakenEntry(entry, blob, len(data), None, _fault(error))
        # Profile and EXIF stay in the file; the record needs only what planning needs.
        slim = msgspec.structs.replace(info, icc=None, exif=None)
        return TakenEntry(entry, blob, len(data), slim, None)

    def _take_page(self, data: bytes) -> str:
        if self._is_trial:
            return self._storage.key_of(data, subject=self._subject) if self._is_compared else ""
        return self._storage.put(data, subject=self._subject, kind="page")

    def _check(self, info: PictureInfo) -> None:
        if isinstance(self._settings, UpscaleSettings | CleanSettings):
            card = card_named(model_names(self._settings)[0])
            result_info(info, self._settings, card, self._target_format)

    def check_memory(self, info: PictureInfo, file_bytes: int) -> None:
        """Raise MemoryTooSmall when a page does not fit the budget."""
        load = page_load(info, file_bytes, self._target_format)
        needed = least_budget(load, self._settings, peaks=self._peaks)
        if needed > self._budget_bytes:
            raise MemoryTooSmall(
                f"a page of {info.width}×{info.height} needs {_megabytes(needed)} MB,"
                f" the budget is {_megabytes(self._budget_bytes)} MB",
                hint=self._remedy(_megabytes(needed)),
            )

    def _read_page(self, document: Document, entry: Entry) -> bytes:
        max_bytes = self._budget_bytes // _FILE_SHARE
        data = bytearray()
        with document.open(entry) as source:
            while piece := source.read(_PIECE_BYTES):
                data += piece
                if len(data) > max_bytes:
                    raise PictureTooLarge(
                        f"its file is over {_megabytes(max_bytes)} MB, too large for the memory budget",
                        hint=self._remedy(_megabytes(_FILE_SHARE * max(len(data), entry.size_bytes))),
                    )
        return bytes(data)

    def _store(self, document: Document, entry: Entry) -> TakenEntry:
        with (
            document.open(entry) as source,
            self._storage.writing(subject=self._subject, kind="page") as target,
        ):
            while piece := source.read(_PIECE_BYTES):
                target.write(piece)
        return TakenEntry(entry, target.key, target.size_bytes, None, None)


def _fault(error: Exception) -> Fault:
    if isinstance(error, AudobonError):
        return Fault(error.code, error.message, error.hint)
    return Fault(UnreadablePicture.code, f"it cannot be read: {error}")


def _megabytes(count: int) -> int:
    return -(-count // (1 << 20))
