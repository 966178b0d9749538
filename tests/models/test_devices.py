"""Which device a model runs on, what it may take of a card, and why it is the processor after all."""

import ctypes
import sys
from typing import Any

import pytest
from made_up_cards import GIB, MIB, MadeUpMachine, gpu

from audobon.models.card import Card
from audobon.models.cuda import CPU, CUDA, cuda_providers, cuda_uuids
from audobon.models.device_trial import choose_and_try, prove
from audobon.models.devices import PROCESSOR, Choice, Device, Devices, available_providers, predict_vram

LARGE = Device("cuda", 0, "large", 8 * GIB)


def test_without_cuda_in_the_runtime_there_is_the_processor_and_no_driver_is_asked() -> None:
    machine = MadeUpMachine(gpu("large", free_bytes=7 * GIB), has_cuda=False)
    devices = machine.devices()

    assert devices.found() == [PROCESSOR]
    reason = "the ONNX Runtime installed here is the one without CUDA"
    assert devices.choose("auto") == Choice(PROCESSOR, reason, is_fallback=False)
    assert devices.choose("cuda") == Choice(PROCESSOR, reason, is_fallback=True)
    assert set(machine.asked) == {"providers"}


def test_asking_for_the_processor_asks_nothing_and_needs_no_reason() -> None:
    machine = MadeUpMachine(gpu("large", free_bytes=7 * GIB))

    assert machine.devices().choose("cpu") == Choice(PROCESSOR, None)
    assert machine.asked == []


def test_without_a_card_the_driver_says_why() -> None:
    choice = MadeUpMachine().devices().choose("cuda")

    assert choice == Choice(PROCESSOR, "no NVIDIA GPU found: no NVIDIA driver answers", is_fallback=True)


def test_a_card_that_is_hidden_from_cuda_is_not_used() -> None:
    machine = MadeUpMachine(gpu("large", free_bytes=7 * GIB), order=[])

    assert machine.devices().choose("auto").reason == "CUDA sees no card, though the driver knows large"


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_a_card_with_room_is_taken_with_a_limit_of_twice_the_need(wanted: Any) -> None:
    devices = MadeUpMachine(gpu("large", free_bytes=7 * GIB)).devices()

    choice = devices.choose(wanted, need_bytes=500 * MIB)

    assert devices.found() == [PROCESSOR, LARGE]
    assert choice == Choice(LARGE, None, is_fallback=False, limit_bytes=1000 * MIB)
    assert (choice.device.label, PROCESSOR.label) == ("cuda:0", "cpu")


def test_cards_are_numbered_as_cuda_counts_them_and_not_as_the_driver_does() -> None:
    machine = MadeUpMachine(
        gpu("small", free_bytes=GIB), gpu("large", free_bytes=7 * GIB), order=["GPU-large", "GPU-small"]
    )

    assert [(device.name, device.index) for device in machine.devices().found()[1:]] == [
        ("large", 0),
        ("small", 1),
    ]
    assert machine.devices().choose().device == LARGE


def test_the_limit_never_exceeds_the_share_of_what_is_free_at_that_moment() -> None:
    machine = MadeUpMachine(gpu("large", free_bytes=1000 * MIB))
    devices = machine.devices()

    assert devices.choose(need_bytes=500 * MIB).limit_bytes == 800 * MIB


def test_other_programs_count_each_time_anew() -> None:
    machine = MadeUpMachine(gpu("large", free_bytes=7 * GIB))
    devices = machine.devices()
    first = devices.choose(need_bytes=500 * MIB)
    devices.give_back(first)

    machine.gpus[0] = gpu("large", free_bytes=600 * MIB)
    second = devices.choose(need_bytes=500 * MIB)

    assert first.device == LARGE
    assert second == Choice(
        PROCESSOR,
        "large has 480 MB left for models at this moment, and this one is thought to take 500 MB",
        is_fallback=True,
    )


def test_what_was_granted_to_one_session_is_not_granted_again_until_it_is_given_back() -> None:
    devices = MadeUpMachine(gpu("large", free_bytes=1000 * MIB)).devices()
    first = devices.choose(need_bytes=300 * MIB)

    assert first.limit_bytes == 600 * MIB
    assert devices.choose(need_bytes=300 * MIB).device == PROCESSOR
    devices.give_back(first)
    assert devices.choose(need_bytes=300 * MIB) == first


