"""`audobon storage scrub`: what a person sees of a sound store, and of one that is damaged."""

import json
from pathlib import Path
from typing import Any

import pytest
from queue_desk import Desk, Outcome

from audobon.app import open_app
from audobon.cli.storage_words import size
from audobon.storage.pack_format import HEAD_BYTES

DATA = b"the night the lantern went out"


class Store:
    """A data folder with one blob in an open pack, and where its bytes lie."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk = desk
        self.file = folder / "page.txt"
        self.file.write_bytes(DATA)
        self.key = desk.audobon("storage", "put", self.file).out.split()[0]

    @property
    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = self.desk.audobon("storage", "stat", self.key, "--json").json
        return found

    @property
    def pack(self) -> Path:
        return self.desk.folder / "blobs" / self.info["pack"]

    def damage(self) -> None:
        """Change one bit of the blob's stream."""
        data = bytearray(self.pack.read_bytes())
        data[self.info["offset"] + HEAD_BYTES + self.info["stored_bytes"] // 2] ^= 1
        self.pack.write_bytes(data)

    def scrub(self, *options: str) -> Outcome:
        return self.desk.audobon("storage", "scrub", "--all", *options)

    def event(self) -> dict[str, Any]:
        """The last event of scrubbing, without when it was and what it read."""
        lines = self.desk.audobon("logs", "show", "--json").out.splitlines()
        last: dict[str, Any] = [
            event for event in map(json.loads, lines) if event["event"] == "storage scrubbed"
        ][-1]
        del last["at"], last["category"], last["event"], last["read_bytes"]
        # Words and lists are sealed in the log, as one text.
        return last | {"unmended": json.loads(last["unmended"])}


@pytest.fixture
def store(desk: Desk, tmp_path: Path) -> Store:
    return Store(desk, tmp_path)


def test_a_sound_store_is_proved_and_ends_well(store: Store) -> None:
    read = store.pack.stat().st_size
    assert store.scrub() == Outcome(0, "", f"1 pack with 1 blob proved, {size(read)}; 0 packs not due yet\n")
    assert store.event() == {"level": "info", "packs": 1, "faults": 0, "unmended": [], "is_dry": False}
    told = store.scrub("--json").json
    assert told.pop("seconds") >= 0
    assert told == {
        "packs": 1,
        "blobs": 1,
        "read_bytes": read,
        "left_packs": 0,
        "found_packs": 0,
        "index_faults": [],
        "news": [],
        "damages": [],
        "is_dry": False,
        "needed_by": {},
    }


def test_damage_without_a_second_copy_is_told_and_ends_with_status_9(store: Store) -> None:
    store.damage()
    pack, read = store.info["pack"], store.pack.stat().st_size
    told = f"{pack}: 1 of 1 records are not as they were written"
    lines = (
        f"1 pack with 0 blobs proved, {size(read)}; 0 packs not due yet\n"
        f"{told}: not mended\n"
        f"  lost: {store.key[:16]}…\n"
        f"error: {told}\n"
    )
    assert store.scrub("--dry-run") == Outcome(9, "", lines + "hint: audobon storage scrub --all\n")
    event = {"level": "error", "packs": 1, "faults": 1, "unmended": [pack]}
    assert store.event() == event | {"is_dry": True}
    hint = "hint: run the jobs again that need it; what is in a backup place is mended: audobon backup add\n"
    assert store.scrub() == Outcome(9, "", lines + hint)
    assert store.event() == event | {"is_dry": False}
    gone = store.desk.audobon("storage", "get", store.key)
    assert (gone.status, gone.out) == (4, "")
    # It stays told until it is stored anew.
    assert store.scrub().status == 9
    store.desk.audobon("storage", "put", "--reread", store.file)
    assert store.scrub().status == 0
    assert store.desk.audobon("storage", "get", store.key, "-o", store.file.with_name("again")).status == 0
    assert store.file.with_name("again").read_bytes() == DATA


def test_damage_is_mended_from_a_backup_place(store: Store, tmp_path: Path) -> None:
    app = open_app()
    app.backups().add(tmp_path / "place")
    app.backups().make()
    app.log.close()
    app.storage.close()
    pack, read = store.info["pack"], store.pack.stat().st_size
    whole = store.pack.read_bytes()
    store.damage()
    assert store.scrub() == Outcome(
        0,
        "",
        f"1 pack with 0 blobs proved, {size(read)}; 0 packs not due yet\n"
        f"{pack}: 1 of 1 records are not as they were written: mended from a second copy\n",
    )
    assert store.event() == {"level": "warning", "packs": 1, "faults": 1, "unmended": [], "is_dry": False}
    assert store.pack.read_bytes() == whole
    assert store.desk.audobon("storage", "get", store.key, "-o", tmp_path / "again").status == 0
    assert (tmp_path / "again").read_bytes() == DATA
    packs = list((store.desk.folder / "blobs").rglob("*.pack"))
    # That the blob is whole again is noted in another pack: a sealed one never changes.
    assert len(packs) == 2
    read = sum(each.stat().st_size for each in packs)
    assert store.scrub() == Outcome(0, "", f"2 packs with 1 blob proved, {size(read)}; 0 packs not due yet\n")
