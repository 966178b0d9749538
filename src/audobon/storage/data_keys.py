"""The data keys of packs, as they stand wrapped in front of them."""

from collections.abc import Iterator

from audobon.errors import Corrupt, ObjectNotFound
from audobon.storage.pack_format import MOST_HEADER_BYTES, parse_header
from audobon.storage.service import Storage


def data_keys(storage: Storage) -> Iterator[tuple[bytes, str, int, bytes]]:
    """Yield the data key of each pack: id, subject, version of the key that wrapped it, wrapped key.

    One whose head cannot be read is left out; `audobon storage scrub` finds it.
    """
    for row in storage.index.rows("SELECT name FROM pack ORDER BY id"):
        try:
            with storage.store.open(row["name"]) as file:
                header = parse_header(file.read(MOST_HEADER_BYTES))
        except (Corrupt, ObjectNotFound):
            continue
        yield header.key_id, header.subject, header.subject_version, header.wrapped
