"""The Secret Manager in effigy does what Google's does, spoken to by Google's own client."""

from collections.abc import Iterator

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud import secretmanager_v1
from google.protobuf.duration_pb2 import Duration

from audobon.gcloud.clients import grpc_client
from fakes.cloud import FakeCloud

NAME = "projects/p/secrets/token"
AUTOMATIC = {"replication": {"automatic": {}}}
State = secretmanager_v1.SecretVersion.State
Client = secretmanager_v1.SecretManagerServiceClient


@pytest.fixture
def secrets(cloud: FakeCloud) -> Iterator[Client]:
    client = grpc_client(Client, "secrets")
    client.create_secret(parent="projects/p", secret_id="token", secret=AUTOMATIC)
    yield client
    client.transport.close()


def add(secrets: Client, data: bytes) -> secretmanager_v1.SecretVersion:
    payload = {"data": data, "data_crc32c": google_crc32c.value(data)}
    version: secretmanager_v1.SecretVersion = secrets.add_secret_version(parent=NAME, payload=payload)
    return version


def hidden(secrets: Client, version: str = "latest") -> bytes:
    return bytes(secrets.access_secret_version(name=f"{NAME}/versions/{version}").payload.data)


def test_versions_are_numbered_and_the_latest_is_the_newest(secrets: Client) -> None:
    assert [add(secrets, data).name for data in (b"one", b"two")] == [
        f"{NAME}/versions/1",
        f"{NAME}/versions/2",
    ]
    assert (hidden(secrets), hidden(secrets, "1")) == (b"two", b"one")
    answer = secrets.access_secret_version(name=f"{NAME}/versions/latest")
    assert answer.name == f"{NAME}/versions/2"
    assert answer.payload.data_crc32c == google_crc32c.value(b"two")
    assert [each.name[-1] for each in secrets.list_secret_versions(parent=NAME)] == ["2", "1"]


def test_the_latest_is_the_newest_even_when_it_is_off(secrets: Client) -> None:
    add(secrets, b"one")
    add(secrets, b"two")
    secrets.disable_secret_version(name=f"{NAME}/versions/2")
    with pytest.raises(exceptions.FailedPrecondition, match="is in DISABLED state"):
        hidden(secrets)
    secrets.enable_secret_version(name=f"{NAME}/versions/2")
    assert hidden(secrets) == b"two"


def test_what_is_destroyed_never_comes_back(cloud: FakeCloud, secrets: Client) -> None:
    add(secrets, b"one")
    assert secrets.destroy_secret_version(name=f"{NAME}/versions/1").state == State.DESTROYED
    with pytest.raises(exceptions.FailedPrecondition, match="is in DESTROYED state"):
        secrets.enable_secret_version(name=f"{NAME}/versions/1")
    with pytest.raises(exceptions.FailedPrecondition):
        hidden(secrets, "1")
    assert cloud.secrets._payloads == {}


def test_destruction_can_wait_and_be_called_off_meanwhile(cloud: FakeCloud, secrets: Client) -> None:
    secrets.update_secret(
        secret={"name": NAME, "version_destroy_ttl": Duration(seconds=86_400)},
        update_mask={"paths": ["version_destroy_ttl"]},
    )
    for data in (b"one", b"two"):
        add(secrets, data)
    for number in "12":
        waiting = secrets.destroy_secret_version(name=f"{NAME}/versions/{number}")
        assert waiting.state == State.DISABLED
        assert waiting.scheduled_destroy_time.timestamp() == cloud.clock() + 86_400
    secrets.enable_secret_version(name=f"{NAME}/versions/1")
    cloud.clock.turn(86_401)  # type: ignore[attr-defined]
    assert [each.state for each in secrets.list_secret_versions(parent=NAME)] == [
        State.DESTROYED,
        State.ENABLED,
    ]


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"data": b"one", "data_crc32c": 7}, "checksum did not match"),
        ({"data": b"x" * 65_537}, "at most 64 KiB"),
        ({}, "must not be empty"),
    ],
)
def test_what_cannot_be_hidden_is_refused(secrets: Client, payload: dict[str, object], words: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=words):
        secrets.add_secret_version({"parent": NAME, "payload": payload})
    assert list(secrets.list_secret_versions(parent=NAME)) == []


def test_an_etag_that_is_old_is_refused_and_every_change_makes_another(secrets: Client) -> None:
    first = secrets.get_secret(name=NAME)
    labelled = secrets.update_secret(
        secret={"name": NAME, "labels": {"stage": "production"}, "etag": first.etag},
        update_mask={"paths": ["labels"]},
    )
    assert labelled.etag != first.etag
    with pytest.raises(exceptions.FailedPrecondition, match="has the etag"):
        secrets.delete_secret({"name": NAME, "etag": first.etag})
    version = add(secrets, b"one")
    assert secrets.get_secret(name=NAME).etag == labelled.etag
    # To enable what is enabled is a change as well.
    secrets.enable_secret_version({"name": version.name, "etag": version.etag})
    with pytest.raises(exceptions.FailedPrecondition, match="has the etag"):
        secrets.disable_secret_version({"name": version.name, "etag": version.etag})


def test_an_alias_names_a_version(secrets: Client) -> None:
    add(secrets, b"one")
    secrets.update_secret(
        secret={"name": NAME, "version_aliases": {"stable": 1}}, update_mask={"paths": ["version_aliases"]}
    )
    assert hidden(secrets, "stable") == b"one"
    with pytest.raises(exceptions.NotFound):
        hidden(secrets, "unknown")
    with pytest.raises(exceptions.InvalidArgument, match="'latest' is not valid"):
        secrets.update_secret(
            secret={"name": NAME, "version_aliases": {"latest": 1}},
            update_mask={"paths": ["version_aliases"]},
        )


def test_a_secret_expires(cloud: FakeCloud, secrets: Client) -> None:
    secrets.create_secret(
        parent="projects/p", secret_id="short", secret=AUTOMATIC | {"ttl": Duration(seconds=3600)}
    )
    cloud.clock.turn(3601)  # type: ignore[attr-defined]
    assert [each.name for each in secrets.list_secrets(parent="projects/p")] == [NAME]


@pytest.mark.parametrize(
    ("secret_id", "secret", "kind"),
    [
        ("token", AUTOMATIC, exceptions.AlreadyExists),
        ("a/b", AUTOMATIC, exceptions.InvalidArgument),
        ("other", {}, exceptions.InvalidArgument),
    ],
)
def test_a_secret_is_refused_as_google_refuses_it(
    secrets: Client, secret_id: str, secret: dict[str, object], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        secrets.create_secret(parent="projects/p", secret_id=secret_id, secret=secret)


def test_a_secret_that_is_removed_is_gone_with_all_its_versions(cloud: FakeCloud, secrets: Client) -> None:
    add(secrets, b"one")
    secrets.delete_secret(name=NAME)
    with pytest.raises(exceptions.NotFound):
        hidden(secrets)
    assert cloud.secrets._payloads == {}
