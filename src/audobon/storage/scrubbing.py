"""Reads every pack in its turn, proves it, and mends what is damaged (docs/decisions/0028)."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

from audobon.clock import utc_now
from audobon.errors import (
    AudobonError,
    Corrupt,
    CorruptBlob,
    CorruptKeyring,
    NewerFormat,
    ObjectNotFound,
    SubjectErased,
)
from audobon.storage.annotating import Annotating
from audobon.storage.collecting import DAY_SECONDS, Collector
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.index import Index, IndexDamaged, set_aside
from audobon.storage.index_proof import (
    faults_in_notes,
    faults_in_packs,
    faults_in_rows,
    lost_packs,
    take_back,
)
from audobon.storage.notes import Note
from audobon.storage.orphans import Orphans
from audobon.storage.pack_care import PackCare
from audobon.storage.pack_reading import Ciphers, Scan
from audobon.storage.proving import IdKey, Proof, prove_pack
from audobon.storage.scrub_report import Damage, Scrubbed
from audobon.storage.second_copies import NoCopies, SecondCopies

_MOST_FAULTS = 20

_IN_TURN = """
SELECT id, name, subject, tier, state, size_bytes, digest,
       max(coalesce(verified_at, 0), created_at) AS proved_at
FROM pack ORDER BY verified_at IS NOT NULL, verified_at, created_at, name
"""

_PENDING = """
SELECT key FROM damaged WHERE pack = ?
AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.key = damaged.key AND dead_at IS NULL)
"""


Step = Callable[[int, int], None]
"""Told (done, total) in bytes."""


class Scrubber:
    """Scrubs one store; beside readers and writers, and broken off it goes on where it was.

    adopt    notes a pack that was put into the store
    rebuild  makes the index anew
    """

    def __init__(
        self,
        index: Index,
        store: FolderObjectStore,
        ciphers: Ciphers,
        care: PackCare,
        collector: Collector,
        annotating: Annotating,
        orphans: Orphans,
        id_key: IdKey,
        adopt: Callable[[str], None],
        rebuild: Callable[[], object],
        news: list[str],
        *,
        days: float,
    ) -> None:
        self._index = index
        self._store = store
        self._ciphers = ciphers
        self._care = care
        self._collector = collector
        self._annotating = annotating
        self._orphans = orphans
        self._id_key = id_key
        self._adopt = adopt
        self._rebuild = rebuild
        self._news = news
        self._days = days
        self._copies: SecondCopies = NoCopies()
        self._is_dry = False
        self._damages: list[Damage] = []
        self._index_faults: list[str] = []
        self._blobs = 0

    def scrub(
        self,
        *,
        days: float | None = None,
        is_all: bool = False,
        budget_bytes: int | None = None,
        is_dry: bool = False,
        copies: SecondCopies | None = None,
        on_step: Step | None = None,
    ) -> Scrubbed:
        """Prove the packs whose turn it is, so that within so many days each has its turn.

        days          None: as configured
        is_all        all of them, now
        budget_bytes  stop after so many; None: a day's share, and what is late
        is_dry        tell what is amiss, and mend nothing
        copies        where packs lie a second time
        """
        try:
            return self._scrub(days, is_all, budget_bytes, is_dry, copies, on_step)
        except IndexDamaged as error:
            if is_dry:
                raise
            # Deep inside, where it was not seen when it was opened.
            self._rebuild()
            self._news.append(error.message)
            return self._scrub(days, is_all, budget_bytes, is_dry, copies, on_step)

    def _scrub(
        self,
        days: float | None,
        is_all: bool,
        budget_bytes: int | None,
        is_dry: bool,
        copies: SecondCopies | None,
        on_step: Step | None,
    ) -> Scrubbed:
        begun = time.monotonic()
        self._copies, self._is_dry = copies or NoCopies(), is_dry
        self._damages, self._index_faults, self._blobs = [], [], 0
        news, self._news[:] = list(self._news), []
        self._check_packs_of_index()
        found = self._settle_orphans()
        rows = self._index.rows(_IN_TURN)
        chosen = _chosen(
            rows, days=self._days if days is None else days, is_all=is_all, budget_bytes=budget_bytes
        )
        total, read = sum(row["size_bytes"] for row in chosen), 0
        with ThreadPoolExecutor(1) as pool:
            for row in chosen:
                read += self._scrub_pack(row, pool)
                if on_step is not None:
                    on_step(read, total)
        if self._index_faults and not is_dry:
            self._make_anew()
        return Scrubbed(
            packs=len(chosen),
            blobs=self._blobs,
            read_bytes=read,
            left_packs=len(rows) - len(chosen),
            seconds=time.monotonic() - begun,
            found_packs=found,
            index_faults=self._index_faults,
            news=news,
            damages=self._damages,
            is_dry=is_dry,
        )

    @property
    def late_days(self) -> float:
        """How many days the pack that waits longest is late; 0: none is."""
        oldest = min((row["proved_at"] for row in self._index.rows(_IN_TURN)), default=utc_now())
        return float(max(0.0, (utc_now() - oldest) / DAY_SECONDS - self._days))

    def _check_packs_of_index(self) -> None:
        faults = list(faults_in_packs(self._index, self._store))
        if faults:
            self._index_faults += faults[:_MOST_FAULTS]
            if not self._is_dry:
                self._make_anew()

    def _settle_orphans(self) -> int:
        finished = 0 if self._is_dry else self._collector.finish_removals()
        found = self._orphans.settle(is_dry=self._is_dry)
        for name, what in found.unreadable.items():
            with ThreadPoolExecutor(1) as pool:
                is_mended = not self._is_dry and self._fetch(name, "standard", set(), pool)
            if is_mended:
                self._adopt(name)
            self._note(name, what, "from a second copy" if is_mended else None, set())
        return finished + found.packs

    def _scrub_pack(self, row: sqlite3.Row, pool: Executor) -> int:
        proof, fault = None, None
        noted: list[Note] = []
        with ExitStack() as held:
            try:
                file = held.enter_context(self._store.open(row["name"]))
                self._ciphers.forget(row["name"])
                cipher = self._ciphers.of(row["name"], file.fileno())
            except ObjectNotFound:
                if not self._index.rows("SELECT 1 FROM pack WHERE id = ?", row["id"]):
                    return 0
                fault = "it is missing"
            except SubjectErased:
                return 0
            except (CorruptKeyring, NewerFormat):
                raise
            except Corrupt as error:
                fault = error.message
            else:
                now = self._index.rows("SELECT state, size_bytes FROM pack WHERE id = ?", row["id"])
                if not now:
                    return 0
                # It may have grown, or been sealed, since it was listed.
                end = now[0]["size_bytes"] if now[0]["state"] == "open" else None
                proof = prove_pack(file.fileno(), cipher, self._id_key(row["subject"]), pool, end=end)
                if proof.is_sealed and end is not None:
                    # Sealed since it was listed.
                    proof = prove_pack(file.fileno(), cipher, self._id_key(row["subject"]), pool)
                self._blobs += len(proof.blobs)
                noted = Scan(proof.records, 0, proof.is_sealed, False).notes(file.fileno(), cipher)
                fault = proof.fault
        pending = {key for (key,) in self._index.rows(_PENDING, row["id"])}
        if fault is None and pending:
            fault = f"{len(pending)} blobs in it were found damaged before"
        if fault is None and proof is not None:
            faults = [
                *faults_in_rows(self._index, row["id"], proof, cipher.header),
                *faults_in_notes(self._index, row["id"], noted),
            ]
            if faults:
                self._index_faults += faults[: _MOST_FAULTS - len(self._index_faults)]
            elif not self._is_dry:
                with self._index.changing(is_hasty=True) as connection:
                    connection.execute("UPDATE pack SET verified_at = ? WHERE id = ?", (utc_now(), row["id"]))
        elif fault is not None:
            self._mend(row, fault, proof, pending, pool)
        return 0 if proof is None else proof.size_bytes

    def _mend(
        self, row: sqlite3.Row, fault: str, proof: Proof | None, pending: set[bytes], pool: Executor
    ) -> None:
        readable = {} if proof is None else proof.blobs
        living = {
            each["key"]: each["offset"]
            for each in self._index.rows(
                "SELECT key, offset FROM blob WHERE pack = ? AND dead_at IS NULL", row["id"]
            )
        }
        lost = pending | {key for key, at in living.items() if key not in readable or readable[key][0] != at}
        mended = None
        if not self._is_dry:
            if self._fetch(row["name"], row["tier"], living.keys() | pending, pool, row["id"]):
                self._take_back(row, lost)
                mended, lost = "from a second copy", set()
            else:
                self._set_aside(row["id"], {key: living[key] for key in lost if key in living})
                if not lost and self._let_go(row):
                    mended = "what it held lies in another pack now"
        self._note(row["name"], fault, mended, lost)

    def _fetch(
        self, name: str, tier: str, wanted: set[bytes], pool: Executor, row: int | None = None
    ) -> bool:
        """Put a second copy of a pack in its place, once it is proved to hold what is wanted."""

        @contextmanager
        def make() -> Iterator[IO[bytes]]:
            with self._store.replacing(name, tier=tier) as file:  # type: ignore[arg-type]
                yield file
                file.flush()
                self._ciphers.forget(name)
                cipher = self._ciphers.of(name, file.fileno())
                proof = prove_pack(file.fileno(), cipher, self._id_key(cipher.header.subject), pool)
                if proof.fault is not None or not wanted <= proof.blobs.keys():
                    raise CorruptBlob(f"the copy of {name} does not hold what it should")

        with ExitStack() as held:
            if row is not None:
                # Nobody appends to what is about to go.
                with suppress(AudobonError):
                    held.enter_context(self._care.locked(row))
            try:
                return self._copies.fetch(name, make)
            finally:
                self._ciphers.forget(name)

    def _take_back(self, row: sqlite3.Row, lost: set[bytes]) -> None:
        with self._index.changing() as connection:
            connection.execute("DELETE FROM damaged WHERE pack = ?", (row["id"],))
        self._adopt(row["name"])
        # What was noted of the damage is taken back, so that no rebuild finds it again.
        self._annotating.change(lost, lambda note: note)
        with self._index.changing() as connection:
            connection.execute("UPDATE pack SET verified_at = ? WHERE id = ?", (utc_now(), row["id"]))

    def _set_aside(self, row: int, lost: dict[bytes, int]) -> None:
        now = utc_now()
        with self._index.changing() as connection:
            for key, offset in lost.items():
                set_aside(connection, key, row, offset, now)
        with suppress(AudobonError):
            # Sealed as it is: whoever still has it open writes on elsewhere.
            self._care.seal(row)
        with self._index.changing() as connection:
            connection.execute("UPDATE pack SET state = 'sealed' WHERE id = ?", (row,))
        with suppress(AudobonError):
            self._annotating.change(lost, lambda note: note)

    def _let_go(self, row: sqlite3.Row) -> bool:
        """Move what lives out of a hurt pack, and let it die."""
        with suppress(AudobonError):
            self._collector.move_out(row["id"], row["name"])
            self._collector.remove_dead_packs()
        return not self._index.rows("SELECT 1 FROM pack WHERE id = ?", row["id"])

    def _make_anew(self) -> None:
        with self._index.lock:
            lost = lost_packs(self._index, self._store, {damage.pack for damage in self.unmended})
            proved = self._index.rows("SELECT pack_id, verified_at FROM pack WHERE verified_at NOT NULL")
            # A new file, not new rows alone: its tables may be what is damaged.
            self._index.give_up()
            told = len(self._news)
            self._rebuild()
            # What is amiss is told already.
            del self._news[told:]
            with self._index.changing() as connection:
                connection.executemany(
                    "UPDATE pack SET verified_at = ? WHERE pack_id = ?",
                    [(row["verified_at"], row["pack_id"]) for row in proved],
                )
                take_back(connection, lost)

    @property
    def unmended(self) -> list[Damage]:
        """What could not be set right so far."""
        return [damage for damage in self._damages if damage.mended is None]

    def _note(self, pack: str, what: str, mended: str | None, lost: set[bytes]) -> None:
        keys = sorted(key.hex() for key in lost)
        self._damages.append(Damage(pack=pack, what=what, mended=mended, lost=keys))


def _chosen(
    rows: list[sqlite3.Row], *, days: float, is_all: bool, budget_bytes: int | None
) -> list[sqlite3.Row]:
    """Return the packs whose turn it is; at least one, so that large packs have theirs too."""
    if is_all and budget_bytes is None:
        return rows
    late_before = utc_now() - days * DAY_SECONDS
    share = sum(row["size_bytes"] for row in rows) / max(1.0, days)
    chosen, size = [], 0
    for row in rows:
        is_late = row["proved_at"] < late_before
        if size >= (share if budget_bytes is None else budget_bytes) and (budget_bytes or not is_late):
            break
        chosen.append(row)
        size += row["size_bytes"]
    return chosen
