"""The fake of Cloud Storage, spoken to by Google's own client: strict, with state, and with faults."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions as google
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from fakes.cloud import FakeCloud
from fakes.storage import CREATES
from fakes.storage_state import DAY_SECONDS, Charge

QUICKLY = DEFAULT_RETRY.with_delay(initial=0.001, maximum=0.002)
KEY = "projects/p/locations/us/keyRings/r/cryptoKeys/k"


@pytest.fixture
def client(cloud: FakeCloud) -> Iterator[storage.Client]:
    url = f"http://127.0.0.1:{cloud.http.port}"
    client = storage.Client("p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})
    # What it asks for in the background is not what is tested.
    client._bucket_metadata_cache = None
    yield client
    client.close()


@pytest.fixture
def bucket(client: storage.Client) -> storage.Bucket:
    return client.create_bucket("heron")


def put(bucket: storage.Bucket, name: str, data: bytes = b"abc", **options: Any) -> storage.Blob:
    blob = bucket.blob(name)
    blob.upload_from_string(data, **options)
    return blob


def names(client: storage.Client, **options: Any) -> list[str]:
    return [blob.name for blob in client.list_blobs("heron", **options)]


def url_of(cloud: FakeCloud, path: str) -> str:
    return f"http://127.0.0.1:{cloud.http.port}{path}"


def test_an_object_is_read_as_it_was_written_whole_and_in_ranges(bucket: storage.Bucket) -> None:
    put(bucket, "a/b c.png", b"0123456789", content_type="image/png")
    blob = bucket.get_blob("a/b c.png")
    assert (blob.size, blob.content_type, blob.metageneration) == (10, "image/png", 1)
    assert (blob.storage_class, blob.md5_hash, blob.crc32c) == (
        "STANDARD",
        "eB5eJF1ptWaXm4bijSPyxw==",
        "KAwGng==",
    )
    assert blob.download_as_bytes() == b"0123456789"
    assert blob.download_as_bytes(start=3, end=5) == b"345"
    assert blob.download_as_bytes(start=8) == b"89"
    with pytest.raises(google.RequestRangeNotSatisfiable):
        blob.download_as_bytes(start=10)


@pytest.mark.parametrize("size", [0, 1, 256 << 10, (512 << 10) + 7])
def test_an_upload_in_pieces_comes_together(bucket: storage.Bucket, cloud: FakeCloud, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    blob = bucket.blob("pieces", chunk_size=256 << 10)
    # Of unknown size, the client never sends it at once.
    blob.upload_from_file(Unsized(data), checksum="crc32c")
    assert cloud.storage.bytes_of("heron", "pieces") == data
    assert len(cloud.calls_of("storage.objects.send")) >= max(1, size >> 18)


class Unsized:
    """A stream that tells no length."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def read(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def tell(self) -> int:
        return self._at


def begun(cloud: FakeCloud, name: str = "slow", **fields: Any) -> str:
    answer = requests.post(
        url_of(cloud, "/upload/storage/v1/b/heron/o?uploadType=resumable&ifGenerationMatch=0"),
        json={"name": name} | fields,
        timeout=5,
    )
    return answer.headers["Location"]


def send(where: str, said: str, piece: bytes = b"") -> requests.Response:
    return requests.put(where, data=piece, headers={"Content-Range": said}, timeout=5, allow_redirects=False)


def test_an_upload_tells_how_far_it_is_and_goes_on_from_there(
    bucket: storage.Bucket, cloud: FakeCloud
) -> None:
    piece = bytes(256 << 10)
    where = begun(cloud)
    assert (send(where, "bytes */*").status_code, send(where, "bytes */*").headers.get("Range")) == (
        308,
        None,
    )
    assert send(where, f"bytes 0-{len(piece) - 1}/*", piece).headers["Range"] == f"bytes=0-{len(piece) - 1}"
    assert cloud.storage.bytes_of("heron", "slow") is None
    # Bytes that are there already are passed over.
    end = len(piece) + 2
    done = send(where, f"bytes {len(piece) - 4}-{end}/{end + 1}", bytes(4) + b"end")
    assert (done.status_code, done.json()["size"]) == (200, str(end + 1))
    assert cloud.storage.bytes_of("heron", "slow") == piece + b"end"
    # Who did not hear of it asks again.
    assert send(where, f"bytes */{end + 1}").json()["name"] == "slow"


