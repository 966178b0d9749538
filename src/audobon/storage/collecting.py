"""Removes blobs nobody needs, and packs in which too little lives. Safe beside readers and writers."""

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from audobon.atomic import disk_errors
from audobon.clock import utc_now
from audobon.errors import Corrupt, ObjectNotFound, SubjectErased, Unavailable
from audobon.storage.annotating import NOTED_ELSEWHERE, Annotating
from audobon.storage.classes import price_list
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.index import Index
from audobon.storage.open_packs import NewRecord, OpenPacks
from audobon.storage.orphans import Orphans
from audobon.storage.pack_care import PackCare
from audobon.storage.pack_format import BLOB, LEGACY
from audobon.storage.pack_reading import Ciphers, read_plain
from audobon.storage.seen_files import forget_files

DAY_SECONDS = 86_400.0
_LIVE_SHARE = 0.5
_MOVE_BYTES = 8 << 20
# Smaller ones that are written to are left to grow.
_SMALL_BYTES = 1 << 20
# What the index forgot and the store still holds: noted together with the forgetting.
_REMOVING = "removing "

# What a hold, a term or the user keeps is needed by nobody else, and stays all the same.
_MAY_GO = """
SELECT blob.key, blob.size_bytes, pack.kind, blob.created_at FROM blob JOIN pack ON pack.id = blob.pack
WHERE blob.dead_at IS NULL AND pack.kind != 'user' AND blob.event_hold = 0 AND blob.temporary_hold = 0
AND (blob.kept_until IS NULL OR blob.kept_until <= ?)
"""

# What is damaged in a pack may be mended from a second copy, as long as nobody stored its bytes anew.
_WITHOUT_LIFE = """
UPDATE pack SET noncurrent_at = ? WHERE noncurrent_at IS NULL
AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.pack = pack.id AND blob.dead_at IS NULL)
AND (state = 'sealed' OR EXISTS (SELECT 1 FROM blob WHERE blob.pack = pack.id))
AND NOT EXISTS (SELECT 1 FROM damaged WHERE damaged.pack = pack.id
                AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.key = damaged.key))
"""

_WITH_LIFE = """
UPDATE pack SET noncurrent_at = NULL WHERE noncurrent_at IS NOT NULL
AND EXISTS (SELECT 1 FROM blob WHERE blob.pack = pack.id AND blob.dead_at IS NULL)
"""

