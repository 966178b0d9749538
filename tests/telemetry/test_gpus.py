"""Graphics cards as the driver tells of them, and why there is none."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from audobon.telemetry.gpus import Gpu, GpuDriver, find_gpus

GIGABYTE = 1_000_000_000


class MadeUpDriver(ModuleType):
    """A pynvml that fails at a chosen call, or knows the given cards."""

    class NVMLError(Exception):
        """What the real package raises."""

    def __init__(self, *, cards: int = 0, fails_at: str = "") -> None:
        super().__init__("pynvml")
        self.cards = cards
        self.fails_at = fails_at
        self.is_open = False

    def _call(self, name: str) -> None:
        if name == self.fails_at:
            raise self.NVMLError("Driver/library version mismatch")

    def nvmlInit(self) -> None:
        self._call("init")
        self.is_open = True

    def nvmlShutdown(self) -> None:
        self.is_open = False

    def nvmlDeviceGetCount(self) -> int:
        self._call("count")
        return self.cards

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> str | bytes:
        return b"NVIDIA Old" if handle else "NVIDIA New"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(total=8 * GIGABYTE, free=7 * GIGABYTE)

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}"

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        self._call("processes")
        return [
            SimpleNamespace(pid=7, usedGpuMemory=GIGABYTE // 2),
            SimpleNamespace(pid=8, usedGpuMemory=None),
        ]

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        self._call("utilization")
        return SimpleNamespace(gpu=25)


def test_cards_are_listed_by_name_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = MadeUpDriver(cards=2)
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    gpus, problem = find_gpus()
    assert problem is None
    assert gpus == tuple(
        Gpu(name, 8 * GIGABYTE, 7 * GIGABYTE, f"GPU-{index}", {7: GIGABYTE // 2}, 25.0)
        for index, name in enumerate(("NVIDIA New", "NVIDIA Old"))
    )
    assert not driver.is_open


@pytest.mark.parametrize(
    ("fails_at", "held_bytes", "busy_percent"),
    [("processes", {}, 25.0), ("utilization", {7: GIGABYTE // 2}, None)],
)
def test_what_a_card_does_not_tell_is_left_open(
    monkeypatch: pytest.MonkeyPatch, fails_at: str, held_bytes: dict[int, int], busy_percent: float | None
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", MadeUpDriver(cards=1, fails_at=fails_at))
    gpus, _ = find_gpus()
    assert [(gpu.held_bytes, gpu.busy_percent) for gpu in gpus] == [(held_bytes, busy_percent)]


def test_a_driver_that_was_replaced_meanwhile_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = MadeUpDriver(cards=1)
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    kept = GpuDriver()
    assert len(kept.read()[0]) == 1
    driver.fails_at = "count"
    assert kept.read()[0] == ()
    assert not driver.is_open
    driver.fails_at = ""
    assert len(kept.read()[0]) == 1
    kept.close()
    assert not driver.is_open


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        (None, "nvidia-ml-py is not installed"),
        (MadeUpDriver(fails_at="init"), "no NVIDIA driver answers"),
        (MadeUpDriver(), "the driver knows of no card"),
        (MadeUpDriver(fails_at="count"), "Driver/library version mismatch"),
    ],
)
def test_want_of_a_card_or_driver_is_a_reason_and_never_a_crash(
    monkeypatch: pytest.MonkeyPatch, driver: MadeUpDriver | None, words: str
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    gpus, problem = find_gpus()
    assert gpus == ()
    assert problem is not None
    assert words in problem
    assert driver is None or not driver.is_open