def test_pieces_that_cannot_be_are_refused(bucket: storage.Bucket, cloud: FakeCloud) -> None:
    where = begun(cloud)
    assert send(where, "bytes 0-99/*", bytes(100)).status_code == 400
    assert send(where, "bytes 0-9/100", bytes(12)).status_code == 400
    assert send(where, "bites 0-9", bytes(10)).status_code == 400
    assert send(where, f"bytes {256 << 10}-{(256 << 10) + 9}/*", bytes(10)).status_code == 503
    assert send(where, "bytes 0-9/10", bytes(10)).status_code == 200


def test_an_upload_is_over_when_it_is_called_off_or_a_week_old(
    bucket: storage.Bucket, cloud: FakeCloud
) -> None:
    where = begun(cloud)
    assert requests.delete(where, timeout=5).status_code == 499
    assert send(where, "bytes */*").status_code == 404
    where = begun(cloud)
    cloud.clock.turn(7 * DAY_SECONDS)
    assert send(where, "bytes */*").status_code == 404


def test_a_wrong_sum_is_refused_and_nothing_is_stored(
    bucket: storage.Bucket, client: storage.Client, cloud: FakeCloud
) -> None:
    for field in ("crc32c", "md5Hash"):
        where = begun(cloud, **{field: base64.b64encode(bytes(4)).decode()})
        answer = send(where, "bytes 0-2/3", b"abc")
        assert (answer.status_code, "doesn't match" in answer.json()["error"]["message"]) == (400, True)
    blob = bucket.blob("at once")
    blob.crc32c = "AAAAAA=="
    with pytest.raises(google.BadRequest, match="doesn't match calculated CRC32C"):
        blob.upload_from_string(b"abc", checksum=None)
    assert names(client) == []


def test_a_connection_that_breaks_leaves_whole_pieces_of_an_upload(
    bucket: storage.Bucket, cloud: FakeCloud
) -> None:
    data = bytes(range(256)) * 4096
    where = begun(cloud)
    cloud.faults.cut("storage.objects.send", 600_000)
    with pytest.raises(requests.ConnectionError):
        send(where, f"bytes 0-{len(data) - 1}/{len(data)}", data)
    kept = 2 * (256 << 10)
    assert send(where, f"bytes */{len(data)}").headers["Range"] == f"bytes=0-{kept - 1}"
    assert send(where, f"bytes {kept}-{len(data) - 1}/{len(data)}", data[kept:]).status_code == 200
    assert cloud.storage.bytes_of("heron", "slow") == data


def test_generations_hold_what_was_asked_for(bucket: storage.Bucket, client: storage.Client) -> None:
    first = put(bucket, "one", b"first", if_generation_match=0)
    with pytest.raises(google.PreconditionFailed):
        put(bucket, "one", b"second", if_generation_match=0)
    with pytest.raises(google.PreconditionFailed):
        put(bucket, "one", b"second", if_generation_match=first.generation + 1)
    second = put(bucket, "one", b"second", if_generation_match=first.generation)
    assert second.generation > first.generation
    with pytest.raises(google.NotFound):
        bucket.blob("one", generation=first.generation).download_as_bytes()
    with pytest.raises(google.PreconditionFailed):
        second.delete(if_generation_match=first.generation)
    with pytest.raises(google.PreconditionFailed):
        second.delete(if_generation_not_match=second.generation)
    second.delete(if_generation_match=second.generation)
    assert names(client) == []


def test_metagenerations_count_what_is_said_of_an_object(bucket: storage.Bucket) -> None:
    blob = put(bucket, "one")
    blob.metadata = {"colour": "grey", "leg": "long"}
    blob.patch(if_metageneration_match=1)
    assert (blob.metageneration, bucket.get_blob("one").metadata) == (2, {"colour": "grey", "leg": "long"})
    blob.metadata = {"leg": None}
    with pytest.raises(google.PreconditionFailed):
        blob.patch(if_metageneration_match=1)
    blob.patch(if_metageneration_match=2)
    assert bucket.get_blob("one").metadata == {"colour": "grey"}


