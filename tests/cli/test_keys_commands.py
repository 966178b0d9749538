"""`audobon keys`, as a person types it."""

import io
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from queue_desk import Desk

if TYPE_CHECKING:
    from fakes.cloud import FakeCloud

SECRET = "correct horse battery"


@pytest.fixture
def words_file(desk: Desk, tmp_path: Path) -> Path:
    """The words of the keyring, written down."""
    file = tmp_path / "words"
    assert run(desk, "keys", "export-recovery", "--output", str(file))[0] == 0
    return file


@pytest.fixture
def recovery_file(desk: Desk, words_file: Path, tmp_path: Path) -> Path:
    """A recovery file of the keyring."""
    file = tmp_path / "keyring.age"
    assert run(desk, "keys", "export-recovery", "--yes", "--keyring", str(file))[0] == 0
    return file


def run(desk: Desk, *words: str) -> tuple[int, str, str]:
    """Run a command; return its status and what it said."""
    outcome = desk.audobon(*words)
    return outcome.status, outcome.out, outcome.err


def keyring_id(desk: Desk) -> str:
    return str(json.loads(run(desk, "keys", "status", "--json")[1])["id"])


def test_status_shows_the_keyring_and_warns_while_nobody_has_the_words(desk: Desk, tmp_path: Path) -> None:
    code, out, err = run(desk, "keys", "status")
    assert (code, out) == (
        0,
        f"keyring       {keyring_id(desk)}\n"
        "protected by  unlock-file, version 1\n"
        "tenant key    version 1, of 2026-01-03\n"
        "subjects      0, with 0 keys\n"
        "erased        0, 0 in the ledger\n"
        "rewrapped     0 data keys\n"
        "words         never exported\n",
    )
    assert err == (
        "warning: nobody has the recovery words; if what unlocks the keyring is lost, all is lost\n"
        "hint: audobon keys export-recovery\n"
    )
    run(desk, "keys", "export-recovery", "--output", str(tmp_path / "words"))
    code, out, err = run(desk, "keys", "status")
    assert (code, err) == (0, "")
    assert out.endswith("words         exported 2026-01-03\n")


