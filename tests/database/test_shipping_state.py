"""The note of how far a database is shipped: whole, or as if it were not there."""

from pathlib import Path

from audobon.database.shipping_state import ShippingState, StateFile
from audobon.database.wal_reader import LogPlace


def state(why: str) -> ShippingState:
    return ShippingState(
        generation="000000000001-00",
        commit=7,
        at=1.0,
        id=b"id",
        place=LogPlace(b"12345678", 3, (1, 2)),
        page_bytes=4096,
        pages=9,
        why=why,
        last_name="",
        key_id=b"key",
        subject="system",
        subject_version=1,
        wrapped=b"wrapped",
    )


def test_a_shorter_note_takes_the_place_of_a_longer_one(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    file = StateFile(tmp_path / "audobon.db")
    file.write(state("a long reason " * 10))
    file.write(state("short"))
    assert file.read() == state("short")


def test_a_note_that_is_torn_anywhere_is_no_note(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    file = StateFile(tmp_path / "audobon.db")
    path = tmp_path / "locks" / "audobon.db.shipped"
    file.write(state("the new one"))
    new = path.read_bytes()
    file.write(state("the old one"))
    old = path.read_bytes()
    assert len(old) == len(new)
    differing = [at for at in range(len(new)) if new[at] != old[at]]
    for at in range(differing[0] + 1, differing[-1] + 1):
        path.write_bytes(new[:at] + old[at:])
        assert file.read() is None, at
    for at in range(len(new)):
        path.write_bytes(new[:at])
        assert file.read() is None, at
