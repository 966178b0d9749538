"""A backup while the keystore is damaged: made all the same, with the keys of before, and not in silence."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from desk import HOUR, Desk
from test_backup_commands import Command

from audobon.backup.making import refuse_partial
from audobon.backup.pruning import KEYSTORE_DAYS
from audobon.backup.rules import KeepRules
from audobon.errors import CorruptKeyring


def damage(folder: Path) -> str:
    """Change a row that wraps no key; return what is said of it."""
    store = folder / "keys" / "keystore.db"
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("UPDATE subject SET created_at = created_at + 1")
    return f"rows of {store} are not as they were written"


def test_a_backup_goes_on_with_the_export_before_and_says_so(desk: Desk, tmp_path: Path) -> None:
    desk.add_job("one", [desk.put()])
    desk.backups.make()
    before = desk.objects("keystores/")
    desk.now += HOUR
    fault = damage(desk.folder)
    desk.add_job("two", [desk.put()])

    (made,) = desk.backups.make()

    assert (made.keystore_fault, made.lacking, made.new_packs) == (fault, {}, 1)
    newest = desk.repository().newest()
    assert newest is not None
    assert ([newest.manifest.keystore.name], newest.manifest.keystore_fault) == (before, fault)
    assert not newest.manifest.is_whole
    assert desk.objects("keystores/") == before
    with pytest.raises(CorruptKeyring, match="has the keys of an earlier export: rows of"):
        refuse_partial([made])
    assert desk.backups.verify()[0].faults == []
    (standing,) = desk.backups.standings()
    assert standing.alarms == [f"the newest backup has the keys of an earlier export: {fault}"]
    assert standing.hint == "audobon keys import-recovery"
    desk.restore(tmp_path / "restored")


def test_pruning_keeps_the_last_backup_with_keys_of_its_own_and_the_export_it_needs(desk: Desk) -> None:
    desk.put()
    desk.backups.make()
    damage(desk.folder)
    for _ in range(2):
        desk.now += (KEYSTORE_DAYS + 1) * 24 * HOUR
        desk.backups.make()
    (pruned,) = desk.backups.prune(
        rules=KeepRules(last=1, daily=0, weekly=0, monthly=0, days=0), is_dry=False
    )
    assert list(pruned.kept.values()) == [["last whole one"], ["last"]]
    assert len(desk.objects("keystores/")) == 1
    assert desk.backups.verify()[0].faults == []


def test_a_first_backup_without_any_export_is_refused(desk: Desk) -> None:
    desk.put()
    fault = damage(desk.folder)
    with pytest.raises(CorruptKeyring) as refused:
        desk.backups.make()
    assert refused.value.message == fault
    assert desk.objects("manifests/") == []


def test_a_damaged_export_is_not_named_instead(desk: Desk) -> None:
    desk.put()
    desk.backups.make()
    (name,) = desk.objects("keystores/")
    path = desk.place / name
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])
    damage(desk.folder)
    with pytest.raises(CorruptKeyring):
        desk.backups.make()


def test_of_damaged_keys_and_packs_that_cannot_be_read_the_keys_are_told_first(desk: Desk) -> None:
    desk.put()
    desk.backups.make()
    damage(desk.folder)
    for pack in desk.storage.packs():
        desk.storage.store.path(pack.name).unlink()
    (desk.place / desk.objects("packs/")[0]).unlink()
    made = desk.backups.make()
    assert len(made[0].lacking) == 1
    with pytest.raises(CorruptKeyring):
        refuse_partial(made)


@pytest.fixture
def audobon(tmp_path: Path) -> Command:
    return Command(tmp_path / "old")


def test_the_command_says_it_and_ends_with_9_until_the_keyring_is_imported(
    audobon: Command, tmp_path: Path
) -> None:
    place, words, page = tmp_path / "disk", tmp_path / "words", tmp_path / "page"
    page.write_bytes(b"a page")
    audobon("storage", "put", page)
    audobon("keys", "export-recovery", "--output", words)
    audobon("backup", "add", place)
    audobon("backup", "now")
    fault = damage(audobon.root / "data")

    done = audobon("backup", "now")

    (_, newest) = json.loads(audobon("backup", "list", "--json").stdout)["places"][0]["backups"]
    assert (newest["keystore_fault"], newest["lacking"]) == (fault, {})
    assert (done.returncode, done.stdout) == (9, "")
    copied, *rest = done.stderr.splitlines()
    assert copied.startswith(f"{place}: {newest['id']}: copied 0 of 1 packs; ")
    assert rest == [
        f"  the keys are those of an earlier export: {fault}",
        f"error: {place}: the backup has the keys of an earlier export: {fault}",
        "hint: audobon keys import-recovery, then: audobon backup now",
    ]
    assert audobon("backup", "list").stdout.splitlines()[-1].endswith("older keys")
    assert audobon("backup", "status").returncode == 10
    assert audobon("keys", "import-recovery", "--words-file", words).returncode == 0
    assert audobon("backup", "now").returncode == 0
    assert audobon("backup", "status").returncode == 0
