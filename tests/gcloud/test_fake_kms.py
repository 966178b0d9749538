"""The Cloud KMS in effigy does what Google's does, spoken to by Google's own client."""

from collections.abc import Iterator

import google_crc32c
import pytest
from google.api_core import exceptions
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import kms_v1
from google.protobuf.duration_pb2 import Duration

from audobon.gcloud.clients import grpc_client
from fakes.cloud import FakeCloud

LOCATION = "projects/p/locations/europe-west1"
RING = f"{LOCATION}/keyRings/ring"
KEY = f"{RING}/cryptoKeys/key"
DAY = 86_400
ENCRYPT = kms_v1.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT
State = kms_v1.CryptoKeyVersion.CryptoKeyVersionState


@pytest.fixture
def kms(cloud: FakeCloud) -> Iterator[kms_v1.KeyManagementServiceClient]:
    client = grpc_client(kms_v1.KeyManagementServiceClient, "kms")
    client.create_key_ring(parent=LOCATION, key_ring_id="ring", key_ring={})
    yield client
    client.transport.close()


@pytest.fixture
def key(kms: kms_v1.KeyManagementServiceClient) -> str:
    made = kms.create_crypto_key(parent=RING, crypto_key_id="key", crypto_key={"purpose": ENCRYPT})
    return str(made.name)


def test_a_new_key_has_one_enabled_version_that_is_primary_and_waits_30_days_for_destruction(
    kms: kms_v1.KeyManagementServiceClient, key: str
) -> None:
    found = kms.get_crypto_key(name=key)
    assert (found.primary.name, found.primary.state) == (f"{key}/cryptoKeyVersions/1", State.ENABLED)
    assert found.destroy_scheduled_duration.days == 30
    assert found.version_template.protection_level == kms_v1.ProtectionLevel.SOFTWARE


def test_what_is_encrypted_is_decrypted_under_the_same_context_alone(
    kms: kms_v1.KeyManagementServiceClient, key: str
) -> None:
    sealed = kms.encrypt(
        {"name": key, "plaintext": b"secret", "additional_authenticated_data": b"here"}
    ).ciphertext
    assert b"secret" not in sealed
    opened = kms.decrypt({"name": key, "ciphertext": sealed, "additional_authenticated_data": b"here"})
    assert (opened.plaintext, opened.used_primary) == (b"secret", True)
    assert opened.plaintext_crc32c == google_crc32c.value(b"secret")
    with pytest.raises(exceptions.InvalidArgument, match="Decryption failed"):
        kms.decrypt({"name": key, "ciphertext": sealed, "additional_authenticated_data": b"there"})
    with pytest.raises(exceptions.InvalidArgument, match="Decryption failed"):
        kms.decrypt({"name": key, "ciphertext": sealed})


def test_rotation_encrypts_by_the_new_version_and_still_decrypts_by_the_old(
    kms: kms_v1.KeyManagementServiceClient, key: str
) -> None:
    old = kms.encrypt(name=key, plaintext=b"old")
    version = kms.create_crypto_key_version(parent=key, crypto_key_version={})
    # A version that was only made encrypts nothing yet.
    assert kms.encrypt(name=key, plaintext=b"x").name == old.name
    kms.update_crypto_key_primary_version(name=key, crypto_key_version_id="2")
    assert kms.encrypt(name=key, plaintext=b"new").name == version.name
    opened = kms.decrypt(name=key, ciphertext=old.ciphertext)
    assert (opened.plaintext, opened.used_primary) == (b"old", False)


