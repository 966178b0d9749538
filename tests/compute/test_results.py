"""Results from before: found for equal work alone, whole or not at all, and kept only when they may be."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from audobon.compute import results as results_module
from audobon.compute.placement import Placement
from audobon.compute.results import Results
from audobon.compute.work import PageResult, Work, work_key
from audobon.config import keyrings_folder
from audobon.keys.service import PERSONAL
from audobon.keys.unlocking import open_keys
from audobon.models.card import built_in_card
from audobon.models.devices import Choice
from audobon.pages.operations import operation_named
from audobon.storage.result_cache import ResultCache
from audobon.storage.service import Storage

BUDGET = 64 << 20
WORK = Work("upscale", '{"scale":2}', "f00d", "PNG")
KEY = work_key(WORK, operation_named("upscale"))
PAGE = PageResult(
    width=4, height=6, seconds=2.0, size_bytes=9, placement=Placement("here", 64, False, 1, "fits")
)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()))


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ResultCache]:
    cache = ResultCache(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=BUDGET)
    yield cache
    cache.close()


@pytest.fixture
def results(cache: ResultCache, storage: Storage) -> Results:
    return Results(cache, storage, device="cpu")


def found(results: Results) -> tuple[str | None, PageResult] | None:
    made = results.find(KEY, subject=PERSONAL)
    return None if made is None else (made[0], msgspec.json.decode(made[1], type=PageResult))


def test_a_page_is_found_with_its_blob_and_says_where_it_came_from(
    results: Results, storage: Storage
) -> None:
    blob = storage.put(b"the pixels")
    assert found(results) is None

    results.of_task(WORK, subject=PERSONAL).keep_page(blob, PAGE)

    assert found(results) == (blob, msgspec.structs.replace(PAGE, is_cached=True))


def test_findings_have_no_blob(results: Results) -> None:
    page = msgspec.structs.replace(PAGE, size_bytes=0, findings=msgspec.Raw(b'{"panels":[]}'))
    results.of_task(WORK, subject=PERSONAL).keep_page(None, page)
    made = found(results)
    assert made is not None
    assert made[0] is None
    assert bytes(made[1].findings) == b'{"panels":[]}'


def test_what_it_may_take_does_not_part_equal_work_but_all_else_does(
    results: Results, storage: Storage
) -> None:
    results.of_task(WORK, subject=PERSONAL).keep_page(storage.put(b"the pixels"), PAGE)
    upscale = operation_named("upscale")

    def is_found(**changes: object) -> bool:
        work = msgspec.structs.replace(WORK, **changes)
        return results.find(work_key(work, upscale), subject=PERSONAL) is not None

    assert is_found(memory_bytes=400 << 20)
    assert not is_found(blob="beef")
    assert not is_found(format="JPEG")
    assert not is_found(settings='{"scale":4}')


def test_another_device_or_version_or_machine_finds_nothing(
    results: Results, cache: ResultCache, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.of_task(WORK, subject=PERSONAL).keep_page(storage.put(b"the pixels"), PAGE)
    assert found(Results(cache, storage, device="cuda")) is None
    monkeypatch.setattr(results_module, "machine_digest", lambda: "another runtime or processor")
    assert found(Results(cache, storage, device="cpu")) is None
    monkeypatch.undo()
    monkeypatch.setattr(results_module, "__version__", "99")
    assert found(Results(cache, storage, device="cpu")) is None
    monkeypatch.undo()
    assert found(Results(cache, storage, device="cpu")) is not None


def test_a_page_whose_blob_is_damaged_or_gone_is_not_there(
    results: Results, storage: Storage, cache: ResultCache, tmp_path: Path
) -> None:
    blob = storage.put(b"the pixels")
    results.of_task(WORK, subject=PERSONAL).keep_page(blob, PAGE)
    path = storage.store.path(storage.stat(blob).pack)
    damaged = bytearray(path.read_bytes())
    damaged[-20] ^= 1
    path.write_bytes(damaged)

    assert found(results) is None
    assert cache.figures().pages == 0
    assert storage.put(b"the pixels") == blob
    results.of_task(WORK, subject=PERSONAL).keep_page(blob, PAGE)
    assert found(results) is not None
    storage.store.path(storage.stat(blob).pack).unlink()
    assert found(results) is None


def test_work_that_is_not_to_use_the_cache_leaves_nothing_in_it(
    results: Results, storage: Storage, cache: ResultCache
) -> None:
    task = results.of_task(msgspec.structs.replace(WORK, use_cache=False), subject=PERSONAL)
    assert task.tiles(built_in_card("waifu2x-upconv7-x2"), Choice()) is None
    task.keep_page(storage.put(b"the pixels"), PAGE)
    assert task.counted(PAGE) == PAGE
    assert cache.figures().pages == 0


def test_a_cache_that_is_off_gives_no_tiles(storage: Storage, tmp_path: Path) -> None:
    off = Results(
        ResultCache(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=0),
        storage,
        device="cpu",
    )
    assert off.of_task(WORK, subject=PERSONAL).tiles(built_in_card("waifu2x-upconv7-x2"), Choice()) is None


def test_a_page_that_the_processor_made_in_place_of_a_card_is_not_kept(
    results: Results, storage: Storage, cache: ResultCache
) -> None:
    task = results.of_task(WORK, subject=PERSONAL)
    task.runs_on(Choice())
    task.runs_on(Choice(is_fallback=True, reason="no driver"))
    task.keep_page(storage.put(b"the pixels"), PAGE)
    assert cache.figures().pages == 0


def test_forgotten_work_is_not_there(results: Results, storage: Storage) -> None:
    results.of_task(WORK, subject=PERSONAL).keep_page(storage.put(b"the pixels"), PAGE)
    results.forget(["another"], subject=PERSONAL)
    assert found(results) is not None
    results.forget([KEY], subject=PERSONAL)
    assert found(results) is None
