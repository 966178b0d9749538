"""A machine in small: a data folder with people's jobs, a place with backups, and what unlocks it."""

import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import blake3
import msgspec
from blows import Act

from audobon.app import App
from audobon.backup.repository import initialise
from audobon.backup.rules import KeepRules
from audobon.database.copies import own_copy
from audobon.database.looking import faults_in_copy
from audobon.database.restoring import faults_in, restore_database
from audobon.errors import AudobonError, SubjectErased
from audobon.keys import passphrase
from audobon.settings import BackupSettings, DatabaseSettings, KeySettings, Settings, StorageSettings
from audobon.storage.lifecycle_rules import Condition, Rule

Tell = Callable[[str, str], None]
"""Told of a fault: its kind and words."""

PASSPHRASE = "correct horse battery"
PEOPLE = ("Ann", "Ben", "Cleo", "Dan", "Eve", "Fay")
# Deriving a key as dear as in earnest would be most of what the storm does.
passphrase.Cost = partial(passphrase.Cost, 64, 1, 1)  # type: ignore[misc,assignment]
# Two are kept, whatever their age, so that pruning has something to do.
KEPT = KeepRules(last=2, daily=0, weekly=0, monthly=0, days=0)


class Model(msgspec.Struct):
    """What was acknowledged, and so must be there.

    jobs      id to its person, the keys of its blobs with the hash of their bytes, and whether it was shipped
    before    of each backup: the jobs acknowledged before it began
    erased    persons whose erasure was acknowledged
    erasing   persons whose erasure was begun
    tenant    the newest version of the tenant key that was acknowledged
    """

    jobs: dict[str, dict[str, object]] = {}
    before: dict[str, list[str]] = {}
    erased: list[str] = []
    erasing: list[str] = []
    tenant: int = 0