def test_versions_stay_when_the_bucket_keeps_them(client: storage.Client, bucket: storage.Bucket) -> None:
    bucket.versioning_enabled = True
    bucket.patch()
    first = put(bucket, "one", b"first")
    put(bucket, "one", b"second")
    bucket.delete_blob("one")
    assert names(client) == []
    kept = list(client.list_blobs("heron", versions=True))
    assert [blob.download_as_bytes() for blob in kept] == [b"first", b"second"]
    assert all(blob.time_deleted is not None for blob in kept)
    bucket.blob("one", generation=first.generation).delete()
    assert [blob.download_as_bytes() for blob in client.list_blobs("heron", versions=True)] == [b"second"]


def test_what_is_deleted_or_replaced_can_be_restored_for_a_week(
    client: storage.Client, bucket: storage.Bucket, cloud: FakeCloud
) -> None:
    assert bucket.soft_delete_policy.retention_duration_seconds == 7 * DAY_SECONDS
    first = put(bucket, "one", b"first")
    put(bucket, "one", b"second")
    bucket.delete_blob("one")
    soft = list(client.list_blobs("heron", soft_deleted=True))
    assert [blob.generation == first.generation for blob in soft] == [True, False]
    restored = bucket.restore_blob("one", generation=first.generation)
    assert (restored.download_as_bytes(), restored.generation > first.generation) == (b"first", True)
    cloud.clock.turn(7 * DAY_SECONDS)
    assert list(client.list_blobs("heron", soft_deleted=True)) == []
    with pytest.raises(google.NotFound):
        bucket.restore_blob("one", generation=first.generation)


def test_without_soft_delete_nothing_can_be_restored(client: storage.Client, bucket: storage.Bucket) -> None:
    bucket.soft_delete_policy.retention_duration_seconds = 0
    bucket.patch()
    put(bucket, "one")
    bucket.delete_blob("one")
    assert list(client.list_blobs("heron", soft_deleted=True)) == []


def test_retention_and_holds_refuse_to_delete_and_to_replace(
    bucket: storage.Bucket, cloud: FakeCloud
) -> None:
    bucket.retention_period = 10 * DAY_SECONDS
    bucket.patch()
    put(bucket, "kept")
    with pytest.raises(google.Forbidden, match="retention policy"):
        put(bucket, "kept", b"other")
    with pytest.raises(google.Forbidden, match="retention policy") as caught:
        bucket.delete_blob("kept")
    assert caught.value.errors[0]["reason"] == "retentionPolicyNotMet"
    blob = bucket.get_blob("kept")
    assert (blob.retention_expiration_time - blob.time_created).days == 10
    blob.temporary_hold = True
    blob.patch()
    cloud.clock.turn(10 * DAY_SECONDS)
    with pytest.raises(google.Forbidden, match="Temporary hold"):
        bucket.delete_blob("kept")
    blob.temporary_hold = False
    blob.event_based_hold = True
    blob.patch()
    with pytest.raises(google.Forbidden, match="Event-Based hold"):
        bucket.delete_blob("kept")
    blob.event_based_hold = False
    blob.patch()
    # Its term begins when the event came.
    with pytest.raises(google.Forbidden, match="retention policy"):
        bucket.delete_blob("kept")
    cloud.clock.turn(10 * DAY_SECONDS)
    bucket.delete_blob("kept")


def test_a_locked_retention_policy_only_grows(bucket: storage.Bucket) -> None:
    bucket.retention_period = 100
    bucket.patch()
    bucket.lock_retention_policy()
    for period in (50, None):
        bucket.retention_period = period
        with pytest.raises(google.Forbidden, match="locked Retention Policy"):
            bucket.patch()
    bucket.reload()
    bucket.retention_period = 200
    bucket.patch()
    assert (bucket.retention_period, bucket.retention_policy_locked) == (200, True)


