"""Everything that is kept is checked with one look; packs and places mend each other."""

import random
from pathlib import Path

import msgspec
import pytest
from desk import HOUR, Desk, flip

from audobon.backup.checking import PARTS, check_everything, refuse
from audobon.backup.memory import Memory
from audobon.backup.signed import signed
from audobon.errors import Corrupt, ForeignRepository, NewerFormat


def faults(desk: Desk) -> dict[str, list[str]]:
    return {each.part: each.faults for each in check_everything(desk.backups) if each.faults}


@pytest.fixture
def backed_up(desk: Desk) -> Desk:
    desk.add_job("one", [desk.put(), desk.put(1_500_000)])
    desk.backups.make()
    return desk


def test_a_sound_folder_is_as_it_was_written(backed_up: Desk) -> None:
    found = check_everything(backed_up.backups)
    assert [(each.part, each.faults) for each in found] == [(part, []) for part in PARTS]
    refuse(found)


def test_each_damage_is_told_by_the_part_it_belongs_to(backed_up: Desk) -> None:
    pack = next(iter(backed_up.storage.packs()))
    backed_up.storage.store.path(pack.name).unlink()
    object_name = backed_up.objects("packs/")[0]
    flip(backed_up.place / object_name, random.Random(1))
    found = check_everything(backed_up.backups)
    assert {each.part: each.faults for each in found if each.faults} == {
        "storage": [f"{pack.name}: it is missing"],
        "places": [f"{backed_up.place}/{object_name}: its bytes are not those that were written"],
    }
    with pytest.raises(Corrupt, match=r"storage: .* it is missing, and 1 more"):
        refuse(found)


def test_a_pack_is_mended_from_a_place_and_the_place_from_the_pack(backed_up: Desk) -> None:
    for pack in list(backed_up.storage.packs()):
        flip(backed_up.storage.store.path(pack.name), random.Random(2))
    scrubbed = backed_up.storage.scrubber.scrub(is_all=True, copies=backed_up.backups)
    assert {damage.mended for damage in scrubbed.damages} == {"from a second copy"}
    for name in backed_up.objects("packs/"):
        flip(backed_up.place / name, random.Random(3))
    (repaired,) = backed_up.backups.repair()
    assert sorted(repaired.mended) == backed_up.objects("packs/")
    assert faults(backed_up) == {}


def test_what_has_no_second_copy_is_let_go_and_a_backup_made_anew(backed_up: Desk) -> None:
    flip(backed_up.place / backed_up.objects("manifests/")[0], random.Random(4))
    flip(backed_up.place / backed_up.objects("keystores/")[0], random.Random(5))
    (repaired,) = backed_up.backups.repair()
    assert len(repaired.given_up + repaired.renewed) == 2
    assert faults(backed_up) == {}
    assert len(backed_up.objects("manifests/")) == 1


def test_a_card_that_is_damaged_gone_or_of_another_place_is_written_anew(
    backed_up: Desk, tmp_path: Path
) -> None:
    card = backed_up.place / "repository.json"
    whole = card.read_bytes()
    backed_up.backups.add(tmp_path / "other")
    for data in (None, whole[:-1], whole.replace(b"keystore_id", b"keystore_ie"), other_card(tmp_path)):
        card.unlink()
        if data is not None:
            card.write_bytes(data)
        assert "places" in faults(backed_up)
        backed_up.backups.repair()
        assert faults(backed_up) == {}


