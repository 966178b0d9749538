"""The ledger of erasures: only ever longer, and any change of it is noticed."""

import msgspec
import pytest
from keyring_home import Home

from audobon.errors import CorruptKeyring
from audobon.keys import erasure
from audobon.keys.ledger import encode
from audobon.keys.service import Keys


@pytest.fixture
def names(keys: Keys) -> list[str]:
    """Three people, erased."""
    ids = [keys.subject(name) for name in ("Ann", "Ben", "Cleo")]
    keys.erase(ids[0])
    keys.erase(ids[1], reason="retention")
    keys.erase(ids[2])
    return ids


def fault(home: Home) -> str | None:
    return home.open().status().ledger_fault


def test_it_holds_ids_and_instants_in_order_and_no_names(home: Home, keys: Keys, names: list[str]) -> None:
    entries = keys.ledger.entries()
    assert [(entry.subject, entry.reason) for entry in entries] == list(
        zip(names, ("asked", "retention", "asked"), strict=True)
    )
    assert all(name not in home.ledger.read_text() for name in ("Ann", "Ben", "Cleo"))
    status = keys.status()
    assert (status.erased, status.ledger_entries, status.ledger_fault) == (3, 3, None)


def test_a_flipped_bit_anywhere_is_noticed(home: Home, keys: Keys, names: list[str]) -> None:
    data = home.ledger.read_bytes()
    for place in range(0, len(data) * 8, 7):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        home.ledger.write_bytes(changed)
        with pytest.raises(CorruptKeyring):
            erasure.check_ledger(keys._ring, keys.ledger)
    home.ledger.write_bytes(data)
    erasure.check_ledger(keys._ring, keys.ledger)


@pytest.mark.parametrize(
    "order", [(1, 0, 2), (0, 2, 1), (0, 2), (1, 2), (0, 1), (0,), (), (0, 0, 1, 2), (0, 1, 2, 2)]
)
def test_entries_moved_doubled_or_left_out_are_noticed(
    home: Home, keys: Keys, names: list[str], order: tuple[int, ...]
) -> None:
    lines = home.ledger.read_bytes().splitlines(keepends=True)
    home.ledger.write_bytes(b"".join(lines[number] for number in order))
    assert fault(home) is not None
    # Who was erased stays so all the same.
    assert all(home.open().find_subject(name).erased_at for name in names)


def test_a_lost_ledger_is_noticed_and_written_anew_from_the_keystore(
    home: Home, keys: Keys, names: list[str]
) -> None:
    before = keys.ledger.entries()
    home.ledger.unlink()
    assert fault(home) == "the ledger of erasures lacks entries"
    erasure.mend_ledger(keys._ring, keys.ledger)
    assert fault(home) is None
    again = keys.ledger.entries()
    assert [(e.subject, e.erased_at) for e in again] == [(e.subject, e.erased_at) for e in before]


def test_a_copy_that_is_longer_makes_a_shorter_one_whole(home: Home, keys: Keys, names: list[str]) -> None:
    whole = keys.ledger.entries()
    home.ledger.write_bytes(encode(whole[0]))
    assert keys.ledger.merge(whole) == whole[1:]
    assert keys.ledger.entries() == whole
    assert keys.ledger.merge(whole) == []
    assert keys.ledger.merge(whole[:1]) == []
    assert fault(home) is None


def test_copies_that_went_apart_are_brought_together(home: Home, keys: Keys, names: list[str]) -> None:
    whole = keys.ledger.entries()
    home.ledger.write_bytes(encode(whole[0]))
    keys.ledger.append("another", "asked", erased_at=5.0)
    added = keys.ledger.merge(whole)
    assert [(entry.subject, entry.erased_at) for entry in added] == [
        (entry.subject, entry.erased_at) for entry in whole[1:]
    ]
    assert [entry.subject for entry in keys.ledger.entries()] == [names[0], "another", *names[1:]]


def test_entries_of_another_keyring_are_refused(
    home: Home, keys: Keys, names: list[str], tmp_path: object
) -> None:
    other = Home(home.folder / "other").open()
    other.erase(other.subject("Dan"))
    with pytest.raises(CorruptKeyring, match="line 1"):
        keys.replay(other.ledger.entries())
    forged = msgspec.structs.replace(keys.ledger.entries()[0], subject="me")
    with pytest.raises(CorruptKeyring):
        keys.replay([forged])


def test_a_line_that_was_being_written_at_a_kill_is_cut_by_the_next(
    home: Home, keys: Keys, names: list[str]
) -> None:
    whole = home.ledger.read_bytes()
    home.ledger.write_bytes(whole + whole[:40])
    dan = home.open().subject("Dan")
    fresh = home.open()
    fresh.erase(dan)
    assert [entry.subject for entry in fresh.ledger.entries()] == [*names, dan]
    assert fault(home) is None