_SPARSE = """
SELECT pack.id, pack.name, pack.subject, pack.kind, pack.size_bytes, live.live_bytes FROM pack JOIN (
    SELECT pack, sum(stored_bytes) AS live_bytes FROM blob WHERE dead_at IS NULL OR dead_at > ? GROUP BY pack
) AS live ON live.pack = pack.id
WHERE (state = 'sealed' OR size_bytes > ?) AND live_bytes > 0 AND live_bytes < pack.size_bytes * ?
AND (tier = 'standard' OR (tier = 'nearline' AND created_at <= ?) OR (tier = 'archive' AND created_at <= ?))
"""


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What collecting did, or would do.

    removed_packs   without a living blob
    moved_packs     in which too little lived: their living blobs went to others
    freed_bytes     of the disk
    found_packs     that the index did not know: taken in, or removed when nobody can read them
    """

    removed_packs: int = 0
    moved_packs: int = 0
    freed_bytes: int = 0
    found_packs: int = 0


class Collector:
    """Removes what nobody needs from a store."""

    def __init__(
        self,
        index: Index,
        store: FolderObjectStore,
        ciphers: Ciphers,
        packs: OpenPacks,
        care: PackCare,
        annotating: Annotating,
        orphans: Orphans,
        *,
        keep_removed_days: float,
    ) -> None:
        self._index = index
        self._store = store
        self._ciphers = ciphers
        self._packs = packs
        self._care = care
        self._annotating = annotating
        self._orphans = orphans
        self._keep_seconds = keep_removed_days * DAY_SECONDS

    def mark(self, keep: Collection[str], *, keep_days: Mapping[str, float], is_dry: bool) -> int:
        """Mark what is not kept as dead; return the size of it. Nobody may be about to need a blob.

        keep_days  by kind: what is younger stays
        """
        now = utc_now()
        kept = {bytes.fromhex(key) for key in keep}
        with self._index.changing(is_hasty=True) as connection:
            gone = [
                row
                for row in connection.execute(_MAY_GO, (now,))
                if row[0] not in kept and now - row[3] >= keep_days.get(row[2], 0.0) * DAY_SECONDS
            ]
            if gone and not is_dry:
                connection.executemany(
                    "UPDATE blob SET dead_at = ? WHERE key = ?", [(now, row[0]) for row in gone]
                )
                connection.execute(_WITHOUT_LIFE, (now,))
        return sum(row[1] for row in gone)

    def finish_removals(self) -> int:
        """Remove the packs that the index forgot, and whose files a killed process left; return how many."""
        count = 0
        for row in self._index.rows("SELECT name FROM cursor WHERE name LIKE 'removing %'"):
            name = row["name"].removeprefix(_REMOVING)
            if not self._index.rows("SELECT 1 FROM pack WHERE name = ?", name):
                with suppress(ObjectNotFound):
                    self._store.delete(name)
                    count += 1
            self._index.set_cursor(row["name"], None)
        return count

    def remove_dead_packs(self) -> tuple[int, int]:
        """Remove packs without a living blob whose time is over; return how many, and their bytes."""
        count = freed = 0
        now = utc_now()
        with self._index.changing(is_hasty=True) as connection:
            connection.execute(_WITH_LIFE)
            connection.execute(_WITHOUT_LIFE, (now,))
        for row in self._index.rows(
            "SELECT id, name, state FROM pack WHERE noncurrent_at <= ?", now - self._keep_seconds
        ):
            try:
                size = self._store.stat(row["name"]).size_bytes
            except ObjectNotFound:
                size = 0
            except Unavailable:
                # The disk of its tier is not attached: it goes when that is there again.
                continue
            if self._remove(row["id"], row["name"], is_open=row["state"] == "open"):
                count, freed = count + 1, freed + size
        return count, freed

    def collect(
        self, *, is_dry: bool = False, on_step: Callable[[int, int], None] | None = None
    ) -> Collected:
        """Remove dead packs, and move what lives out of packs that are less than half alive.

        on_step  called as on_step(done, total) after every pack
        """
        now, classes = utc_now(), price_list().of
        # In a colder tier no pack goes before the time for which it would be paid anyway.
        paid = [now - classes[name].minimum_days * DAY_SECONDS for name in ("NEARLINE", "ARCHIVE")]
        sparse = self._index.rows(_SPARSE, now - self._keep_seconds, _SMALL_BYTES, _LIVE_SHARE, *paid)
        if is_dry:
            dead = self._index.rows(
                "SELECT count(*), coalesce(sum(size_bytes), 0) FROM pack"
                " WHERE EXISTS (SELECT 1 FROM blob WHERE pack = pack.id) AND NOT EXISTS (SELECT 1 FROM blob"
                " WHERE blob.pack = pack.id AND (dead_at IS NULL OR dead_at > ?))",
                now - self._keep_seconds,
            )[0]
            return Collected(
                removed_packs=dead[0],
                moved_packs=len(sparse),
                freed_bytes=dead[1] + sum(row["size_bytes"] - row["live_bytes"] for row in sparse),
                found_packs=self._orphans.settle(is_dry=True).packs,
            )
        found = self.finish_removals() + self._orphans.settle(is_dry=False).packs
        moved = 0
        before = 0
        for done, row in enumerate(sparse, start=1):
            if self.move_out(row["id"], row["name"]):
                moved += 1
                before += row["live_bytes"]
            if on_step is not None:
                on_step(done, len(sparse))
        removed, freed = self.remove_dead_packs()
        with self._index.changing(is_hasty=True) as connection:
            forget_files(connection)
        # Others collect at the same time, and a pack that was moved out of may have to stay for its notes.
        return Collected(
            removed_packs=max(0, removed - moved),
            moved_packs=moved,
            freed_bytes=max(0, freed - before),
            found_packs=found,
        )

    def move_out(self, row: int, name: str) -> bool:
        """Move all that may still be read out of a pack, and let it die; False when it must stay."""
        since = utc_now() - self._keep_seconds
        wanted = self._index.rows(
            "SELECT key, offset, stored_bytes FROM blob WHERE pack = ? AND (dead_at IS NULL OR dead_at > ?)"
            " ORDER BY offset",
            row,
            since,
        )
        try:
            self._care.seal(row)
            with self._store.open(name) as file:
                cipher = self._ciphers.of(name, file.fileno())
                header = cipher.header
                at = 0
                while at < len(wanted):
                    bunch: list[NewRecord] = []
                    places: list[tuple[bytes, int]] = []
                    size = 0
                    while at < len(wanted) and size < _MOVE_BYTES:
                        key, offset, stored_bytes = wanted[at]
                        head, plain = read_plain(file.fileno(), cipher, offset, stored_bytes)
                        bunch.append(NewRecord(BLOB, key, plain, head.flags & LEGACY, head.created_at))
                        places.append((key, offset))
                        size += len(plain)
                        at += 1
                    written = self._packs.write(header.subject, header.kind, bunch)
                    self._packs.settle([written], moved_from=(row, places))
        except (Corrupt, ObjectNotFound, SubjectErased, Unavailable):
            # For reading, scrubbing and erasing to tell; as long as it lies there it may be mended.
            return False
        with self._index.changing() as connection:
            connection.execute(
                "UPDATE pack SET noncurrent_at = 0 WHERE id = ? AND NOT EXISTS (SELECT 1 FROM blob"
                " WHERE pack = ? AND (dead_at IS NULL OR dead_at > ?))",
                (row, row, since),
            )
        return True

    def _remove(self, row: int, name: str, *, is_open: bool) -> bool:
        self._annotating.carry_over(row)
        with ExitStack() as held, disk_errors(self._store.folder):
            size = None
            if is_open:
                with suppress(ObjectNotFound):
                    size = held.enter_context(self._care.locked(row)).size_bytes
            with self._index.changing() as connection:
                # A blob may have come into it since, or be on its way.
                is_needed = connection.execute(
                    "SELECT 1 FROM pack WHERE id = ? AND (size_bytes != coalesce(?, size_bytes) OR EXISTS"
                    " (SELECT 1 FROM blob WHERE blob.pack = pack.id AND dead_at IS NULL))",
                    (row, size),
                ).fetchone()
                if is_needed or connection.execute(f"SELECT 1 {NOTED_ELSEWHERE}", (row,)).fetchone():
                    return False
                connection.execute("DELETE FROM blob WHERE pack = ?", (row,))
                connection.execute("DELETE FROM damaged WHERE pack = ?", (row,))
                connection.execute("DELETE FROM note WHERE pack = ?", (row,))
                connection.execute("DELETE FROM pack WHERE id = ?", (row,))
                connection.execute("INSERT OR REPLACE INTO cursor VALUES (?, '')", (_REMOVING + name,))
            # Not before the index has forgotten it for good: a power cut could bring it back there.
            with suppress(ObjectNotFound):
                self._store.delete(name)
            self._ciphers.forget(name)
            self._index.set_cursor(_REMOVING + name, None)
            return True


def remove_broken_off(folder: Path, *, before: float) -> int:
    """Remove what writers left unfinished before an instant; return how many bytes it was."""
    freed = 0
    if folder.is_dir():
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                status = path.stat()
                if status.st_mtime < before:
                    path.unlink()
                    freed += status.st_size
    return freed
