"""What counts as better than chance, what is kept of it, when it is left out, and that it is used."""

from pathlib import Path

import msgspec
import pytest

from audobon.compute import tuning as room
from audobon.compute.placement import PageLoad, Placement, device_notes, told_device
from audobon.compute.tuning import (
    FILE,
    Decision,
    Tuning,
    decide,
    find_tuning,
    forget_tuning,
    load_tuning,
    machine_digest,
    save_tuning,
    threads_to_use,
    tuned_card,
)
from audobon.compute.work import place
from audobon.models.card import built_in_card
from audobon.models.devices import PROCESSOR, Choice, Device
from audobon.models.running import Running
from audobon.models.store import runtime_version
from audobon.models.tuning_runs import Timing
from audobon.pages.operations import UpscaleSettings
from audobon.pages.picture_info import PictureInfo

DEFAULT = built_in_card("waifu2x-upconv7-x2")


def timing(name: str, *seconds: float, burnt: float = 1.0) -> Timing:
    return Timing(name, seconds, tuple(burnt for _ in seconds))


def decided(*timings: Timing, is_burning_allowed: bool = True) -> tuple[str, str]:
    decision = decide("it", timings, unit="a page", is_burning_allowed=is_burning_allowed)
    return decision.chosen, decision.reason


@pytest.mark.parametrize(
    ("timings", "chosen", "reason"),
    [
        (
            [timing("old", 1.0, 1.0, 1.02), timing("new", 0.8, 0.8, 0.8)],
            "new",
            "changed: new is 20% faster; rounds differ by 2%",
        ),
        (
            [timing("old", 1.0, 1.0, 1.0), timing("new", 0.96, 0.96, 0.96)],
            "old",
            "kept: new is 4% faster, which is too little to matter",
        ),
        (
            [timing("old", 1.0, 1.0, 1.3), timing("new", 0.8, 0.8, 0.8)],
            "old",
            "kept: new is 20% faster, but rounds differ by 30%",
        ),
        (
            [timing("old", 1.0, 1.0, 1.0), timing("new", 0.6, 0.8, 0.9)],
            "old",
            "kept: new is 20% faster, but rounds differ by 38%",
        ),
        (
            [timing("old", 1.0, 1.0, 1.0), timing("new", 2.0, 2.0, 2.0)],
            "old",
            "kept: nothing else is faster",
        ),
        (
            [timing("old", 1.0, 1.0), timing("new", 0.5, 0.5)],
            "old",
            "kept: there was no time for 3 rounds",
        ),
        ([timing("old"), timing("new")], "old", "kept: there was no time for 3 rounds"),
        # Of several better ways the best is taken.
        (
            [timing("old", 1.0, 1.0, 1.0), timing("worse", 0.9, 0.9, 0.9), timing("new", 0.7, 0.7, 0.7)],
            "new",
            "changed: new is 30% faster; rounds differ by 0%",
        ),
    ],
)
def test_only_a_gain_that_matters_and_exceeds_chance_changes_anything(
    timings: list[Timing], chosen: str, reason: str
) -> None:
    assert decided(*timings) == (chosen, reason)


def test_time_that_is_won_by_burning_the_processor_is_not_taken() -> None:
    old, new = timing("old", 1.0, 1.0, 1.0), timing("new", 0.7, 0.7, 0.7, burnt=1.2)
    assert decided(old, new)[0] == "new"
    assert decided(old, new, is_burning_allowed=False) == (
        "old",
        "kept: new is 30% faster, but takes more processor time",
    )


def test_a_decision_holds_all_it_was_made_by() -> None:
    decision = decide("it", [timing("old", 1, 1, 2), timing("new", 4, 4, 4)], unit="a page")
    assert decision == Decision(
        subject="it",
        default="old",
        chosen="old",
        seconds={"old": 1, "new": 4},
        unit="a page",
        gain=-3.0,
        spread=1.0,
        rounds=3,
        reason="kept: nothing else is faster",
    )
    assert decision.is_default