def test_rules_move_and_delete_when_the_clock_says_so(
    client: storage.Client, bucket: storage.Bucket, cloud: FakeCloud
) -> None:
    bucket.add_lifecycle_set_storage_class_rule("NEARLINE", age=30, matches_prefix=["page/"])
    bucket.add_lifecycle_delete_rule(age=90)
    bucket.patch()
    for name in ("page/one", "other"):
        put(bucket, name)
    before = bucket.get_blob("page/one")
    cloud.clock.turn(30 * DAY_SECONDS - 1)
    cloud.storage.run_lifecycle()
    assert bucket.get_blob("page/one").storage_class == "STANDARD"
    cloud.clock.turn(1)
    cloud.storage.run_lifecycle()
    moved = bucket.get_blob("page/one")
    assert (moved.storage_class, bucket.get_blob("other").storage_class) == ("NEARLINE", "STANDARD")
    # By rule it stays the same generation, as old as it was.
    assert (moved.generation, moved.time_created) == (before.generation, before.time_created)
    assert cloud.storage.charges == [Charge("operation", "page/one", "NEARLINE", 3)]
    cloud.clock.turn(60 * DAY_SECONDS)
    cloud.storage.run_lifecycle()
    assert names(client) == []


def test_rules_ask_for_versions_and_custom_times(
    client: storage.Client, bucket: storage.Bucket, cloud: FakeCloud
) -> None:
    bucket.versioning_enabled = True
    bucket.add_lifecycle_delete_rule(number_of_newer_versions=2)
    bucket.add_lifecycle_delete_rule(days_since_noncurrent_time=5, matches_suffix=[".tmp"])
    bucket.patch()
    for data in (b"1", b"2", b"3"):
        put(bucket, "many", data)
    put(bucket, "some.tmp", b"1")
    put(bucket, "some.tmp", b"2")
    cloud.storage.run_lifecycle()
    kept = [blob.download_as_bytes() for blob in client.list_blobs("heron", versions=True, prefix="many")]
    assert kept == [b"2", b"3"]
    cloud.clock.turn(5 * DAY_SECONDS)
    cloud.storage.run_lifecycle()
    assert len(list(client.list_blobs("heron", versions=True, prefix="some"))) == 1


def test_a_rule_waits_for_holds(client: storage.Client, bucket: storage.Bucket, cloud: FakeCloud) -> None:
    bucket.add_lifecycle_delete_rule(age=1)
    bucket.patch()
    blob = put(bucket, "held")
    blob.temporary_hold = True
    blob.patch()
    cloud.clock.turn(2 * DAY_SECONDS)
    cloud.storage.run_lifecycle()
    assert names(client) == ["held"]


def test_what_goes_before_its_minimum_is_charged_to_the_end_of_it(
    bucket: storage.Bucket, cloud: FakeCloud
) -> None:
    bucket.soft_delete_policy.retention_duration_seconds = 0
    bucket.patch()
    for name, storage_class in (("near", "NEARLINE"), ("arch", "ARCHIVE"), ("std", "STANDARD")):
        blob = bucket.blob(name)
        blob.storage_class = storage_class
        blob.upload_from_string(b"abc")
    cloud.clock.turn(10 * DAY_SECONDS)
    for name in ("near", "arch", "std"):
        bucket.delete_blob(name)
    assert cloud.storage.charges == [
        Charge("early-delete", "near", "NEARLINE", 3, 20.0),
        Charge("early-delete", "arch", "ARCHIVE", 3, 355.0),
    ]


def test_what_can_be_restored_counts_as_kept(bucket: storage.Bucket, cloud: FakeCloud) -> None:
    blob = bucket.blob("near")
    blob.storage_class = "NEARLINE"
    blob.upload_from_string(b"abc")
    blob.download_as_bytes()
    bucket.delete_blob("near")
    assert cloud.storage.charges == [Charge("retrieval", "near", "NEARLINE", 3)]
    cloud.clock.turn(7 * DAY_SECONDS)
    assert cloud.storage.charges[1:] == [Charge("early-delete", "near", "NEARLINE", 3, 23.0)]


