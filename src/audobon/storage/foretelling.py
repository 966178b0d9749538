"""Tells the keys that bytes have, or would have, in storage; writes nothing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import blake3

from audobon.atomic import disk_errors
from audobon.keys.service import Keys
from audobon.storage.facts import Kind
from audobon.storage.index import Found, Index
from audobon.storage.looking import look
from audobon.storage.seen_files import SeenFiles, look_at

_PIECE_BYTES = 1 << 20

_OF_BEFORE = """
SELECT 1 FROM blob JOIN pack ON pack.id = blob.pack
WHERE key = ? AND dead_at IS NULL AND pack.subject = ? AND (? != 'user' OR pack.kind = 'user')
"""


class Foretelling:
    """Tells keys as `Putting` would give them.

    serves  whether a blob is there as what would be put; see `Putting.serves`
    """

    def __init__(
        self,
        index: Index,
        keys: Keys,
        seen: SeenFiles,
        serves: Callable[[Found, str, Kind, dict[str, int]], bool],
    ) -> None:
        self._index = index
        self._keys = keys
        self._seen = seen
        self._serves = serves

    def key_of(self, file: IO[bytes], subject: str, kind: Kind) -> str:
        """Return the key of all that a file holds from where it stands, in little memory."""
        return self._key_of(file, subject, kind, has_legacy=self._has_legacy())

    def keys_of_files(
        self, paths: Sequence[Path], subject: str, kind: Kind, *, rereads: bool = False
    ) -> list[str]:
        """Return the keys of files; those that look as they did when they were last read are not read.

        rereads  read them, too
        raises   NotFound, Denied
        """
        looks = look_at(paths)
        known = {}
        if not rereads and self._keys.exists:
            subject = self._keys.id_of(subject)
            known = self._seen.find(looks, subject)
        has_legacy = self._has_legacy()
        sizes: dict[str, int] = {}
        keys = []
        for path, seen in zip(paths, looks, strict=True):
            found = known.get(seen)
            if found is not None and self._serves(found, subject, kind, sizes):
                keys.append(found.key.hex())
            else:
                with disk_errors(path), path.open("rb") as source:
                    keys.append(self._key_of(source, subject, kind, has_legacy=has_legacy))
        return keys

    def _key_of(self, file: IO[bytes], subject: str, kind: Kind, *, has_legacy: bool) -> str:
        hashes = [blake3.blake3()]
        # Without a keyring nothing was ever stored, so no blob has this key.
        if self._keys.exists:
            subject = self._keys.id_of(subject)
            hashes.insert(0, blake3.blake3(key=self._keys.blob_id_key(subject)))
            if not has_legacy:
                hashes.pop()
        while piece := file.read(_PIECE_BYTES):
            for each in hashes:
                each.update(piece)
        is_plain = len(hashes) > 1 and look(self._index, _OF_BEFORE, hashes[1].digest(), subject, kind)
        return hashes[1 if is_plain else 0].hexdigest()

    def _has_legacy(self) -> bool:
        return bool(look(self._index, "SELECT 1 FROM blob WHERE flags & 2 LIMIT 1"))
