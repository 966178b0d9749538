"""The promise of the port of object stores, one test to a sentence; every driver passes all of it.

A driver joins with a test class that brings three fixtures:

    class TestMyStore(ObjectStoreConformance):
        @pytest.fixture
        def open_store(self): ...
            Returns a function, `open_store(rights="full")`, that opens the one, empty store of this test.

        @pytest.fixture
        def opening(self): ...
            Returns Python source that defines `open_store()` for another process.

        @pytest.fixture
        def kept(self): ...
            Returns a function that counts all the driver keeps of objects, finished or not.
"""

import threading
import time
from collections.abc import Callable, Iterator
from subprocess import Popen

import pytest

from audobon.errors import Denied, InvalidInput, ObjectExists, ObjectNotFound
from audobon.storage.port import TIERS, ObjectInfo, ObjectStore, Tier

OpenStore = Callable[..., ObjectStore]
StartPython = Callable[..., "Popen[str]"]

CREATES_WHEN_TOLD = """
import sys
{opening}
from audobon.errors import ObjectExists

store = open_store()
print("ready")
sys.stdin.readline()
for number in range(20):
    try:
        with store.create(f"race/{{number:02}}", tier=sys.argv[2]) as file:
            file.write(sys.argv[1].encode() * 1000)
    except ObjectExists:
        print("lost")
    else:
        print("won")
"""

STOPS_WITHIN = """
import sys
{opening}

with open_store().create("page/half.pack") as file:
    file.write(bytes(100_000))
    file.flush()
    print("half")
    sys.stdin.read()
"""


def put(store: ObjectStore, name: str, data: bytes = b"abc", tier: Tier = "standard") -> None:
    with store.create(name, tier=tier) as file:
        file.write(data)


def get(store: ObjectStore, name: str) -> bytes:
    with store.open(name) as file:
        return file.read()


def mend(store: ObjectStore, name: str) -> None:
    with store.replacing(name) as file:
        file.write(b"mended")


def names(listed: Iterator[ObjectInfo]) -> list[str]:
    return [info.name for info in listed]