def test_a_rewrite_changes_the_class_in_several_calls(bucket: storage.Bucket, cloud: FakeCloud) -> None:
    blob = put(bucket, "large", bytes(2_500_000))
    blob.update_storage_class("ARCHIVE", if_generation_match=blob.generation)
    assert len(cloud.calls_of("storage.objects.rewrite")) == 3
    found = bucket.get_blob("large")
    assert (found.storage_class, found.size, found.generation > 0) == ("ARCHIVE", 2_500_000, True)
    with pytest.raises(google.PreconditionFailed):
        found.update_storage_class("STANDARD", if_generation_match=1)


def test_objects_are_put_together(bucket: storage.Bucket, client: storage.Client) -> None:
    parts = [put(bucket, f"part{number}", bytes([65 + number]) * 3) for number in range(3)]
    whole = bucket.blob("whole")
    whole.compose(parts, if_generation_match=0)
    assert (whole.download_as_bytes(checksum="crc32c"), whole.component_count) == (b"AAABBBCCC", 3)
    assert bucket.get_blob("whole").md5_hash is None
    with pytest.raises(google.PreconditionFailed):
        bucket.blob("whole").compose(parts, if_generation_match=0)
    with pytest.raises(google.PreconditionFailed):
        bucket.blob("other").compose(parts[:1], if_source_generation_match=[1])
    with pytest.raises(google.BadRequest, match="must be between 1 and 32"):
        bucket.blob("other").compose(parts * 11)


def test_a_list_comes_in_pages_and_by_folders(
    bucket: storage.Bucket, client: storage.Client, cloud: FakeCloud
) -> None:
    for name in ("a", "a/1", "a/2", "a/b/3", "b/1", "c"):
        put(bucket, name)
    pages = [[blob.name for blob in page] for page in client.list_blobs("heron", page_size=4).pages]
    assert pages == [["a", "a/1", "a/2", "a/b/3"], ["b/1", "c"]]
    listed = client.list_blobs("heron", delimiter="/")
    assert ([blob.name for blob in listed], sorted(listed.prefixes)) == (["a", "c"], ["a/", "b/"])
    listed = client.list_blobs("heron", prefix="a/", delimiter="/", page_size=1)
    assert ([blob.name for blob in listed], sorted(listed.prefixes)) == (["a/1", "a/2"], ["a/b/"])
    assert names(client, start_offset="a/2", end_offset="c") == ["a/2", "a/b/3", "b/1"]
    with pytest.raises(google.BadRequest):
        list(client.list_blobs("heron", page_token="nonsense"))


def test_keys_of_the_key_service_keep_their_names(client: storage.Client) -> None:
    bucket = client.bucket("sealed")
    bucket.default_kms_key_name = KEY
    client.create_bucket(bucket)
    put(bucket, "one")
    assert bucket.get_blob("one").kms_key_name == f"{KEY}/cryptoKeyVersions/1"
    other = KEY.removesuffix("k") + "other"
    blob = bucket.blob("two", kms_key_name=other)
    blob.upload_from_string(b"abc")
    assert bucket.get_blob("two").kms_key_name == f"{other}/cryptoKeyVersions/1"
    bucket.default_kms_key_name = f"{KEY}/cryptoKeyVersions/1"
    with pytest.raises(google.BadRequest, match="Malformed Cloud KMS crypto key"):
        bucket.patch()


@pytest.mark.parametrize(
    "fields",
    [
        {"lifecicle": {}},
        {"versioning": {"on": True}},
        {"storageClass": "COLD"},
        {"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"age": -1}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "Erase"}, "condition": {"age": 1}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "SetStorageClass"}, "condition": {"age": 1}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"aged": 1}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"createdBefore": "soon"}}]}},
        {"retentionPolicy": {"retentionPeriod": "long"}},
        {"location": "EU"},
    ],
    ids=json.dumps,
)
def test_a_bucket_takes_no_field_it_does_not_know(
    bucket: storage.Bucket, cloud: FakeCloud, fields: dict[str, Any]
) -> None:
    answer = requests.patch(url_of(cloud, "/storage/v1/b/heron"), json=fields, timeout=5)
    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "invalid")
    assert bucket.metageneration == 1