def test_a_key_rotates_by_itself_when_its_time_has_come(
    cloud: FakeCloud, kms: kms_v1.KeyManagementServiceClient
) -> None:
    name = cloud.kms.make_key(KEY, rotation_days=90)
    cloud.clock.turn(89 * DAY)  # type: ignore[attr-defined]
    assert kms.get_crypto_key(name=name).primary.name.endswith("/1")
    cloud.clock.turn(2 * DAY)  # type: ignore[attr-defined]
    assert kms.get_crypto_key(name=name).primary.name.endswith("/2")
    cloud.clock.turn(180 * DAY)  # type: ignore[attr-defined]
    assert [each.name[-1] for each in kms.list_crypto_key_versions(parent=name)] == ["1", "2", "3", "4"]
    due = kms.get_crypto_key(name=name).next_rotation_time.timestamp()
    assert 0 < due - cloud.clock() <= 90 * DAY


def test_destruction_is_scheduled_can_be_taken_back_and_is_for_good_when_its_time_has_come(
    cloud: FakeCloud, kms: kms_v1.KeyManagementServiceClient, key: str
) -> None:
    sealed = kms.encrypt(name=key, plaintext=b"secret").ciphertext
    version = f"{key}/cryptoKeyVersions/1"
    scheduled = kms.destroy_crypto_key_version(name=version)
    assert scheduled.state == State.DESTROY_SCHEDULED
    assert scheduled.destroy_time.timestamp() == cloud.clock() + 30 * DAY
    with pytest.raises(exceptions.FailedPrecondition, match="current state is: DESTROY_SCHEDULED"):
        kms.decrypt(name=key, ciphertext=sealed)
    assert kms.restore_crypto_key_version(name=version).state == State.DISABLED
    kms.update_crypto_key_version(
        crypto_key_version={"name": version, "state": State.ENABLED}, update_mask={"paths": ["state"]}
    )
    assert kms.decrypt(name=key, ciphertext=sealed).plaintext == b"secret"
    kms.destroy_crypto_key_version(name=version)
    cloud.clock.turn(30 * DAY + 1)  # type: ignore[attr-defined]
    assert kms.get_crypto_key_version(name=version).state == State.DESTROYED
    with pytest.raises(exceptions.FailedPrecondition, match="not enabled"):
        kms.restore_crypto_key_version(name=version)
    with pytest.raises(exceptions.FailedPrecondition, match="current state is: DESTROYED"):
        kms.decrypt(name=key, ciphertext=sealed)
    assert cloud.kms._keys[key].versions["1"].key is None


def test_a_disabled_version_neither_encrypts_nor_decrypts(
    kms: kms_v1.KeyManagementServiceClient, key: str
) -> None:
    sealed = kms.encrypt(name=key, plaintext=b"secret").ciphertext
    kms.update_crypto_key_version(
        crypto_key_version={"name": f"{key}/cryptoKeyVersions/1", "state": State.DISABLED},
        update_mask={"paths": ["state"]},
    )
    for call in (
        lambda: kms.encrypt(name=key, plaintext=b"x"),
        lambda: kms.decrypt(name=key, ciphertext=sealed),
    ):
        with pytest.raises(exceptions.FailedPrecondition, match="current state is: DISABLED") as error:
            call()
        assert error.value.reason == "KEY_DISABLED"


def test_a_checksum_that_does_not_fit_is_refused_and_one_that_fits_is_confirmed(
    kms: kms_v1.KeyManagementServiceClient, key: str
) -> None:
    request = {"name": key, "plaintext": b"secret", "plaintext_crc32c": google_crc32c.value(b"secret")}
    answer = kms.encrypt(request)
    assert answer.verified_plaintext_crc32c
    assert not answer.verified_additional_authenticated_data_crc32c
    assert answer.ciphertext_crc32c == google_crc32c.value(answer.ciphertext)
    with pytest.raises(exceptions.InvalidArgument, match="plaintext_crc32c did not match"):
        kms.encrypt(request | {"plaintext_crc32c": 7})
    with pytest.raises(exceptions.InvalidArgument, match="ciphertext_crc32c did not match"):
        kms.decrypt({"name": key, "ciphertext": answer.ciphertext, "ciphertext_crc32c": 7})