class World:
    """One machine in a folder; what is opened is opened in forks alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self.place = root / "place"
        self.config = root / "config"
        self.model = Model()
        self.probes: dict[str, str] = {}
        self.of_others: set[str] = set()

    def copied(self, root: Path) -> "World":
        """Return a copy of this machine."""
        shutil.copytree(self.root, root, symlinks=True)
        copy = World(root)
        copy.model = msgspec.json.decode(msgspec.json.encode(self.model), type=Model)
        copy.probes = dict(self.probes)
        # What unlocks the original is not the copy's to remove.
        copy.of_others = {path.name for path in self.keyrings.iterdir()}
        return copy

    @property
    def keyrings(self) -> Path:
        """Where what unlocks it lies."""
        return self.config / "audobon" / "keyrings"

    def environment(self) -> dict[str, str]:
        """Return what a command of this machine sees."""
        return {
            **os.environ,
            "HOME": str(self.root),
            "XDG_CONFIG_HOME": str(self.config),
            "AUDOBON_STORAGE_FOLDER": str(self.data),
            "AUDOBON_KEYS_PASSPHRASE": PASSPHRASE,
            "AUDOBON_BACKUP_PLACES": str(self.place),
            "AUDOBON_KEYS_PROTECTOR": "unlock-file",
        }

    @contextmanager
    def app(self, *, shipping: str = "off", folder: Path | None = None) -> Iterator[App]:
        """Open the machine, in a fork."""
        os.environ.update(self.environment())
        settings = Settings(
            storage=StorageSettings(folder=folder or self.data),
            database=DatabaseSettings(shipping=shipping),
            keys=KeySettings(protector="unlock-file"),
            backup=BackupSettings(places=(str(self.place),)),
        )
        app = App(settings)
        try:
            yield app
        finally:
            app.log.close()
            app.cache.close()
            app.storage.close()
            app.keys.close()

    def make(self, draw: random.Random) -> Act:
        """Return what makes the machine."""
        from deeds import add_job

        def make(acknowledge: object) -> None:
            assert callable(acknowledge)
            with self.app() as app:
                # Everything sealed is old enough at once.
                rule = Rule("SetStorageClass", Condition(age=0, matches_prefix=("page/",)), "NEARLINE")
                app.storage.tiering.set_rules([rule])
                for person in PEOPLE:
                    subject = app.keys.subject(person)
                    acknowledge(probe=app.keys.seal_text(subject, person, context=b"probe"), subject=subject)
                    add_job(app, subject, draw, acknowledge)
                backups = app.backups()
                # Named by the settings: places.json would name it in every copy of this machine.
                initialise(self.place, app.keys, at=0.0)
                for made in backups.make():
                    acknowledge(backup=made.id, before=[])

        return make

    def take(self, acks: list[dict[str, object]]) -> None:
        """Note what was acknowledged."""
        model = self.model
        for ack in acks:
            if "job" in ack:
                model.jobs[str(ack["job"])] = ack
            if "backup" in ack:
                model.before[str(ack["backup"])] = list(ack["before"])  # type: ignore[call-overload]
            if "probe" in ack:
                self.probes[str(ack["subject"])] = str(ack["probe"])
            if "erasing" in ack:
                model.erasing.append(str(ack["erasing"]))
            if "erased" in ack:
                model.erased.append(str(ack["erased"]))
            if "tenant" in ack:
                model.tenant = int(str(ack["tenant"]))
            if "kept" in ack:
                kept = set(ack["kept"])  # type: ignore[call-overload]
                model.jobs = {job: facts for job, facts in model.jobs.items() if job in kept}

    def check(self, *, is_settled: bool) -> Act:
        """Return what looks whether all that was acknowledged is there, and all checks are green.

        is_settled  nothing is broken off any more
        """

        def check(acknowledge: object) -> None:
            assert callable(acknowledge)
            found: Counter[str] = Counter()

            def fault(kind: str, words: str) -> None:
                found[kind] += 1
                if found[kind] < 5:
                    acknowledge(fault=kind, words=words)

            with self.app() as app:
                self._check_keys(app, fault, is_settled=is_settled)
                self._check_jobs(app, fault, is_settled=is_settled)
                self._check_places(app, fault)
                if is_settled:
                    self._check_index(app, fault)
                    self._check_shipped(app, fault)

        return check

    def _check_keys(self, app: App, fault: Tell, *, is_settled: bool) -> None:
        status = app.keys.status()
        if status.ledger_fault is not None:
            fault("half", f"the ledger: {status.ledger_fault}")
        if status.tenant_version < self.model.tenant:
            fault("lost", f"a rotation: {status.tenant_version}, and {self.model.tenant} was acknowledged")
        for subject, probe in self.probes.items():
            if not is_settled and subject in self.model.erasing and subject not in self.model.erased:
                continue
            try:
                app.keys.unseal_text(probe, context=b"probe")
                is_open = True
            except SubjectErased:
                is_open = False
            if is_open and subject in self.model.erased:
                fault("half", f"{subject} was erased and can be read")
            if not is_open and subject not in self.model.erasing:
                fault("lost", f"the key of {subject}")

    def _check_jobs(self, app: App, fault: Tell, *, is_settled: bool) -> None:
        with closing(app.database.open()) as connection:
            for words in faults_in(connection):
                fault("unsound", f"the database: {words}")
            rows = connection.execute(
                "SELECT job.id, job.subject, entry.blob FROM job LEFT JOIN entry ON entry.job_id = job.id"
            ).fetchall()
        there: dict[str, dict[str, str]] = {}
        for job, subject, blob in rows:
            there.setdefault(job, {})
            if blob is not None:
                there[job][blob] = subject
        for job, facts in self.model.jobs.items():
            if job not in there and facts["subject"] not in self.model.erasing:
                fault("lost", f"job {job}")
        for job, blobs in there.items():
            known = self.model.jobs.get(job, {}).get("blobs", {})
            assert isinstance(known, dict)
            for key, subject in blobs.items():
                if subject in self.model.erasing:
                    if is_settled and subject in self.model.erased:
                        fault("half", f"job {job} of {subject}, who was erased")
                    continue
                try:
                    data = app.storage.get(key)
                except AudobonError as error:
                    fault("lost" if known else "half", f"blob {key} of job {job}: {error.message}")
                    continue
                if known and known.get(key) != blake3.blake3(data).hexdigest():
                    fault("lost", f"the bytes of {key}")

    def _check_places(self, app: App, fault: Tell) -> None:
        backups = app.backups()
        for verified in backups.verify():
            for each in verified.faults:
                fault("unsound", f"{each.object}: {each.what}")
        for failure in backups.failures:
            fault("unsound", f"{failure.place}: {failure.message}")
        there = {stored.manifest.id for place in backups.places.list() for stored in backups.history(place)}
        for backup in list(self.model.before)[-1:]:
            if backup not in there:
                fault("lost", f"backup {backup}")
        for words in faults_in_copy(own_copy(app.folder), app.keys, on_object=lambda name: None):
            fault("unsound", f"the copy of the database: {words}")

    def _check_index(self, app: App, fault: Tell) -> None:
        living = "SELECT key, size_bytes, flags FROM blob WHERE dead_at IS NULL"
        before = {tuple(row) for row in app.storage.index.rows(living)}
        known = {row[0] for row in app.storage.index.rows("SELECT key FROM blob")}
        rebuilt = app.storage.rebuild()
        for words in rebuilt.faults:
            fault("unsound", words)
        after = {tuple(row) for row in app.storage.index.rows(living)}
        for row in before - after:
            fault("unsound", f"{row[0].hex()} is in the index and in no pack")
        needed = {key for facts in self.model.jobs.values() for key in facts["blobs"]}  # type: ignore[attr-defined]
        for row in after - before:
            # A pack that collecting forgot and did not come to remove holds what nobody needs.
            if row[0] not in known and row[0].hex() in needed:
                fault("unsound", f"{row[0].hex()} is in a pack and not in the index")
        if rebuilt.erased and set(self.model.erasing) <= set(self.model.erased):
            fault("half", f"{rebuilt.erased} packs of erased persons")

    def _check_shipped(self, app: App, fault: Tell) -> None:
        into = self.root / "shipped.db"
        restore_database(own_copy(app.folder), app.keys, into, overwrite=True)
        with closing(sqlite3.connect(f"file:{into}?immutable=1", uri=True)) as connection:
            there = {row[0] for row in connection.execute("SELECT id FROM job")}
        into.unlink()
        for job, facts in self.model.jobs.items():
            if facts["is_shipped"] and job not in there and facts["subject"] not in self.model.erasing:
                fault("lost", f"job {job} in the copy of the database")

    def check_leftovers(self) -> Act:
        """Return what looks, after every command ran once undisturbed, for what nobody sweeps away."""

        def check(acknowledge: object) -> None:
            assert callable(acknowledge)
            with self.app() as app, closing(app.database.open()) as connection:
                rows = connection.execute("SELECT blob FROM entry WHERE blob IS NOT NULL").fetchall()
                needed = {str(row[0]) for row in rows}
                # Writers that were killed count as such after a day; here the day is over.
                app.storage.sweep(lambda: needed, broken_before=float("inf"))
                known = {app.storage.store.path(pack.name) for pack in app.storage.packs(sealed_only=False)}
            for path in self.root.rglob("*"):
                name = path.name
                if ".replaced-" in name or ".before-" in str(path):
                    continue
                is_pack = name.endswith(".pack") and path.is_relative_to(self.data) and path not in known
                is_left = name.endswith((".part", "-journal", ".swap.json")) or ".incoming/" in str(path)
                if is_left or is_pack:
                    acknowledge(fault="left", words=str(path.relative_to(self.root)))
            stores = [path for path in self.root.rglob("keystore.db*") if "-journal" not in path.name]
            unlocking = {path.name for path in self.keyrings.iterdir()} - self.of_others
            if len(unlocking) > len(stores):
                acknowledge(fault="left", words=f"{sorted(unlocking)} unlock {list(map(str, stores))}")

        return check