def test_buckets_are_made_changed_listed_and_deleted(client: storage.Client, bucket: storage.Bucket) -> None:
    with pytest.raises(google.Conflict):
        client.create_bucket("heron")
    with pytest.raises(google.BadRequest, match="Invalid bucket name"):
        client.create_bucket("Heron")
    bucket.labels = {"stage": "test"}
    bucket.patch(if_metageneration_match=1)
    with pytest.raises(google.PreconditionFailed):
        bucket.patch(if_metageneration_match=1)
    found = client.get_bucket("heron")
    assert (found.labels, found.metageneration, found.storage_class) == ({"stage": "test"}, 2, "STANDARD")
    put(bucket, "one")
    with pytest.raises(google.Conflict, match="not empty"):
        bucket.delete()
    bucket.delete_blob("one")
    bucket.delete()
    assert [each.name for each in client.list_buckets()] == []
    with pytest.raises(google.NotFound, match="bucket does not exist"):
        put(bucket, "two")


def test_names_and_metadata_that_cannot_be_are_refused(bucket: storage.Bucket, cloud: FakeCloud) -> None:
    for name in ("x" * 1025, "a\nb", ".."):
        with pytest.raises(google.BadRequest, match="Invalid object name"):
            put(bucket, name)
    url = url_of(cloud, "/upload/storage/v1/b/heron/o?uploadType=resumable")
    answer = requests.post(url, json={"name": "a", "colour": "grey"}, timeout=5)
    assert (answer.status_code, "Unknown name" in answer.json()["error"]["message"]) == (400, True)


def test_who_may_only_create_replaces_and_deletes_nothing(
    bucket: storage.Bucket, client: storage.Client, cloud: FakeCloud
) -> None:
    cloud.storage.allowed = CREATES
    put(bucket, "one", b"first")
    assert (bucket.blob("one").download_as_bytes(), names(client)) == (b"first", ["one"])
    blob = bucket.get_blob("one")
    blob.metadata = {"a": "b"}
    for deed in (
        lambda: put(bucket, "one", b"second"),
        lambda: bucket.delete_blob("one"),
        lambda: blob.update_storage_class("ARCHIVE"),
        blob.patch,
        bucket.patch,
    ):
        with pytest.raises(google.Forbidden):
            deed()
    assert cloud.storage.bytes_of("heron", "one") == b"first"


def test_faults_are_met_and_the_client_tries_again(bucket: storage.Bucket, cloud: FakeCloud) -> None:
    cloud.faults.fail("storage.objects.insert", 429)
    cloud.faults.fail("storage.objects.insert", 503)
    blob = bucket.blob("one")
    blob.upload_from_string(b"abc", retry=QUICKLY, if_generation_match=0)
    assert len(cloud.calls_of("storage.objects.insert")) == 3
    # What was done, and whose answer was lost, is done twice: that is what preconditions are for.
    cloud.faults.fail("storage.objects.insert", 503, after_commit=True)
    with pytest.raises(google.PreconditionFailed):
        bucket.blob("two").upload_from_string(b"abc", retry=QUICKLY, if_generation_match=0)
    assert cloud.storage.bytes_of("heron", "two") == b"abc"


def test_an_answer_that_breaks_off_is_shorter_than_it_said(bucket: storage.Bucket, cloud: FakeCloud) -> None:
    put(bucket, "one", b"0123456789")
    cloud.faults.cut("storage.objects.answer", 4)
    with pytest.raises(requests.exceptions.RequestException):
        requests.get(url_of(cloud, "/download/storage/v1/b/heron/o/one?alt=media"), timeout=5)


def test_no_file_of_the_fake_knows_the_driver() -> None:
    for path in (Path(__file__).parents[1] / "fakes").glob("storage*.py"):
        assert "audobon" not in path.read_text(encoding="utf-8")
