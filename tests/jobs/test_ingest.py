"""Taking a document in: what each file becomes, and which faults end it."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from PIL import Image

from audobon.compute.codec import Codec
from audobon.config import keyrings_folder
from audobon.errors import Denied, DiskFull, MemoryTooSmall
from audobon.jobs.ingest import Fault, Ingest
from audobon.keys.unlocking import open_keys
from audobon.pages.documents import DocumentKind, Entry
from audobon.pages.operations import PanelsSettings, Settings, UpscaleSettings
from audobon.pages.picture_info import PictureInfo
from audobon.pages.picture_limits import PictureLimits
from audobon.storage.service import Storage

GIGABYTE = 1 << 30


class FakeDocument:
    """A document whose files are bytes, or errors met on opening or reading them."""

    def __init__(self, files: dict[str, bytes | Exception], kind: DocumentKind = "book") -> None:
        self.kind: DocumentKind = kind
        self.left_out: list[str] = []
        self._files = files
        self.entries = [Entry(name, name.endswith(".png"), 1, 5.0) for name in files]

    def open(self, entry: Entry) -> IO[bytes]:
        data = self._files[entry.name]
        if isinstance(data, Denied):
            raise data
        return io.BytesIO(data) if isinstance(data, bytes) else _Failing(data)


class _Failing(io.BytesIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def read(self, *_: object) -> bytes:
        raise self._error


def png(width: int = 20, height: int = 30) -> bytes:
    target = io.BytesIO()
    exif = Image.Exif()
    exif[315] = "A. Fox"
    Image.new("RGB", (width, height)).save(target, "PNG", exif=exif, dpi=(300, 300), icc_profile=b"a profile")
    return target.getvalue()


@pytest.fixture
def codec() -> Iterator[Codec]:
    codec = Codec(PictureLimits(10**6, 10**6, 2000), max_seconds=30)
    yield codec
    codec.close()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()))


def ingest(
    storage: Storage,
    codec: Codec,
    settings: Settings | None = None,
    *,
    target_format: str | None = None,
    budget_bytes: int = 4 * GIGABYTE,
) -> Ingest:
    settings = settings or UpscaleSettings()
    return Ingest(storage, codec, settings, target_format=target_format, budget_bytes=budget_bytes)


def test_a_page_is_stored_with_what_planning_needs_and_no_more(storage: Storage, codec: Codec) -> None:
    document = FakeDocument({"1.png": png()})

    taken = ingest(storage, codec).take(document, document.entries[0])

    assert (taken.entry, taken.fault, taken.size_bytes) == (document.entries[0], None, len(png()))
    assert taken.blob is not None
    assert storage.get(taken.blob) == png()
    assert taken.info is not None
    # PNG keeps dots per metre, so 300 per inch come back with a fraction.
    assert taken.info.dpi == pytest.approx((300, 300), rel=1e-4)
    assert taken.info == PictureInfo(width=20, height=30, mode="RGB", format="PNG", dpi=taken.info.dpi)


def test_other_files_are_stored_byte_for_byte_and_not_looked_at(storage: Storage, codec: Codec) -> None:
    document = FakeDocument({"ComicInfo.xml": b"<ComicInfo/>\r\n", "empty": b""})

    taken = [ingest(storage, codec).take(document, entry) for entry in document.entries]

    assert [storage.get(item.blob or "") for item in taken] == [b"<ComicInfo/>\r\n", b""]
    assert [(item.info, item.fault) for item in taken] == [(None, None)] * 2


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (Denied("not allowed: 1.png"), Fault("denied", "not allowed: 1.png")),
        (zipfile.BadZipFile("Bad CRC-32"), Fault("unreadable_picture", "it cannot be read: Bad CRC-32")),
        (zlib.error("incorrect header"), Fault("unreadable_picture", "it cannot be read: incorrect header")),
        (EOFError("cut off"), Fault("unreadable_picture", "it cannot be read: cut off")),
        (
            OSError(5, "Input/output error"),
            Fault("unreadable_picture", "it cannot be read: [Errno 5] Input/output error"),
        ),
    ],
)
def test_a_page_whose_bytes_cannot_be_read_is_taken_with_its_fault(
    storage: Storage, codec: Codec, error: Exception, fault: Fault
) -> None:
    document = FakeDocument({"1.png": error})

    taken = ingest(storage, codec).take(document, document.entries[0])

    assert (taken.blob, taken.info, taken.fault) == (None, None, fault)


def test_a_page_that_cannot_be_used_is_kept_with_its_fault(storage: Storage, codec: Codec) -> None:
    document = FakeDocument({"1.png": b"no picture"})

    taken = ingest(storage, codec).take(document, document.entries[0])

    assert storage.get(taken.blob or "") == b"no picture"
    assert taken.fault == Fault("unreadable_picture", "this is not a PNG, JPEG, WebP or TIFF picture")
    assert taken.fault.error().message == "this is not a PNG, JPEG, WebP or TIFF picture"


def test_a_result_that_its_format_cannot_hold_is_a_fault_for_pictures_only(
    storage: Storage, codec: Codec
) -> None:
    document = FakeDocument({"1.png": png(9000, 2)})
    (entry,) = document.entries

    as_webp = ingest(storage, codec, target_format="WEBP").take(document, entry)
    panels = ingest(storage, codec, PanelsSettings(), target_format="WEBP").take(document, entry)

    assert as_webp.fault is not None
    assert as_webp.fault.code == "unsupported_picture"
    assert panels.fault is None


def test_a_page_beyond_the_budget_ends_it_all_since_more_memory_would_do(
    storage: Storage, codec: Codec
) -> None:
    document = FakeDocument({"1.png": png()})

    with pytest.raises(MemoryTooSmall) as caught:
        ingest(storage, codec, budget_bytes=60 << 20).take(document, document.entries[0])

    assert caught.value.message.startswith("a page of 20×30 needs ")


def test_a_single_picture_that_may_not_be_read_ends_it_all(storage: Storage, codec: Codec) -> None:
    document = FakeDocument({"1.png": Denied("not allowed: 1.png")}, kind="picture")

    with pytest.raises(Denied):
        ingest(storage, codec).take(document, document.entries[0])


def test_another_file_that_is_damaged_is_taken_with_its_fault(storage: Storage, codec: Codec) -> None:
    document = FakeDocument({"ComicInfo.xml": zipfile.BadZipFile("Bad CRC-32")})

    taken = ingest(storage, codec).take(document, document.entries[0])

    fault = Fault("unreadable_picture", "it cannot be read: Bad CRC-32")
    assert (taken.blob, taken.size_bytes, taken.fault) == (None, 0, fault)
    assert list(storage.keys()) == []


def test_a_full_disk_is_nobodys_fault_but_the_disks(
    storage: Storage, codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: Storage, _data: bytes, **_ways: str) -> str:
        raise DiskFull("no room left")

    monkeypatch.setattr(Storage, "put", full)
    document = FakeDocument({"1.png": png()})

    with pytest.raises(DiskFull):
        ingest(storage, codec).take(document, document.entries[0])


def test_a_header_that_lies_about_its_size_costs_nothing_and_is_a_fault(
    storage: Storage, codec: Codec
) -> None:
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    document = FakeDocument({"1.png": data})

    taken = ingest(storage, codec).take(document, document.entries[0])

    assert taken.fault is not None
    assert taken.fault.code in ("picture_too_large", "unreadable_picture")