def test_what_a_newer_audobon_wrote_is_never_taken_for_damage(backed_up: Desk) -> None:
    backed_up.now += HOUR
    backed_up.add_job("two", [backed_up.put()])
    backed_up.backups.make()
    newest = backed_up.repository().newest()
    assert newest is not None
    # One that no manifest which can be read names with its digest.
    keystore = next(name for name in backed_up.objects("keystores/") if name != newest.manifest.keystore.name)
    newer = {
        backed_up.objects("manifests/")[0]: (rb'"format":1', rb'"format":2'),
        keystore: (rb'"format":1', rb'"format":2'),
        backed_up.objects("wal/")[-1]: (b"AUDWAL\0\1", b"AUDWAL\0\2"),
        backed_up.objects("files/")[0]: (b"AUDOFIL1", b"AUDOFIL2"),
    }
    for name, (ours, theirs) in newer.items():
        whole = (backed_up.place / name).read_bytes()
        assert ours in whole
        (backed_up.place / name).write_bytes(whole.replace(ours, theirs, 1))
    # Nor does the data folder, or its own copy, have them in the format that is known.
    for name in newer:
        if name.startswith("wal/"):
            (backed_up.folder / name).unlink()
    written = {name: (backed_up.place / name).read_bytes() for name in newer}
    flip(backed_up.place / backed_up.objects("packs/")[0], random.Random(6))

    (repaired,) = backed_up.backups.repair()

    assert repaired.mended == [backed_up.objects("packs/")[0]]
    # "wal/": the newest backup cannot be proved to be within reach.
    assert sorted(repaired.spared) == sorted([*newer, "wal/"])
    assert {name: (backed_up.place / name).read_bytes() for name in newer} == written


def test_a_card_of_a_newer_audobon_is_not_written_over(backed_up: Desk) -> None:
    card = backed_up.place / "repository.json"
    known = backed_up.repository().card
    newer = signed(msgspec.structs.replace(known, format=known.format + 1), backed_up.keys)
    card.write_bytes(newer)
    with pytest.raises(NewerFormat, match="written by a newer Audobon"):
        backed_up.backups.repair()
    assert card.read_bytes() == newer


def test_a_card_whose_format_was_damaged_is_written_anew(backed_up: Desk) -> None:
    card = backed_up.place / "repository.json"
    whole = card.read_bytes()
    card.write_bytes(whole.replace(b'"format":1', b'"format":3'))
    assert card.read_bytes() != whole
    backed_up.backups.repair()
    assert backed_up.repository().card.format == 1
    assert faults(backed_up) == {}


def other_card(root: Path) -> bytes:
    return (root / "other" / "repository.json").read_bytes()


def test_a_changed_list_of_places_or_memory_of_them_is_noticed(backed_up: Desk) -> None:
    for name in ("places.json", "backups.json"):
        path = backed_up.folder / name
        whole = path.read_bytes()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        for damaged in (flipped, whole[:-1], None):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            assert "places" in faults(backed_up)
            path.write_bytes(whole)
    assert faults(backed_up) == {}


def test_a_restored_folder_misses_backups_that_vanish(backed_up: Desk, tmp_path: Path) -> None:
    backed_up.restore(tmp_path / "restored")
    repository = backed_up.repository()
    newest = repository.newest()
    assert newest is not None
    known = Memory(tmp_path / "restored").of(repository.card.id)
    assert (known.number, known.digest) == (newest.number, newest.digest)


def test_a_database_that_differs_from_its_copy_is_noticed(backed_up: Desk) -> None:
    path = backed_up.database.path
    log = Path(f"{path}-wal")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    (fault,) = faults(backed_up)["database"]
    assert fault.startswith(f"{log}: frame ")
    log.unlink()
    path.unlink()
    assert faults(backed_up)["database"][0].startswith(f"{path}: it is gone; its copy reaches to commit ")


def test_a_foreign_place_is_not_made_ours(backed_up: Desk, tmp_path: Path) -> None:
    stranger = Desk(tmp_path / "stranger")
    stranger.backups.add(stranger.place)
    (backed_up.place / "repository.json").write_bytes((stranger.place / "repository.json").read_bytes())
    for manifest in (backed_up.place / "manifests").iterdir():
        manifest.unlink()
    with pytest.raises(ForeignRepository, match="belongs to the keyring"):
        backed_up.backups.repair()
    stranger.close()