def made() -> Tuning:
    return Tuning(
        machine=machine_digest(),
        runtime=runtime_version(),
        measured_at=1_800_000_000.0,
        threads=3,
        running=Running(spinning=True, cores=(0, 1), read_ahead=True),
        tiles_px={DEFAULT.name: 96},
        decisions=(Decision(subject="threads", default="4 threads", chosen="3 threads", reason="changed"),),
    )


def test_what_was_kept_is_in_force_until_it_is_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert load_tuning(folder) == Tuning()

    save_tuning(folder, made())
    assert find_tuning(folder) == (made(), None)
    assert load_tuning(folder) == made()

    assert forget_tuning(folder)
    assert not forget_tuning(folder)
    assert find_tuning(folder) == (
        Tuning(),
        "none; `audobon doctor --tune` measures what this machine does best",
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"runtime": "1.0.0"}, "left out: made with ONNX Runtime 1.0.0, and "),
        ({"machine": "other"}, "left out: made on another machine, or with other processors to use"),
    ],
)
def test_a_stale_tuning_is_left_out_with_the_reason(
    tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    save_tuning(tmp_path, msgspec.structs.replace(made(), **changes))
    tuning, problem = find_tuning(tmp_path)
    assert tuning == Tuning()
    assert problem is not None
    assert problem.startswith(words)
    assert problem.endswith("; `audobon doctor --tune` measures anew")


@pytest.mark.parametrize("content", [b"", b"{", b'{"threads": "many"}', b"[]", b" " * (2 << 20)])
def test_a_damaged_file_changes_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    tuning, problem = find_tuning(tmp_path)
    assert tuning == Tuning()
    assert problem == f"left out: {tmp_path / FILE} is damaged; `audobon doctor --tune` makes it anew"


def test_other_processors_to_use_are_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine_digest()
    monkeypatch.setattr(room, "usable_threads", lambda: 99)
    assert machine_digest() != before


def test_what_was_set_wins_over_what_was_tuned() -> None:
    assert threads_to_use(5, made()) == 5
    assert threads_to_use(0, made()) == 3
    assert threads_to_use(0, Tuning()) == 0


def test_pages_are_placed_with_the_tuned_tiles_where_memory_allows() -> None:
    load = PageLoad(PictureInfo(width=1000, height=1400, mode="RGB", format="PNG"), 10_000, "PNG")
    assert place(load, UpscaleSettings(), 64 << 30).tile_px == 192
    assert place(load, UpscaleSettings(), 64 << 30, tuning=made()).tile_px == 96
    larger = msgspec.structs.replace(made(), tiles_px={DEFAULT.name: 256})
    assert place(load, UpscaleSettings(), 64 << 30, tuning=larger).tile_px == 256


def test_tiles_that_a_model_does_not_have_are_left_alone() -> None:
    odd = msgspec.structs.replace(made(), tiles_px={DEFAULT.name: 97, "ppocr-v6-detector": 64})
    assert tuned_card(DEFAULT, odd) is DEFAULT
    letters = built_in_card("ppocr-v6-detector")
    assert tuned_card(letters, odd) is letters
    pinned = built_in_card("waifu2x-cunet-x2")
    assert pinned.picture is not None
    assert not pinned.picture.tile_exact
    assert tuned_card(pinned, msgspec.structs.replace(made(), tiles_px={pinned.name: 64})) is pinned


def test_a_report_names_the_card_or_why_it_was_the_processor() -> None:
    placement = Placement("here", 192, False, 1, "here: it fits")
    assert told_device(placement, Choice(PROCESSOR, "no CUDA here")) is placement
    card = told_device(placement, Choice(Device("cuda", 0, "NVIDIA Example")))
    assert card.reason == "here: it fits; on NVIDIA Example"
    fallback = told_device(placement, Choice(PROCESSOR, "cuDNN is missing", is_fallback=True))
    assert fallback.reason == "here: it fits; on the processor, because cuDNN is missing"
    assert device_notes(Choice(PROCESSOR, "cuDNN is missing", is_fallback=True)) == (
        "worked on by the processor, because cuDNN is missing",
    )
    assert device_notes(Choice(PROCESSOR, "no CUDA here")) == ()
