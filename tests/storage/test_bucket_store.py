"""A bucket as object store: the whole promise, and what only a network can do to it."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bucket_desk import BUCKET, BucketDesk, bucket_desk
from object_store_conformance import ObjectStoreConformance, OpenStore, get, mend, names, put

from audobon.errors import (
    AudobonError,
    CloudDenied,
    CloudUnavailable,
    CorruptBlob,
    Denied,
    ObjectExists,
    ObjectNotFound,
    OnHold,
    QuotaExceeded,
    Unavailable,
)
from audobon.storage import gcp_uploading
from audobon.storage.port import TIERS
from fakes import storage_answers
from fakes.storage import CREATES, READS

OPENING = """
from pathlib import Path
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from audobon.storage.gcp import BucketObjectStore

client = storage.Client("p", credentials=AnonymousCredentials(), client_options={{"api_endpoint": {url!r}}})
client._bucket_metadata_cache = None

def open_store():
    return BucketObjectStore({bucket!r}, {prefix!r}, spool=Path({spool!r}), client=client)
"""


class BucketStores(ObjectStoreConformance):
    """What the store of a whole bucket and that below a prefix have in common."""

    prefix = ""

    @pytest.fixture
    def desk(self, tmp_path: Path) -> Iterator[BucketDesk]:
        with bucket_desk(tmp_path, prefix=self.prefix) as desk:
            yield desk

    @pytest.fixture
    def open_store(self, desk: BucketDesk) -> OpenStore:
        return desk.open

    @pytest.fixture
    def opening(self, desk: BucketDesk) -> str:
        return OPENING.format(url=desk.url, bucket=BUCKET, prefix=desk.prefix, spool=str(desk.spool))

    @pytest.fixture
    def kept(self, desk: BucketDesk) -> Callable[[], int]:
        return desk.kept


class TestWholeBucket(BucketStores):
    """A bucket for nothing else."""


class TestBelowAPrefix(BucketStores):
    """A part of a bucket."""

    prefix = "studio/audobon"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[BucketDesk]:
    with bucket_desk(tmp_path) as desk:
        yield desk


def test_of_thirty_two_threads_one_makes_it(desk: BucketDesk) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(32)

    def create(number: int) -> None:
        store = desk.open()
        barrier.wait()
        try:
            put(store, "race", bytes([number]) * 1000)
        except ObjectExists:
            outcomes.append("lost")
        else:
            outcomes.append(f"won {number}")

    threads = [threading.Thread(target=create, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [outcome for outcome in outcomes if outcome != "lost"]
    assert (len(winners), outcomes.count("lost")) == (1, 31)
    assert get(desk.open(), "race") == bytes([int(winners[0].split()[1])]) * 1000
    assert desk.kept() == 1


def test_two_prefixes_of_one_bucket_know_nothing_of_each_other(desk: BucketDesk) -> None:
    one, two = desk.open(), desk.open()
    one._base, two._base = "one/", "two/"
    put(one, "page/a")
    put(two, "page/b")
    assert (names(one.list()), names(two.list())) == (["page/a"], ["page/b"])
    assert desk.cloud.storage.names_in(BUCKET) == ["one/page/a", "two/page/b"]


def test_what_others_put_into_the_bucket_is_no_object_of_ours(desk: BucketDesk) -> None:
    for name in ("folder/", ".hidden", "with space", "page/one"):
        desk.open()._bucket.blob(name).upload_from_string(b"theirs")
    assert names(desk.open().list()) == ["page/one"]


# A network that breaks.


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcp_uploading, "PIECE_BYTES", 1 << 20)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("broken_at", [0, 1, 300_000, (1 << 20) - 1, 1 << 20])
def test_an_upload_goes_on_where_the_connection_broke(desk: BucketDesk, broken_at: int) -> None:
    data = bytes(range(256)) * 40_000
    desk.cloud.faults.cut("storage.objects.send", broken_at, times=4)
    put(desk.open(), "page/large.pack", data)
    assert desk.cloud.storage.bytes_of(BUCKET, "page/large.pack") == data
    assert desk.kept() == 1
    arrived = sum(len(call.request.body) for call in desk.cloud.calls_of("storage.objects.send"))
    # What was there already is not sent again: at most a piece for each break.
    assert arrived <= len(data) + 4 * (1 << 20)


@pytest.mark.usefixtures("small_pieces")
def test_an_upload_whose_last_answer_is_lost_is_done(desk: BucketDesk) -> None:
    data = bytes(9_000_000)
    last = len(data) // (1 << 20)
    done: list[int] = []

    def sent() -> int:
        return len(desk.cloud.calls_of("storage.objects.send"))

    # Every answer of it is lost once: the first time each piece arrives.
    desk.cloud.faults.drop("storage.objects.send", times=1, after_commit=True)
    put(desk.open(), "large", data)
    done.append(sent())
    assert done[0] >= last + 2
    desk.cloud.faults.fail("storage.objects.send", 503, times=3, after_commit=True)
    put(desk.open(), "larger", data + b"x")
    assert desk.cloud.storage.names_in(BUCKET) == ["large", "larger"]


def test_a_small_object_whose_answer_is_lost_was_made_by_us(desk: BucketDesk) -> None:
    desk.cloud.faults.drop("storage.objects.insert", after_commit=True)
    put(desk.open(), "page/one", b"mine")
    assert get(desk.open(), "page/one") == b"mine"
    # It is another's when the bytes only look the same.
    desk.cloud.faults.drop("storage.objects.insert", after_commit=True)
    with pytest.raises(ObjectExists):
        put(desk.open(), "page/one", b"mine")


@pytest.mark.usefixtures("small_pieces")
def test_an_upload_that_is_forgotten_begins_again(desk: BucketDesk) -> None:
    desk.cloud.faults.fail("storage.objects.send", 410)
    data = bytes(9_000_000)
    put(desk.open(), "large", data)
    assert desk.calls("storage.objects.insert") == ["storage.objects.insert"] * 2
    assert desk.cloud.storage.bytes_of(BUCKET, "large") == data
    desk.cloud.faults.fail("storage.objects.send", 404, times=100)
    with pytest.raises(Unavailable, match="broken off again and again"):
        put(desk.open(), "larger", data)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("size", [1000, 9_000_000])
def test_a_network_that_goes_away_leaves_nothing_and_is_named(desk: BucketDesk, size: int) -> None:
    desk.patience_seconds = 0.1
    store = desk.open()

    def write() -> None:
        with store.create("page/one") as file:
            file.write(bytes(size))
            desk.cloud.faults.network_down()

    with pytest.raises(CloudUnavailable) as caught:
        write()
    assert f"gs://{BUCKET}" in caught.value.message
    desk.cloud.faults.network_up()
    assert desk.kept() == 0
    put(store, "page/one", bytes(size))
    assert store.stat("page/one").size_bytes == size


@pytest.mark.usefixtures("small_pieces")
def test_an_upload_that_is_given_up_is_called_off(desk: BucketDesk) -> None:
    desk.cloud.faults.fail("storage.objects.send", 403, times=1)
    with pytest.raises(CloudDenied):
        put(desk.open(), "large", bytes(9_000_000))
    assert desk.calls("storage.objects.cancel") == ["storage.objects.cancel"]
    assert desk.kept() == 0


@pytest.mark.parametrize("times", [1, 5])
def test_reading_goes_on_where_the_answer_broke(desk: BucketDesk, times: int) -> None:
    data = bytes(range(256)) * 12_000
    put(desk.open(), "page/one", data)
    desk.cloud.faults.cut("storage.objects.answer", 500_000, times=times)
    assert get(desk.open(), "page/one") == data


def test_reading_in_order_takes_few_calls_and_moving_few_more(desk: BucketDesk) -> None:
    put(desk.open(), "page/one", bytes(range(256)) * 12_000)
    store = desk.open()
    before = len(desk.calls())
    with store.open("page/one") as file:
        assert len(file.read()) == 3_072_000
    assert desk.calls()[before:] == ["storage.objects.get"] * 2
    before = len(desk.calls())
    with store.open("page/one") as file:
        assert file.read(4) == bytes(range(4))
        assert file.seek(-4, 2) == 3_071_996
        assert file.read() == bytes(range(252, 256))
    assert desk.calls()[before:] == ["storage.objects.get"] * 2


def test_an_object_that_is_put_anew_while_it_is_read_is_not_mixed_up(desk: BucketDesk) -> None:
    store = desk.open()
    put(store, "page/one", b"a" * 3_000_000)
    with store.open("page/one") as file:
        assert file.read(10) == b"a" * 10
        store.delete("page/one")
        put(store, "page/one", b"b" * 3_000_000)
        file.seek(2_900_000)
        with pytest.raises(ObjectNotFound):
            file.read()


# Bytes that change.


def test_what_the_bucket_damaged_is_noticed_while_it_is_read(desk: BucketDesk) -> None:
    store = desk.open()
    for size in (1000, 3_000_000):
        put(store, f"page/{size}", bytes(size))
        told = store._bucket.get_blob(f"page/{size}").crc32c
        desk.cloud.storage.damage(BUCKET, f"page/{size}", lambda data: b"x" + data[1:], told_crc32c=told)
        with pytest.raises(CorruptBlob, match="is not as it was written"):
            get(store, f"page/{size}")


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("size", [1000, 9_000_000])
def test_what_is_damaged_on_its_way_is_not_taken(desk: BucketDesk, size: int) -> None:
    desk.cloud.storage.damage_arriving = lambda data: data[:-1] + b"!" if len(data) > 500 else data
    with pytest.raises(CorruptBlob, match="damaged on its way"):
        put(desk.open(), "page/one", bytes(size))
    desk.cloud.storage.damage_arriving = None
    assert desk.kept() == 0


# What the cloud does not allow.


def test_an_account_that_may_only_create_is_enough_to_create_and_for_nothing_else(desk: BucketDesk) -> None:
    put(desk.open(), "page/one")
    desk.cloud.storage.allowed = CREATES
    put(desk.open("create"), "page/two", bytes(9_000_000))
    assert names(desk.open("create").list()) == ["page/one", "page/two"]
    assert get(desk.open("create"), "page/one") == b"abc"
    before = len(desk.calls())
    with pytest.raises(ObjectExists):
        put(desk.open("create"), "page/one", b"other")
    # Whatever this side says it may do.
    store = desk.open("full")

    for deed in (
        lambda: store.delete("page/one"),
        lambda: store.set_tier("page/one", "archive"),
        lambda: mend(store, "page/one"),
    ):
        with pytest.raises(CloudDenied) as caught:
            deed()
        assert "storage.objects.delete" in caught.value.message
    assert "storage.objects.patch" not in desk.calls()[before:]
    assert get(desk.open("read"), "page/one") == b"abc"


def test_an_account_that_may_only_read_creates_nothing(desk: BucketDesk) -> None:
    desk.cloud.storage.allowed = READS
    with pytest.raises(Denied, match=r"storage\.objects\.create"):
        put(desk.open("create"), "page/one")


def test_what_must_be_kept_cannot_be_deleted_moved_or_replaced(desk: BucketDesk) -> None:
    store = desk.open()
    put(store, "page/one")
    store._bucket.retention_period = 3600
    store._bucket.patch()

    for deed in (
        lambda: store.delete("page/one"),
        lambda: store.set_tier("page/one", "archive"),
        lambda: mend(store, "page/one"),
    ):
        with pytest.raises(OnHold, match="must be kept still"):
            deed()
    assert get(store, "page/one") == b"abc"
    store._bucket.retention_period = None
    store._bucket.patch()
    blob = store._bucket.get_blob("page/one")
    blob.temporary_hold = True
    blob.patch()
    with pytest.raises(OnHold, match="Temporary hold"):
        store.delete("page/one")


def test_a_bucket_that_is_not_there_is_not_taken_for_an_empty_one(desk: BucketDesk) -> None:
    store = desk.open()
    store._bucket = store._client.bucket("gone")
    for deed in (
        lambda: list(store.list()),
        lambda: store.stat("one"),
        lambda: get(store, "one"),
        lambda: put(store, "one"),
        lambda: store.delete("one"),
    ):
        with pytest.raises(Unavailable, match="is not there"):
            deed()


@pytest.mark.parametrize(
    ("status", "kind"), [(429, QuotaExceeded), (503, CloudUnavailable), (500, CloudUnavailable)]
)
def test_faults_that_pass_are_waited_out_and_those_that_stay_are_named(
    desk: BucketDesk, status: int, kind: type[AudobonError]
) -> None:
    desk.cloud.faults.fail("storage.*", status, times=2)
    put(desk.open(), "page/one")
    desk.patience_seconds = 0.1
    store = desk.open()
    desk.cloud.faults.fail("storage.*", status, times=1 << 20)
    for deed in (lambda: store.stat("page/one"), lambda: list(store.list()), lambda: get(store, "page/one")):
        with pytest.raises(kind):
            deed()


def test_tiers_are_classes_and_their_price_is_that_of_the_class(desk: BucketDesk) -> None:
    store = desk.open()
    for tier in TIERS:
        put(store, tier, tier=tier)
    classes = [blob.storage_class for blob in store._client.list_blobs(BUCKET)]
    assert classes == ["ARCHIVE", "NEARLINE", "STANDARD"]
    get(store, "archive")
    store.set_tier("nearline", "standard")
    told = [(charge.kind, charge.name, round(charge.days)) for charge in desk.cloud.storage.charges]
    # Moving out of a class reads from it, and pays the rest of its minimum.
    assert told == [
        ("retrieval", "archive", 0),
        ("retrieval", "nearline", 0),
        ("early-delete", "nearline", 30),
    ]


def test_a_class_that_has_no_tier_here_is_the_nearest(desk: BucketDesk) -> None:
    blob = desk.open()._bucket.blob("cold")
    blob.storage_class = "COLDLINE"
    blob.upload_from_string(b"abc")
    assert desk.open().stat("cold").tier == "nearline"
    desk.open().set_tier("cold", "nearline")
    assert desk.open()._bucket.get_blob("cold").storage_class == "COLDLINE"


def test_an_object_keeps_its_age_through_every_tier(desk: BucketDesk) -> None:
    store = desk.open()
    put(store, "one")
    made = store.stat("one").created_at
    for tier in ("nearline", "archive", "standard"):
        store.set_tier("one", tier)  # type: ignore[arg-type]
        assert store.stat("one").created_at == made


def test_a_list_that_comes_in_pages_is_whole(desk: BucketDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_answers, "_MOST_LISTED", 3)
    expected = [f"page/{number}" for number in range(8)]
    for name in expected:
        put(desk.open(), name)
    before = len(desk.calls())
    assert names(desk.open().list()) == expected
    assert desk.calls()[before:] == ["storage.objects.list"] * 3
