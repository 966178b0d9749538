"""Planning and working foresee the same memory: the cards', corrected by what runs here were seen to take."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from audobon.compute.foresight import Foresight, observed_peaks
from audobon.compute.perform import Performer
from audobon.compute.placement import PageLoad
from audobon.compute.results import Results
from audobon.compute.work import Work, place
from audobon.config import keyrings_folder
from audobon.errors import MemoryTooSmall
from audobon.keys.service import PERSONAL
from audobon.keys.unlocking import open_keys
from audobon.models.card import built_in_card
from audobon.models.observed import PeakMemory
from audobon.models.service import Models
from audobon.pages.operations import UpscaleSettings
from audobon.pages.picture import Picture
from audobon.pages.picture_info import PictureInfo
from audobon.storage.result_cache import ResultCache

GIGABYTE = 1 << 30
CARD = built_in_card("waifu2x-upconv7-x2")
INFO = PictureInfo(width=100, height=100, mode="RGB", format="PNG")
LOAD = PageLoad(INFO, 0, "PNG")


def see_too_much(folder: Path) -> None:
    """Note that every way to run the model took far more than its card says."""
    seen = PeakMemory(folder / "models", threads=1)
    for lean in (False, True):
        for pixels in (1, 1 << 30):
            seen.observe(CARD, pixels, 10 * GIGABYTE, lean=lean)


def test_planning_takes_what_runs_with_as_many_threads_were_seen_to_take(tmp_path: Path) -> None:
    see_too_much(tmp_path)

    assert observed_peaks(tmp_path, threads=1)(CARD, 1000, lean=True) > 9 * GIGABYTE
    assert observed_peaks(tmp_path, threads=2)(CARD, 1000, lean=True) < GIGABYTE
    with pytest.raises(MemoryTooSmall):
        Foresight(tmp_path, None, threads=1, device="cpu").place(LOAD, UpscaleSettings(), 4 * GIGABYTE)


def test_a_worker_admits_a_page_by_what_was_seen(tmp_path: Path) -> None:
    assert place(LOAD, UpscaleSettings(), 4 * GIGABYTE).where == "here"
    see_too_much(tmp_path)
    storage: Any = SimpleNamespace(get=lambda _: b"file", subject_of=lambda _: PERSONAL)
    codec: Any = SimpleNamespace(decode=lambda _: Picture(INFO, np.zeros((100, 100, 3), np.uint8)))
    memory: Any = SimpleNamespace(room_bytes=lambda: 4 * GIGABYTE, pool_bytes=lambda: 4 * GIGABYTE)
    results = Results(
        ResultCache(tmp_path, open_keys(tmp_path, unlock_folder=keyrings_folder()), budget_bytes=0),
        storage,
        device="cpu",
    )
    performer = Performer(storage, Models(tmp_path / "models", threads=1), (codec, codec), results)

    with pytest.raises(MemoryTooSmall):
        performer.perform(
            Work("upscale", "{}", "blob"),
            report=lambda *_: None,
            publish=lambda *_: None,
            alone=lambda: None,
            memory=memory,
        )