def test_the_words_are_shown_only_when_somebody_says_so(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, out, err = run(desk, "keys", "export-recovery")
    assert (code, out) == (130, "")
    assert "Show the 24 recovery words now?" in err
    assert json.loads(run(desk, "keys", "status", "--json")[1])["words_exported_at"] is None
    code, out, err = run(desk, "keys", "export-recovery", "--yes")
    assert (code, err) == (0, "hint: audobon keys check-recovery proves what you wrote down\n")
    lines = out.splitlines()
    assert [line[:3] for line in lines] == [f"{number:2} " for number in range(1, 25)]
    words = " ".join(line[3:] for line in lines)
    file = tmp_path / "words"
    code, out, _ = run(desk, "keys", "export-recovery", "--output", str(file))
    assert (code, out, file.read_text()) == (0, "", words + "\n")
    assert file.stat().st_mode & 0o777 == 0o600
    code, _, err = run(desk, "keys", "export-recovery", "--output", str(file))
    assert code == 5
    assert f"{file} exists already" in err


def test_a_dry_run_of_an_export_shows_and_notes_nothing(desk: Desk) -> None:
    code, out, err = run(desk, "keys", "export-recovery", "--dry-run")
    assert (code, out) == (0, "")
    assert err.startswith("would show the words of age1")
    assert json.loads(run(desk, "keys", "status", "--json")[1])["words_exported_at"] is None


def test_words_are_checked_against_a_file_or_the_keyring_itself(
    desk: Desk, words_file: Path, recovery_file: Path, tmp_path: Path
) -> None:
    proved = f"the words open keyring {keyring_id(desk)}: 0 subjects, 0 keys\n"
    asked = ("keys", "check-recovery", "--words-file", str(words_file))
    assert run(desk, *asked) == (0, "", proved)
    assert run(desk, *asked, str(recovery_file)) == (0, "", proved)
    wrong = tmp_path / "wrong"
    wrong.write_text("abandon " * 23 + "art")
    code, out, err = run(desk, "keys", "check-recovery", "--words-file", str(wrong))
    assert (code, out) == (6, "")
    assert "these words do not open this file" in err
    recovery_file.write_bytes(recovery_file.read_bytes()[:-1])
    code, _, err = run(desk, *asked, str(recovery_file))
    assert code == 9
    assert "cut off" in err


def test_a_lost_keyring_comes_back_from_the_file_and_the_words(
    desk: Desk, words_file: Path, recovery_file: Path
) -> None:
    name = keyring_id(desk)
    ask = ("keys", "import-recovery", str(recovery_file), "--words-file", str(words_file))
    code, _, err = run(desk, *ask)
    assert code == 5
    assert "add --overwrite to replace it" in err
    (desk.folder / "keys" / "keystore.db").unlink()
    code, _, err = run(desk, "keys", "status")
    assert code == 4
    assert "hint: audobon keys import-recovery" in err
    assert run(desk, *ask, "--dry-run") == (0, "", f"would import keyring {name}: 0 subjects, 0 keys\n")
    proves = "hint: audobon keys status proves every key in it\n"
    assert run(desk, *ask) == (0, "", f"imported keyring {name}: 0 subjects, 0 keys\n{proves}")
    assert keyring_id(desk) == name


def test_rotating_and_rewrapping_tell_what_they_do(desk: Desk) -> None:
    made = "made version 2 of the topmost key, 2 of the tenant key, and new keys for 0 subjects\n"
    would = made.replace("made", "would make")
    assert run(desk, "keys", "rotate", "--dry-run") == (0, "", would)
    assert run(desk, "keys", "rotate") == (0, "", made + "hint: audobon keys rewrap\n")
    code, out, _ = run(desk, "keys", "rotate", "--json")
    assert (code, json.loads(out)) == (0, {"kek_version": "3", "tenant_version": 3, "subjects": 0})
    assert run(desk, "keys", "rewrap") == (
        0,
        "",
        "wrapped 0 keys of 0 anew; 0 were new, 0 are of erased subjects\n",
    )


def test_rewrapping_finds_the_keys_of_all_packs(desk: Desk) -> None:
    from audobon.app import open_app

    app = open_app()
    blobs = [app.storage.put(bytes([number]) * 2_000_000) for number in range(3)]
    small = app.storage.put(b"small")
    app.storage.close()
    run(desk, "keys", "rotate")
    said = "4 keys of 4 anew; 0 were new, 0 are of erased subjects\n"
    assert run(desk, "keys", "rewrap", "--dry-run") == (0, "", f"would wrap {said}")
    assert run(desk, "keys", "rewrap") == (0, "", f"wrapped {said}")
    _, out, _ = run(desk, "keys", "rewrap", "--json")
    assert json.loads(out) == {"looked_at": 4, "rewrapped": 0, "current": 4, "erased": 0, "damaged": []}
    again = open_app()
    assert [again.storage.get(blob)[0] for blob in blobs] == [0, 1, 2]
    assert again.storage.get(small) == b"small"
    again.storage.close()


def test_protection_changes_to_a_passphrase_that_is_asked_for_from_then_on(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "passphrase"
    file.write_text(SECRET + "\n")
    ask = ("keys", "protect", "--with", "passphrase", "--passphrase-file", str(file))
    assert run(desk, *ask, "--dry-run") == (
        0,
        "",
        "the keyring would be protected by passphrase; before: unlock-file\n",
    )
    assert run(desk, *ask) == (0, "", "the keyring is protected by passphrase; before: unlock-file\n")
    code, _, err = run(desk, "keys", "status")
    assert code == 6
    assert "none was given" in err
    monkeypatch.setenv("AUDOBON_KEYS_PASSPHRASE", SECRET + "?")
    code, _, err = run(desk, "keys", "status")
    assert code == 6
    assert "the passphrase does not open the keyring" in err
    monkeypatch.setenv("AUDOBON_KEYS_PASSPHRASE", SECRET)
    assert run(desk, "keys", "status")[0] == 0
    monkeypatch.delenv("AUDOBON_KEYS_PASSPHRASE")
    monkeypatch.setenv("AUDOBON_KEYS_PASSPHRASE_FILE", str(file))
    assert run(desk, "keys", "status")[0] == 0
    code, out, _ = run(desk, "keys", "protect", "--with", "unlock-file", "--json")
    assert json.loads(out) == {"before": "passphrase", "protector": "unlock-file", "is_dry_run": False}


def test_the_passphrase_is_never_shown_among_the_settings(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDOBON_KEYS_PASSPHRASE", SECRET)
    code, out, err = run(desk, "config", "show")
    assert code == 0
    assert SECRET not in out + err
    assert "keys.protector" in out


def test_a_protector_that_nobody_knows_is_a_fault_of_the_settings(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDOBON_KEYS_PROTECTOR", "a-dog")
    code, _, err = run(desk, "keys", "status")
    assert code == 3
    assert "keys.protector must be auto, secret-store, passphrase, unlock-file or cloud-kms" in err


CRYPTO_KEY = "projects/p/locations/us-central1/keyRings/audobon/cryptoKeys/keyrings"


def test_a_keyring_is_locked_by_cloud_kms_and_a_disabled_version_says_how_to_enable_it(
    desk: Desk, cloud: "FakeCloud", monkeypatch: pytest.MonkeyPatch
) -> None:
    # gRPC reckons deadlines by the time of day.
    desk.now = datetime.now(UTC).timestamp()
    version = cloud.kms.make_key(CRYPTO_KEY) + "/cryptoKeyVersions/1"
    monkeypatch.setenv("AUDOBON_CLOUD_KMS_KEY", CRYPTO_KEY)
    ask = ("keys", "protect", "--with", "cloud-kms")
    would = "the keyring would be protected by cloud-kms; before: unlock-file\n"
    assert run(desk, *ask, "--dry-run") == (0, "", would)
    assert cloud.calls == []
    assert run(desk, *ask) == (0, "", "the keyring is protected by cloud-kms; before: unlock-file\n")
    _, out, _ = run(desk, "keys", "status")
    assert "protected by  cloud-kms, version 1\n" in out
    assert f"locked by     {version}\n" in out
    cloud.kms.disable(version)
    assert run(desk, "keys", "status") == (
        3,
        "",
        f"error: {version}, which unlocks the keyring, cannot be used: it is DISABLED\n"
        f"hint: gcloud kms keys versions enable {version}\n",
    )


def test_without_a_key_in_the_settings_a_keyring_is_not_locked_by_cloud_kms(desk: Desk) -> None:
    assert run(desk, "keys", "protect", "--with", "cloud-kms") == (
        3,
        "",
        "error: no key of Cloud KMS is set\n"
        "hint: cloud.kms_key = projects/PROJECT/locations/REGION/keyRings/RING/cryptoKeys/KEY\n",
    )
    assert json.loads(run(desk, "keys", "status", "--json")[1])["protector"] == "unlock-file"


def test_a_damaged_keystore_ends_status_with_its_own_code(desk: Desk) -> None:
    run(desk, "keys", "status")
    file = desk.folder / "keys" / "keystore.db"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("UPDATE tenant_key SET wrapped = zeroblob(70)")
    connection.close()
    code, out, err = run(desk, "keys", "status", "--json")
    assert code == 9
    assert json.loads(out)["error"]["code"] == "corrupt_keyring"
    assert "hint: audobon keys import-recovery" in err


def test_a_damaged_ledger_is_told_and_written_anew(desk: Desk) -> None:
    from audobon.app import open_app

    keys = open_app().keys
    keys.erase(keys.subject("Ann"))
    keys.close()
    (desk.folder / "keys" / "ledger.jsonl").unlink()
    code, _, err = run(desk, "keys", "status")
    assert code == 0
    assert "warning: the ledger of erasures lacks entries\n" in err
    said = "wrote the ledger anew: the ledger of erasures lacks entries\n"
    assert run(desk, "keys", "mend-ledger") == (0, "", said)
    assert run(desk, "keys", "mend-ledger") == (0, "", "the ledger is sound\n")


def test_a_damaged_keystore_is_not_exported_and_is_replaced_without_asking(
    desk: Desk, words_file: Path, recovery_file: Path, tmp_path: Path
) -> None:
    store = desk.folder / "keys" / "keystore.db"
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE meta SET value = x'00' WHERE name = 'words exported at'")
    connection.close()
    fault = f"error: rows of {store} are not as they were written\nhint: audobon keys import-recovery\n"
    again = tmp_path / "again.age"
    assert run(desk, "keys", "export-recovery", "--yes", "--keyring", str(again)) == (9, "", fault)
    assert not again.exists()
    # While no place holds an export, the words would be proved on one of the damaged keystore.
    assert run(desk, "keys", "check-recovery", "--words-file", str(words_file)) == (9, "", fault)

    code, out, err = run(desk, "keys", "import-recovery", str(recovery_file), "--words-file", str(words_file))

    (aside,) = store.parent.glob("*.replaced-*")
    assert (code, out, err) == (
        0,
        "",
        f"imported keyring {keyring_id(desk)}: 0 subjects, 0 keys\n"
        f"the keystore that was here is kept: {aside}\n"
        "hint: audobon keys status proves every key in it\n",
    )