class ObjectStoreConformance:
    """All of the promise."""

    @pytest.fixture
    def store(self, open_store: OpenStore) -> ObjectStore:
        return open_store()

    def test_an_object_is_read_as_it_was_written(self, store: ObjectStore) -> None:
        put(store, "page/ab/one.pack", b"one" * 500_000)
        with store.open("page/ab/one.pack") as file:
            assert file.read() == b"one" * 500_000
            file.seek(4)
            assert file.read(3) == b"neo"

    def test_an_object_tells_its_size_its_tier_and_when_it_was_made(self, store: ObjectStore) -> None:
        before = time.time()
        put(store, "page/one.pack", b"12345", tier="nearline")
        info = store.stat("page/one.pack")
        assert (info.name, info.size_bytes, info.tier) == ("page/one.pack", 5, "nearline")
        assert before - 1 <= info.created_at <= time.time() + 1

    def test_an_object_that_is_not_there_is_not_found(self, store: ObjectStore) -> None:
        for deed in (
            lambda: store.stat("page/none"),
            lambda: get(store, "page/none"),
            lambda: store.delete("page/none"),
            lambda: store.set_tier("page/none", "archive"),
        ):
            with pytest.raises(ObjectNotFound, match=r"there is no object page/none"):
                deed()

    def test_nothing_is_seen_before_it_is_whole(self, store: ObjectStore) -> None:
        with store.create("page/one.pack") as file:
            file.write(b"half")
            file.flush()
            assert names(store.list()) == []
            with pytest.raises(ObjectNotFound):
                store.stat("page/one.pack")
            file.write(b"whole")
        assert get(store, "page/one.pack") == b"halfwhole"

    def test_a_block_that_fails_leaves_nothing(self, store: ObjectStore, kept: Callable[[], int]) -> None:
        def stopped() -> None:
            with store.create("page/one.pack") as file:
                file.write(b"half")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            stopped()
        assert kept() == 0
        put(store, "page/one.pack", b"again")
        assert get(store, "page/one.pack") == b"again"

    def test_a_name_is_taken_for_good(self, store: ObjectStore) -> None:
        put(store, "page/one.pack", b"first")
        for tier in TIERS:
            with pytest.raises(ObjectExists, match=r"there is an object page/one.pack already"):
                put(store, "page/one.pack", b"second", tier)
        assert get(store, "page/one.pack") == b"first"

    def test_who_comes_second_while_another_writes_is_told(
        self, store: ObjectStore, kept: Callable[[], int]
    ) -> None:
        def outrun() -> None:
            with store.create("page/one.pack") as slow:
                slow.write(b"slow")
                put(store, "page/one.pack", b"quick", "archive")

        with pytest.raises(ObjectExists):
            outrun()
        assert get(store, "page/one.pack") == b"quick"
        assert kept() == 1

    def test_of_sixteen_threads_one_makes_it(self, open_store: OpenStore, kept: Callable[[], int]) -> None:
        outcomes: list[str] = []
        barrier = threading.Barrier(16)

        def create(number: int) -> None:
            store = open_store()
            for turn in range(20):
                barrier.wait()
                try:
                    put(store, f"race/{turn:02}", bytes([number]) * 1000, TIERS[number % 3])
                except ObjectExists:
                    outcomes.append("lost")
                else:
                    outcomes.append("won")

        threads = [threading.Thread(target=create, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (outcomes.count("won"), outcomes.count("lost")) == (20, 300)
        assert kept() == 20
        for info in open_store().list():
            assert len(set(get(open_store(), info.name))) == 1

    def test_of_several_processes_one_makes_it(
        self, store: ObjectStore, opening: str, start_python: StartPython, kept: Callable[[], int]
    ) -> None:
        code = CREATES_WHEN_TOLD.format(opening=opening)
        racers = [start_python(code, letter, tier) for letter, tier in zip("abc", TIERS, strict=True)]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        told = [line for racer in racers for line in racer.communicate()[0].split()]
        assert (told.count("won"), told.count("lost")) == (20, 40)
        assert kept() == 20
        assert names(store.list("race/")) == [f"race/{number:02}" for number in range(20)]

    def test_a_writer_that_is_killed_leaves_no_object(
        self, store: ObjectStore, opening: str, start_python: StartPython, kept: Callable[[], int]
    ) -> None:
        writer = start_python(STOPS_WITHIN.format(opening=opening))
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        writer.kill()
        writer.wait()
        assert names(store.list()) == []
        put(store, "page/half.pack", b"whole")
        assert get(store, "page/half.pack") == b"whole"
        assert store.clear_unfinished(before=time.time() - 3600) == 0
        assert store.clear_unfinished(before=time.time() + 3600) == 100_000
        assert kept() == 1
        assert get(store, "page/half.pack") == b"whole"

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "a\\b",
            "a\0b",
            "a\n",
            ".hidden",
            "a/.hidden",
            "é",
            "a b",
            "C:x",
            "x" * 201,
            "/".join(["x" * 99] * 6),
        ],
    )
    def test_a_name_that_might_lead_elsewhere_is_refused(self, store: ObjectStore, name: str) -> None:
        for deed in (
            lambda: put(store, name),
            lambda: get(store, name),
            lambda: store.stat(name),
            lambda: store.delete(name),
            lambda: store.set_tier(name, "archive"),
        ):
            with pytest.raises(InvalidInput, match="cannot name an object"):
                deed()

    @pytest.mark.parametrize("prefix", ["../", "/", "/etc/", "a/../", "a/../../x", ".locks/", "a//"])
    def test_a_prefix_that_might_lead_elsewhere_is_refused(self, store: ObjectStore, prefix: str) -> None:
        with pytest.raises(InvalidInput):
            list(store.list(prefix))

    def test_an_object_cannot_lie_within_another(self, store: ObjectStore) -> None:
        put(store, "page/one")
        with pytest.raises(ObjectExists):
            put(store, "page/one/two")
        with pytest.raises(ObjectExists):
            put(store, "page")
        assert names(store.list()) == ["page/one"]

    def test_objects_are_listed_in_the_order_of_their_names_whatever_their_tier(
        self, store: ObjectStore
    ) -> None:
        expected = ["b/2", "a/10", "a/9", "a-x", "c", "a.b", "B", "a/x/y"]
        for number, name in enumerate(expected):
            put(store, name, b"x" * number, TIERS[number % 3])
        assert names(store.list()) == sorted(expected)
        assert list(store.list()) == [store.stat(name) for name in sorted(expected)]

    def test_a_prefix_may_end_within_a_name(self, store: ObjectStore) -> None:
        for name in ("page/ab/one", "page/ac/two", "page/b", "result/ab/one"):
            put(store, name)
        assert names(store.list("page/a")) == ["page/ab/one", "page/ac/two"]
        assert names(store.list("page/ab/")) == ["page/ab/one"]
        assert names(store.list("pa")) == ["page/ab/one", "page/ac/two", "page/b"]
        assert names(store.list("none/")) == []

    def test_what_is_deleted_is_gone_and_its_name_free(
        self, store: ObjectStore, kept: Callable[[], int]
    ) -> None:
        for tier in TIERS:
            put(store, "page/one.pack", tier.encode(), tier)
            store.delete("page/one.pack")
            assert names(store.list()) == []
            assert kept() == 0

    def test_a_reader_keeps_what_is_deleted_or_moved_under_it(self, store: ObjectStore) -> None:
        put(store, "page/one.pack", b"x" * 3_000_000)
        with store.open("page/one.pack") as file:
            assert len(file.read(1_000_000)) == 1_000_000
            store.set_tier("page/one.pack", "archive")
            assert len(file.read(1_000_000)) == 1_000_000
            store.delete("page/one.pack")
            assert file.read() == b"x" * 1_000_000

    @pytest.mark.parametrize("source", TIERS)
    @pytest.mark.parametrize("target", TIERS)
    def test_an_object_changes_its_tier_and_nothing_else(
        self, store: ObjectStore, source: Tier, target: Tier, kept: Callable[[], int]
    ) -> None:
        put(store, "page/one.pack", b"one" * 700_000, source)
        before = store.stat("page/one.pack")
        store.set_tier("page/one.pack", target)
        assert store.stat("page/one.pack") == ObjectInfo(before.name, 2_100_000, before.created_at, target)
        assert list(store.list()) == [store.stat("page/one.pack")]
        assert get(store, "page/one.pack") == b"one" * 700_000
        assert kept() == 1
        store.set_tier("page/one.pack", target)
        assert store.stat("page/one.pack").tier == target

    def test_moving_and_listing_at_once_misses_nothing(self, open_store: OpenStore) -> None:
        store = open_store()
        for number in range(8):
            put(store, f"page/{number}")
        is_over = threading.Event()

        def move() -> None:
            turn = 0
            while not is_over.is_set():
                turn += 1
                store.set_tier(f"page/{turn % 8}", TIERS[(turn // 8) % 3])

        mover = threading.Thread(target=move)
        mover.start()
        try:
            for _ in range(60):
                assert names(open_store().list()) == [f"page/{number}" for number in range(8)]
                assert get(open_store(), "page/3") == b"abc"
        finally:
            is_over.set()
            mover.join()

    @pytest.mark.parametrize("tier", TIERS)
    def test_an_object_is_mended_in_one_stroke(
        self, store: ObjectStore, tier: Tier, kept: Callable[[], int]
    ) -> None:
        put(store, "page/one.pack", b"damaged", "nearline")
        with store.replacing("page/one.pack", tier=tier) as file:
            file.write(b"mended")
            file.seek(0)
            assert file.read() == b"mended"
            assert get(store, "page/one.pack") == b"damaged"
        assert get(store, "page/one.pack") == b"mended"
        assert [(info.name, info.tier) for info in store.list()] == [("page/one.pack", tier)]
        with store.replacing("page/two.pack") as file:
            file.write(b"new")
        assert (get(store, "page/two.pack"), kept()) == (b"new", 2)

    def test_mending_that_fails_leaves_the_object_as_it_was(
        self, store: ObjectStore, kept: Callable[[], int]
    ) -> None:
        def fail() -> None:
            with store.replacing("page/one.pack") as file:
                file.write(b"half")
                raise KeyboardInterrupt

        put(store, "page/one.pack", b"damaged")
        with pytest.raises(KeyboardInterrupt):
            fail()
        assert (get(store, "page/one.pack"), kept()) == (b"damaged", 1)

    def test_what_the_living_write_is_not_taken_for_abandoned(self, store: ObjectStore) -> None:
        with store.create("page/one.pack") as file:
            file.write(b"half")
            file.flush()
            store.clear_abandoned()
            file.write(b"whole")
        assert get(store, "page/one.pack") == b"halfwhole"

    def test_what_the_dead_wrote_is_cleared(
        self, store: ObjectStore, opening: str, start_python: StartPython, kept: Callable[[], int]
    ) -> None:
        writer = start_python(STOPS_WITHIN.format(opening=opening))
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        writer.kill()
        writer.wait()
        assert kept() == 1
        store.clear_abandoned()
        assert kept() == 0

    def test_who_may_only_read_writes_nothing(self, open_store: OpenStore) -> None:
        put(open_store(), "page/one.pack")
        store = open_store("read")
        assert get(store, "page/one.pack") == b"abc"
        assert names(store.list()) == ["page/one.pack"]
        for deed in (
            lambda: put(store, "page/two.pack"),
            lambda: store.delete("page/one.pack"),
            lambda: store.set_tier("page/one.pack", "archive"),
            lambda: mend(store, "page/one.pack"),
            lambda: store.clear_unfinished(before=0),
        ):
            with pytest.raises(Denied):
                deed()
        assert open_store().stat("page/one.pack").tier == "standard"

    def test_who_may_only_create_changes_and_deletes_nothing(self, open_store: OpenStore) -> None:
        store = open_store("create")
        put(store, "page/one.pack")
        for deed in (
            lambda: store.delete("page/one.pack"),
            lambda: store.set_tier("page/one.pack", "archive"),
            lambda: mend(store, "page/one.pack"),
            lambda: store.clear_unfinished(before=0),
        ):
            with pytest.raises(Denied):
                deed()
        with pytest.raises(ObjectExists):
            put(store, "page/one.pack", b"other")
        assert get(store, "page/one.pack") == b"abc"
