"""Topmost keys that Cloud KMS locks: the promise of every protector, and what goes wrong with a cloud."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from google.cloud import kms_v1
from key_encryption_conformance import CONTEXT, KEY, KeyEncryptionConformance
from keyring_home import Home, MemoryBackend

from audobon.errors import (
    CloudDenied,
    CloudMisconfigured,
    CloudNotFound,
    CloudUnavailable,
    CorruptKeyring,
    KeyringLost,
    Misconfigured,
    QuotaExceeded,
)
from audobon.gcloud import retrying
from audobon.gcloud.clients import grpc_client
from audobon.keys.gcp import CloudKey, CloudKeyFile
from audobon.keys.importing import import_recovery
from audobon.keys.keyring_copy import copy_keyring
from audobon.keys.passphrase import Passphrase
from audobon.keys.service import PERSONAL
from fakes.clock import TurnedClock
from fakes.cloud import FakeCloud

CRYPTO_KEY = "projects/p/locations/us-central1/keyRings/audobon/cryptoKeys/keyrings"
OTHER_KEY = CRYPTO_KEY + "-other"
VERSION = CRYPTO_KEY + "/cryptoKeyVersions/1"
WORDS = "correct horse battery"
DAY = 86_400
State = kms_v1.CryptoKeyVersion.CryptoKeyVersionState


class TestCloudKeyFile(KeyEncryptionConformance):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path, cloud: FakeCloud) -> None:
        self.path = tmp_path / "keyrings" / "kek.cloud-kms.json"
        self.cloud = cloud
        self.is_new = True
        cloud.kms.make_key(CRYPTO_KEY)

    def opened(self) -> CloudKeyFile:
        return CloudKeyFile(self.path, CRYPTO_KEY, is_new=lambda: self.is_new)

    def lose(self) -> None:
        self.path.unlink()
        self.is_new = False

    def test_only_its_user_may_read_it(self) -> None:
        self.opened().rotate()
        assert (self.path.stat().st_mode & 0o777, self.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    def test_a_flipped_bit_anywhere_in_the_file_is_noticed_before_the_cloud_is_asked(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        data = self.path.read_bytes()
        calls = len(self.cloud.calls)
        for place in range(0, len(data) * 8, 11):
            changed = bytearray(data)
            changed[place // 8] ^= 1 << place % 8
            self.path.write_bytes(changed)
            with pytest.raises(CorruptKeyring):
                self.opened().unwrap(wrapped, context=CONTEXT)
        assert len(self.cloud.calls) == calls

    def test_the_cloud_is_asked_once_per_process(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        kek = self.opened()
        before = len(self.cloud.calls)
        for _ in range(5):
            assert kek.unwrap(wrapped, context=CONTEXT) == KEY
            assert kek.version == "1"
        assert [call.method for call in self.cloud.calls[before:]] == ["kms.Decrypt"]

    def test_what_another_process_rotated_is_asked_for_again(self) -> None:
        kek = self.opened()
        assert kek.version == "1"
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        assert self.opened().rotate() == "2"
        assert (kek.version, kek.unwrap(wrapped, context=CONTEXT)) == ("2", KEY)

    def test_the_key_is_named_never_a_version_and_checksums_go_along(self) -> None:
        self.opened().rotate()
        self.opened().rotate()
        requests: list[Any] = [
            call.request for call in self.cloud.calls if call.method in ("kms.Encrypt", "kms.Decrypt")
        ]
        assert len(requests) >= 4
        assert {request.name for request in requests} == {CRYPTO_KEY}
        for request in requests:
            kind = "plaintext" if isinstance(request, kms_v1.EncryptRequest) else "ciphertext"
            raw = type(request).pb(request)
            assert raw.HasField(f"{kind}_crc32c")
            assert raw.HasField("additional_authenticated_data_crc32c")

    def test_the_keys_themselves_are_nowhere_in_the_file(self) -> None:
        kek = self.opened()
        kek.rotate()
        keys = list(kek._present().values())
        data = self.path.read_bytes()
        assert len(keys) == 2
        assert not any(key in data or key.hex().encode() in data for key in keys)

    def test_a_key_that_the_cloud_rotated_opens_still_and_seals_what_is_written_next(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        assert self.opened().sealed_by == VERSION
        _rotate_in_the_cloud()
        assert self.opened().unwrap(wrapped, context=CONTEXT) == KEY
        assert self.opened().sealed_by == VERSION
        self.opened().rotate()
        assert self.opened().sealed_by == CRYPTO_KEY + "/cryptoKeyVersions/2"
        # Nothing needs the old version any more.
        _destroy(VERSION)
        assert self.opened().unwrap(wrapped, context=CONTEXT) == KEY

    def test_another_key_in_the_settings_opens_by_the_one_that_sealed_it_and_seals_the_next(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        self.cloud.kms.make_key(OTHER_KEY)
        moved = CloudKeyFile(self.path, OTHER_KEY, is_new=lambda: False)
        assert moved.unwrap(wrapped, context=CONTEXT) == KEY
        moved.rotate()
        assert moved.sealed_by == OTHER_KEY + "/cryptoKeyVersions/1"
        # One whose settings name none opens it as well: workers are told nothing of the cloud.
        nameless = CloudKeyFile(self.path, "", is_new=lambda: False)
        assert nameless.unwrap(wrapped, context=CONTEXT) == KEY
        nameless.rotate()
        assert nameless.sealed_by == OTHER_KEY + "/cryptoKeyVersions/1"

    def test_a_version_that_is_disabled_says_so_and_how_to_enable_it(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        _set_state(VERSION, State.DISABLED)
        with pytest.raises(CloudMisconfigured, match="it is DISABLED") as error:
            self.opened().unwrap(wrapped, context=CONTEXT)
        assert error.value.hint == f"gcloud kms keys versions enable {VERSION}"
        _set_state(VERSION, State.ENABLED)
        assert self.opened().unwrap(wrapped, context=CONTEXT) == KEY

    def test_a_version_that_is_to_be_destroyed_says_until_when_it_can_be_brought_back(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        _destroy(VERSION)
        with pytest.raises(CloudMisconfigured, match="is to be destroyed on 2027-02-14 08:00 UTC") as error:
            self.opened().unwrap(wrapped, context=CONTEXT)
        assert str(error.value.hint).startswith(f"gcloud kms keys versions restore {VERSION};")

    def test_a_version_that_is_destroyed_is_a_loss(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        _destroy(VERSION)
        assert isinstance(self.cloud.clock, TurnedClock)
        self.cloud.clock.turn(31 * DAY)
        with pytest.raises(KeyringLost, match="was destroyed") as error:
            self.opened().unwrap(wrapped, context=CONTEXT)
        assert error.value.hint == "audobon keys import-recovery"

    @pytest.mark.parametrize(
        ("state", "kind"), [("DISABLED", CloudMisconfigured), ("DESTROYED", KeyringLost)]
    )
    def test_who_may_decrypt_and_not_look_hears_it_all_the_same(
        self, state: str, kind: type[Exception]
    ) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        if state == "DISABLED":
            _set_state(VERSION, State.DISABLED)
        else:
            _destroy(VERSION)
            assert isinstance(self.cloud.clock, TurnedClock)
            self.cloud.clock.turn(31 * DAY)
        self.cloud.faults.fail("kms.GetCryptoKeyVersion", "PERMISSION_DENIED")
        with pytest.raises(kind):
            self.opened().unwrap(wrapped, context=CONTEXT)

    def test_a_key_that_is_gone_is_a_loss(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        self.cloud.kms.forget_key(CRYPTO_KEY)
        with pytest.raises(KeyringLost, match="is gone"):
            self.opened().unwrap(wrapped, context=CONTEXT)

    def test_a_file_sealed_by_another_key_of_the_same_name_is_told(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        self.cloud.kms.forget_key(CRYPTO_KEY)
        self.cloud.kms.make_key(CRYPTO_KEY)
        with pytest.raises(CorruptKeyring, match="does not open what locks the keyring"):
            self.opened().unwrap(wrapped, context=CONTEXT)

    def test_bytes_that_change_on_their_way_are_asked_for_again_and_never_used(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        self.cloud.kms.spoiled_answers = 2
        assert self.opened().unwrap(wrapped, context=CONTEXT) == KEY
        self.cloud.kms.spoiled_requests = 2
        assert self.opened().unwrap(wrapped, context=CONTEXT) == KEY
        self.cloud.kms.spoiled_requests = 3
        with pytest.raises(CloudUnavailable, match="3 times the bytes arrived other than they were sent"):
            self.opened().unwrap(wrapped, context=CONTEXT)
        self.cloud.kms.spoiled_answers = 3
        with pytest.raises(CloudUnavailable, match="3 times the bytes arrived other than they were sent"):
            self.opened().unwrap(wrapped, context=CONTEXT)
        before = self.path.read_bytes()
        for spoil in ("spoiled_answers", "spoiled_requests", "unproved"):
            setattr(self.cloud.kms, spoil, 2)
            self.opened().rotate()
            assert self.path.read_bytes() != before
            before = self.path.read_bytes()
            kek = self.opened()
            assert kek.version
            setattr(self.cloud.kms, spoil, 3)
            with pytest.raises(CloudUnavailable):
                kek.rotate()
            assert self.path.read_bytes() == before

    def test_what_passes_by_itself_is_tried_again(self) -> None:
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        self.cloud.faults.fail("kms.Decrypt", "UNAVAILABLE", times=2)
        assert self.opened().unwrap(wrapped, context=CONTEXT) == KEY

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            ("UNAVAILABLE", CloudUnavailable),
            ("RESOURCE_EXHAUSTED", QuotaExceeded),
            ("PERMISSION_DENIED", CloudDenied),
            ("UNAUTHENTICATED", CloudDenied),
        ],
    )
    def test_what_does_not_pass_is_told_as_what_it_is_and_nothing_is_made_anew(
        self, status: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retrying, "RETRY_SECONDS", 0.2)
        wrapped = self.opened().wrap(KEY, context=CONTEXT)
        before = self.path.read_bytes()
        self.cloud.faults.fail("kms.*", status, times=1000)
        for act in (lambda: self.opened().unwrap(wrapped, context=CONTEXT), self.opened().rotate):
            with pytest.raises(kind):
                act()
        self.cloud.faults.clear()
        assert self.path.read_bytes() == before
        assert self.opened().unwrap(wrapped, context=CONTEXT) == KEY


def test_the_api_that_is_off_and_the_key_that_is_not_there_are_told(cloud: FakeCloud, tmp_path: Path) -> None:
    kek = CloudKeyFile(tmp_path / "kek.json", CRYPTO_KEY, is_new=lambda: True)
    with pytest.raises(CloudNotFound, match="cryptoKeys/keyrings not found"):
        kek.wrap(KEY, context=CONTEXT)
    cloud.faults.disable("kms")
    with pytest.raises(CloudMisconfigured, match="it is disabled"):
        kek.wrap(KEY, context=CONTEXT)
    assert not (tmp_path / "kek.json").exists()


@pytest.mark.parametrize("name", ["", VERSION, "keyrings", CRYPTO_KEY + "/", "projects/p/keyRings/r"])
def test_only_a_key_has_a_name_that_fits(name: str) -> None:
    with pytest.raises(Misconfigured) as error:
        CloudKey(name)
    assert str(error.value.hint).startswith("cloud.kms_key = projects/PROJECT/")


def test_many_keyrings_share_one_key_and_each_is_let_go_alone(cloud: FakeCloud, tmp_path: Path) -> None:
    cloud.kms.make_key(CRYPTO_KEY)
    one, two = (CloudKeyFile(tmp_path / name, CRYPTO_KEY, is_new=lambda: True) for name in ("one", "two"))
    wrapped = two.wrap(KEY, context=CONTEXT)
    one.wrap(KEY, context=CONTEXT)
    one.discard()
    assert two.unwrap(wrapped, context=CONTEXT) == KEY
    assert {call.method for call in cloud.calls} <= {"kms.Encrypt", "kms.Decrypt"}


@pytest.fixture
def cloud_home(home: Home, cloud: FakeCloud) -> Home:
    """A machine whose settings name a key of Cloud KMS."""
    cloud.kms.make_key(CRYPTO_KEY)
    home.backend = MemoryBackend()
    home.cloud_key = CRYPTO_KEY
    return home


@pytest.mark.parametrize("other", ["unlock-file", "secret-store", "passphrase"])
@pytest.mark.parametrize("is_left", [False, True])
def test_protection_changes_to_the_cloud_and_back(cloud_home: Home, other: str, is_left: bool) -> None:
    before, after = ("cloud-kms", other) if is_left else (other, "cloud-kms")
    keys = cloud_home.open(WORDS, wanted=before)
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    passphrase = Passphrase(given=WORDS) if after == "passphrase" else None
    keys.protect(after, passphrase=passphrase)  # type: ignore[arg-type]
    status = keys.status()
    assert (status.protector, status.cloud_version) == (after, "" if is_left else VERSION)
    assert cloud_home.open(WORDS).unseal_text(sealed, context=b"c") == "mine"
    files = [path.name.partition(".")[2] for path in cloud_home.unlock_folder.glob("*")]
    expected = {"unlock-file": ["json"], "passphrase": ["passphrase.json"], "cloud-kms": ["cloud-kms.json"]}
    assert files == expected.get(after, [])


def test_a_keyring_is_not_locked_by_a_cloud_that_refuses(cloud_home: Home, cloud: FakeCloud) -> None:
    keys = cloud_home.open(WORDS, wanted="unlock-file")
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    cloud.faults.fail("kms.Encrypt", "PERMISSION_DENIED")
    with pytest.raises(CloudDenied):
        keys.protect("cloud-kms")
    assert keys.status().protector == "unlock-file"
    assert cloud_home.open().unseal_text(sealed, context=b"c") == "mine"


def test_an_answer_that_is_lost_after_locking_leaves_the_keyring_as_it_was(
    cloud_home: Home, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "RETRY_SECONDS", 0.2)
    keys = cloud_home.open(wanted="unlock-file")
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    cloud.faults.fail("kms.Encrypt", "UNAVAILABLE", times=1000, after_commit=True)
    with pytest.raises(CloudUnavailable):
        keys.protect("cloud-kms")
    cloud.faults.clear()
    assert cloud_home.open().unseal_text(sealed, context=b"c") == "mine"
    keys.protect("cloud-kms")
    assert cloud_home.open().unseal_text(sealed, context=b"c") == "mine"


@pytest.mark.parametrize("how", ["by hand", "by a restore"])
def test_a_copy_gets_a_file_of_its_own_and_neither_can_lock_the_other_out(
    cloud_home: Home, cloud: FakeCloud, how: str
) -> None:
    keys = cloud_home.open(wanted="cloud-kms")
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    keys.close()
    copy = Home(cloud_home.folder.parent)
    copy.folder, copy.cloud_key, copy.backend = cloud_home.folder.with_name("copy"), CRYPTO_KEY, None
    if how == "by hand":
        shutil.copytree(cloud_home.folder, copy.folder)
    else:
        copy_keyring(cloud_home.folder, copy.folder)
    assert copy.open().unseal_text(sealed, context=b"c") == "mine"
    assert len(list(cloud_home.unlock_folder.glob("*.cloud-kms.json"))) == 2
    for _ in range(10):
        copy.open().rotate()
    cloud_home.open().protect("unlock-file")
    assert cloud_home.open().unseal_text(sealed, context=b"c") == "mine"
    assert copy.open().unseal_text(sealed, context=b"c") == "mine"
    assert not any("Destroy" in call.method for call in cloud.calls)


def test_a_copy_on_a_machine_whose_settings_name_no_key_is_read_all_the_same(cloud_home: Home) -> None:
    keys = cloud_home.open(wanted="cloud-kms")
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    keys.close()
    cloud_home.cloud_key = ""
    shutil.copytree(cloud_home.folder, cloud_home.folder.with_name("copy"))
    cloud_home.folder = cloud_home.folder.with_name("copy")
    assert cloud_home.open().unseal_text(sealed, context=b"c") == "mine"
    with pytest.raises(Misconfigured, match="no key of Cloud KMS is set"):
        cloud_home.open().rotate()


def test_the_file_says_which_key_locks_it_and_nothing_that_opens_it(cloud_home: Home) -> None:
    cloud_home.open(wanted="cloud-kms").seal(PERSONAL, b"", context=b"")
    (file,) = cloud_home.unlock_folder.iterdir()
    kept = json.loads(file.read_bytes())
    assert {name: kept[name] for name in ("format", "key", "sealed_by")} == {
        "format": 1,
        "key": CRYPTO_KEY,
        "sealed_by": VERSION,
    }
    assert set(kept) == {"format", "key", "sealed_by", "sealed", "check"}


def test_a_keyring_brought_back_by_the_words_is_locked_by_the_cloud_when_that_is_wanted(
    cloud_home: Home, tmp_path: Path
) -> None:
    keys = cloud_home.open(wanted="unlock-file")
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    words, export = keys.recovery_words(), keys.export_for_recovery()
    keys.close()
    shutil.rmtree(cloud_home.folder)
    cloud_home.folder.mkdir()
    import_recovery(cloud_home.folder, words, export, cloud_home.protectors(wanted="cloud-kms"))
    assert cloud_home.open().status().protector == "cloud-kms"
    assert cloud_home.open().unseal_text(sealed, context=b"c") == "mine"


def test_an_import_that_the_cloud_refuses_leaves_nothing_behind(cloud_home: Home, cloud: FakeCloud) -> None:
    keys = cloud_home.open(wanted="unlock-file")
    sealed = keys.seal_text(PERSONAL, "mine", context=b"c")
    words, export = keys.recovery_words(), keys.export_for_recovery()
    keys.close()
    cloud.faults.fail("kms.Encrypt", "PERMISSION_DENIED", times=1000)
    with pytest.raises(CloudDenied):
        import_recovery(
            cloud_home.folder, words, export, cloud_home.protectors(wanted="cloud-kms"), replace=True
        )
    assert cloud_home.open().unseal_text(sealed, context=b"c") == "mine"
    assert [path.name for path in cloud_home.folder.iterdir() if "part" in path.name] == []
    assert list(cloud_home.unlock_folder.glob("*.cloud-kms.json")) == []


def test_what_is_abandoned_leaves_no_file_and_asks_no_cloud(cloud_home: Home, cloud: FakeCloud) -> None:
    keys = cloud_home.open(wanted="cloud-kms")
    keys.seal(PERSONAL, b"", context=b"")
    keys.close()
    before = len(cloud.calls)
    cloud_home.open().abandon()
    assert list(cloud_home.unlock_folder.iterdir()) == []
    assert len(cloud.calls) == before


def _set_state(version: str, state: State) -> None:
    client = grpc_client(kms_v1.KeyManagementServiceClient, "kms")
    client.update_crypto_key_version(
        crypto_key_version={"name": version, "state": state}, update_mask={"paths": ["state"]}
    )
    client.transport.close()


def _destroy(version: str) -> None:
    client = grpc_client(kms_v1.KeyManagementServiceClient, "kms")
    client.destroy_crypto_key_version(name=version)
    client.transport.close()


def _rotate_in_the_cloud() -> None:
    client = grpc_client(kms_v1.KeyManagementServiceClient, "kms")
    made = client.create_crypto_key_version(parent=CRYPTO_KEY, crypto_key_version={})
    client.update_crypto_key_primary_version(
        name=CRYPTO_KEY, crypto_key_version_id=made.name.rpartition("/")[2]
    )
    client.transport.close()
