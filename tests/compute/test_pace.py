"""How long pages will take: a range by the cards, one figure once this machine has done some."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from audobon.compute.pace import LEARNED_PAGES, Paces, paces_of, total
from audobon.compute.placement import PageLoad, Placement, Seconds
from audobon.compute.work import PAGE_KIND, PageResult, place
from audobon.database.service import Database
from audobon.pages.operations import CleanSettings, LettersSettings, PanelsSettings, UpscaleSettings
from audobon.pages.operations import Settings as OperationSettings
from audobon.pages.picture_info import PictureInfo
from audobon.queue.embedded import SqliteQueue
from audobon.queue.tasks import Claimant, Needs, NewTask

GIGABYTE = 1 << 30


def placed(
    *,
    model: str = "waifu2x",
    card_seconds: float = 8.0,
    lean: bool = False,
    device: str = "cpu",
) -> Placement:
    return Placement("here", 64, lean, 1, "", model=model, card_seconds=card_seconds, device=device)


def took(seconds: float, placement: Placement) -> str:
    result = PageResult(width=1, height=1, seconds=seconds, placement=placement)
    return msgspec.json.encode(result).decode()


def test_before_any_page_was_done_the_card_gives_a_range_over_all_threads() -> None:
    assert Paces([], threads=4).predict(placed()) == Seconds(likely=2.0, low=1.0, high=4.0, pages_seen=0)


def test_one_page_narrows_the_range_and_some_pages_make_it_a_figure() -> None:
    once = Paces([took(16.0, placed())], threads=4).predict(placed())
    often = Paces([took(16.0, placed())] * LEARNED_PAGES, threads=4).predict(placed(card_seconds=4.0))

    assert once == Seconds(likely=16.0, low=11.429, high=22.4, pages_seen=1)
    assert often == Seconds(likely=8.0, low=7.273, high=8.8, pages_seen=LEARNED_PAGES)


def test_what_other_models_took_is_a_better_guess_than_the_cards() -> None:
    paces = Paces([took(16.0, placed(model="another"))] * 5, threads=4)

    assert paces.predict(placed()) == Seconds(likely=16.0, low=10.0, high=25.6, pages_seen=0)


def test_tiles_that_were_in_the_result_cache_make_no_page_look_quick() -> None:
    def seconds(made: float, cached_tiles: int) -> Seconds | None:
        result = msgspec.json.decode(took(made, placed(card_seconds=4.0)))
        partly = msgspec.json.encode(result | {"tiles": 8, "cached_tiles": cached_tiles}).decode()
        return Paces([partly], threads=4).predict(placed(card_seconds=4.0))

    assert seconds(8.0, 0) == seconds(2.0, 6)
    assert seconds(0.5, 8) == Paces([], threads=4).predict(placed(card_seconds=4.0))


def test_small_pages_say_little_of_large_ones() -> None:
    # Opening a page dominates a tiny one; many of them must not speak for a model.
    results = [took(1.0, placed(card_seconds=0.05))] * 10 + [took(4.0, placed(card_seconds=8.0))] * 3

    seconds = Paces(results, threads=4).predict(placed())

    assert seconds is not None
    assert seconds.likely == 4.0


def test_only_the_newest_pages_of_a_way_to_run_count() -> None:
    results = [took(8.0, placed())] * 16 + [took(80.0, placed())] * 50

    assert Paces(results, threads=4).predict(placed()) == Seconds(8.0, 7.273, 8.8, 16)


def test_ways_to_run_are_kept_apart() -> None:
    results = [took(8.0, placed(lean=True))] * 3 + [took(0.8, placed(device="cuda:0"))] * 3
    paces = Paces(results, threads=4)

    found = {
        name: paces.predict(placement)
        for name, placement in {
            "lean": placed(lean=True),
            "card": placed(device="cuda:0"),
            "other card": placed(device="cuda:1"),
        }.items()
    }

    assert found["lean"] == Seconds(8.0, 7.273, 8.8, 3)
    assert found["card"] == Seconds(0.8, 0.727, 0.88, 3)
    # No figure of the cards is about graphics cards: better none than a wrong one.
    assert found["other card"] is None


def test_results_of_older_versions_decode_and_tell_nothing() -> None:
    older = (
        '{"width":1400,"height":2000,"seconds":2.482,"size_bytes":1392889,"notes":[],"placement":{'
        '"where":"here","tile_px":192,"lean":false,"peak_bytes":360973026,"reason":"here: tiles of 192 px'
        ' at full speed fit the budget","model_bytes":178448450},"findings":null}'
    )

    assert msgspec.json.decode(older, type=PageResult).placement.seconds is None
    assert Paces([older, "{}"], threads=4).predict(placed()) == Seconds(2.0, 1.0, 4.0, 0)


def test_a_total_is_a_sum_and_unknown_with_one_that_is_unknown() -> None:
    one = Seconds(2.0, 1.0, 4.0, 7)
    other = Seconds(3.0, 2.0, 5.0, 0)

    assert total([one, other]) == Seconds(5.0, 3.0, 9.0, 0)
    assert total([one, one, one], workers=2) == Seconds(3.0, 1.5, 6.0, 7)
    assert total([one], workers=2) == one
    assert total([one, None]) is None
    assert total([]) == Seconds(0.0, 0.0, 0.0, 0)


@pytest.mark.parametrize(
    "settings",
    [UpscaleSettings(), CleanSettings(), LettersSettings(), PanelsSettings(), PanelsSettings(pictures=True)],
    ids=["upscale", "clean", "letters", "panels", "panels as pictures"],
)
def test_every_operation_is_placed_with_seconds_that_grow_with_the_page(settings: OperationSettings) -> None:
    def seconds(width: int, height: int) -> float:
        info = PictureInfo(width=width, height=height, mode="RGB", format="PNG")
        return place(PageLoad(info, 0, "PNG"), settings, 64 * GIGABYTE).card_seconds

    assert 0 < seconds(700, 1000) < seconds(1400, 2000)


def test_a_second_pass_and_a_second_plate_take_longer() -> None:
    def seconds(scale: int, mode: str) -> float:
        info = PictureInfo(width=700, height=1000, mode=mode, format="TIFF")
        return place(PageLoad(info, 0, "TIFF"), UpscaleSettings(scale=scale), 64 * GIGABYTE).card_seconds

    assert seconds(4, "RGB") > 3 * seconds(2, "RGB")
    assert 1.5 * seconds(2, "RGB") < seconds(2, "CMYK") < 2 * seconds(2, "RGB")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = Database(tmp_path).open(durable=False)
    yield connection
    connection.close()


def test_the_queue_remembers_what_pages_took_and_adopted_ones_count_once(
    connection: sqlite3.Connection,
) -> None:
    with SqliteQueue(connection) as queue:
        page = NewTask(needs=Needs(kind=PAGE_KIND, model="waifu2x"))
        upkeep = NewTask(needs=Needs(kind="sweep"))
        _, _, adopted = queue.enqueue("batch", [page, upkeep, page])
        for lease in queue.claim(Claimant(owner="worker"), limit=2):
            queue.finish(lease, result=took(16.0, placed()) if lease.kind == PAGE_KIND else '{"freed":3}')
        queue.adopt(adopted, None, took(16.0, placed()))

        seconds = paces_of(queue, threads=4).predict(placed())

    assert seconds == Seconds(likely=16.0, low=11.429, high=22.4, pages_seen=1)