def test_64_kib_is_the_most(kms: kms_v1.KeyManagementServiceClient, key: str) -> None:
    sealed = kms.encrypt(name=key, plaintext=b"x" * 65_536).ciphertext
    assert len(kms.decrypt(name=key, ciphertext=sealed).plaintext) == 65_536
    with pytest.raises(exceptions.InvalidArgument, match="at most 64 KiB"):
        kms.encrypt(name=key, plaintext=b"x" * 65_537)


@pytest.mark.parametrize(
    ("ring", "key_id", "kind"),
    [
        ("ring", "key", "AlreadyExists"),
        ("another", "key", "NotFound"),
        ("ring", "a b", "InvalidArgument"),
        ("ring", "x" * 64, "InvalidArgument"),
    ],
)
def test_a_key_is_refused_as_google_refuses_it(
    kms: kms_v1.KeyManagementServiceClient, key: str, ring: str, key_id: str, kind: str
) -> None:
    with pytest.raises(GoogleAPICallError) as error:
        kms.create_crypto_key(
            parent=f"{LOCATION}/keyRings/{ring}", crypto_key_id=key_id, crypto_key={"purpose": ENCRYPT}
        )
    assert type(error.value).__name__ == kind


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rotation_period": Duration(seconds=3600)}, "24 hours to 876,000 hours"),
        ({"rotation_period": Duration(seconds=30 * DAY)}, "next_rotation_time"),
        ({"destroy_scheduled_duration": Duration(seconds=60)}, "24 hours to 120 days"),
        ({"purpose": kms_v1.CryptoKey.CryptoKeyPurpose.MAC}, "ENCRYPT_DECRYPT alone"),
    ],
)
def test_a_key_that_google_would_not_make_is_refused(
    kms: kms_v1.KeyManagementServiceClient, fields: dict[str, object], words: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=words):
        kms.create_crypto_key(parent=RING, crypto_key_id="other", crypto_key={"purpose": ENCRYPT} | fields)
    assert list(kms.list_crypto_keys(parent=RING)) == []


def test_decrypting_takes_the_key_and_never_a_version(
    kms: kms_v1.KeyManagementServiceClient, key: str
) -> None:
    sealed = kms.encrypt(name=f"{key}/cryptoKeyVersions/1", plaintext=b"secret").ciphertext
    with pytest.raises(exceptions.InvalidArgument, match="is not a name of the form"):
        kms.decrypt(name=f"{key}/cryptoKeyVersions/1", ciphertext=sealed)
    assert kms.decrypt(name=key, ciphertext=sealed).plaintext == b"secret"


def test_lists_come_in_pages(cloud: FakeCloud, kms: kms_v1.KeyManagementServiceClient) -> None:
    names = [cloud.kms.make_key(f"{RING}/cryptoKeys/k{number}") for number in range(5)]
    pager = kms.list_crypto_keys({"parent": RING, "page_size": 2})
    assert [[key.name for key in page.crypto_keys] for page in pager.pages] == [
        names[:2], names[2:4], names[4:],
    ]  # fmt: skip
    assert len(cloud.calls_of("kms.ListCryptoKeys")) == 3


def test_labels_are_changed_alone_when_they_alone_are_named(
    kms: kms_v1.KeyManagementServiceClient, key: str
) -> None:
    changed = kms.update_crypto_key(
        crypto_key={"name": key, "labels": {"stage": "production"}}, update_mask={"paths": ["labels"]}
    )
    assert dict(changed.labels) == {"stage": "production"}
    with pytest.raises(exceptions.InvalidArgument, match="update_mask"):
        kms.update_crypto_key(crypto_key={"name": key}, update_mask={"paths": ["purpose"]})


def test_what_this_fake_has_not_is_unimplemented(kms: kms_v1.KeyManagementServiceClient) -> None:
    with pytest.raises(exceptions.MethodNotImplemented):
        kms.get_import_job(name=f"{RING}/importJobs/job")