def test_granted_memory_that_is_in_use_by_now_counts_once_where_the_driver_tells() -> None:
    machine = MadeUpMachine(gpu("large", free_bytes=2000 * MIB))
    devices = machine.devices()
    devices.choose(need_bytes=400 * MIB)

    machine.gpus[0] = gpu("large", free_bytes=1200 * MIB, ours_bytes=800 * MIB)

    # 80 % of the 2000 MiB that are not other programs', less the 800 MiB we hold.
    assert devices.choose(need_bytes=800 * MIB).limit_bytes == 800 * MIB


def test_of_several_cards_the_one_with_most_room_is_taken() -> None:
    machine = MadeUpMachine(gpu("full", free_bytes=GIB), gpu("empty", free_bytes=3 * GIB))
    devices = machine.devices()

    first = devices.choose(need_bytes=GIB)
    second = devices.choose(need_bytes=512 * MIB)

    assert (first.device.name, first.device.index) == ("empty", 1)
    assert (second.device.name, second.limit_bytes) == ("full", int(0.8 * GIB))


def test_a_card_that_would_not_start_is_given_up_for_good_with_its_reason() -> None:
    machine = MadeUpMachine(gpu("large", free_bytes=7 * GIB))
    devices = machine.devices()

    fallback = devices.give_up(devices.choose(need_bytes=GIB), "cuDNN is missing")

    assert fallback == Choice(PROCESSOR, "cuDNN is missing", is_fallback=True)
    assert devices.choose("auto", need_bytes=GIB) == fallback
    assert devices.choose("cuda", need_bytes=GIB) == fallback


def test_the_provider_options_hold_the_memory_limit_and_nothing_that_takes_more() -> None:
    options = {
        "device_id": "1",
        "gpu_mem_limit": str(GIB),
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv_use_max_workspace": "1",
        "use_tf32": "0",
        "do_copy_in_default_stream": "1",
    }
    assert cuda_providers(1, limit_bytes=GIB, lean=False) == [(CUDA, options), CPU]
    lean = options | {"cudnn_conv_use_max_workspace": "0"}
    assert cuda_providers(1, limit_bytes=GIB, lean=True) == [(CUDA, lean), CPU]


def test_the_memory_of_a_card_is_foretold_from_weights_and_the_lean_way(default_card: Card) -> None:
    pixels, lean_bytes = max(default_card.memory.lean.peak_bytes_by_pixels.items())

    assert predict_vram(default_card, pixels) == default_card.graph_bytes + lean_bytes


class MadeUpCuda:
    """CUDA's own interface, with two cards."""

    uuids = (bytes(range(16)), bytes(range(16, 32)))

    def __init__(self, *, fails_at: str = "") -> None:
        self._fails_at = fails_at

    def cuInit(self, _flags: int) -> int:
        return int(self._fails_at == "init")

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = len(self.uuids)
        return int(self._fails_at == "count")

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        device._obj.value = ordinal
        return 0

    def cuDeviceGetUuid(self, raw: Any, device: Any) -> int:
        raw.raw = self.uuids[device.value]
        return int(self._fails_at == "uuid")


def test_cuda_tells_its_cards_by_the_names_that_the_driver_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: {"libcuda.so.1": MadeUpCuda()}[name])

    assert cuda_uuids() == [
        "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f",
        "GPU-10111213-1415-1617-1819-1a1b1c1d1e1f",
    ]


@pytest.mark.parametrize("fails_at", ["init", "count", "uuid"])
def test_a_cuda_driver_that_fails_has_no_cards(monkeypatch: pytest.MonkeyPatch, fails_at: str) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: MadeUpCuda(fails_at=fails_at))

    assert cuda_uuids() == []


def test_the_real_probes_always_find_the_processor() -> None:
    assert CPU in available_providers()
    assert Devices().found()[0] == PROCESSOR
    assert Devices().choose("cpu").device == PROCESSOR


def test_what_doctor_asks_is_answered_by_a_process_of_its_own() -> None:
    choice = prove("auto")

    assert choice.device in Devices().found()
    assert choice.reason or choice.device != PROCESSOR


def test_a_card_that_fails_its_trial_is_told_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = MadeUpMachine(gpu("large", free_bytes=7 * GIB)).devices()
    monkeypatch.setattr("audobon.models.sessions.trial", lambda _choice: "cuDNN is missing")

    assert choose_and_try(devices, "auto") == Choice(PROCESSOR, "cuDNN is missing", is_fallback=True)


def test_a_card_that_passes_its_trial_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = MadeUpMachine(gpu("large", free_bytes=7 * GIB)).devices()
    monkeypatch.setattr("audobon.models.sessions.trial", lambda _choice: None)

    assert choose_and_try(devices, "cuda").device == LARGE
