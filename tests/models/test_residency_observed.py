"""Predictions are corrected by what was seen, upwards at once and downwards with care."""

from pathlib import Path

import msgspec
import pytest

from audobon.models.card import Card, Footprint, Memory
from audobon.models.observed import FILE, PeakMemory

# The card says 100 bytes at 10 pixels and 200 at 20, a line between and beyond.
CLAIMED = Footprint(peak_bytes_by_pixels={10: 100, 20: 200}, seconds_per_megapixel=1)


@pytest.fixture
def card(default_card: Card) -> Card:
    return msgspec.structs.replace(default_card, memory=Memory(fast=CLAIMED, lean=CLAIMED))


def observed(folder: Path, card: Card, *seen: tuple[int, int]) -> PeakMemory:
    peaks = PeakMemory(folder, threads=2)
    for pixels, peak_bytes in seen:
        peaks.observe(card, pixels, peak_bytes, lean=True)
    return peaks


def predictions(peaks: PeakMemory, card: Card, *sizes: int) -> list[int]:
    return [peaks.predict(card, pixels, lean=True) for pixels in sizes]


def test_without_observations_the_card_holds(tmp_path: Path, card: Card) -> None:
    peaks = observed(tmp_path, card)
    assert predictions(peaks, card, 5, 10, 15, 20, 40) == [100, 100, 150, 200, 400]
    assert peaks.largest(card, lean=True) == 200


def test_what_exceeds_the_card_counts_at_once_and_around(tmp_path: Path, card: Card) -> None:
    peaks = observed(tmp_path, card, (20, 260))
    # below: in proportion; above: as much more
    assert predictions(peaks, card, 10, 20, 40) == [130, 260, 460]
    assert peaks.largest(card, lean=True) == 260


def test_less_than_the_card_counts_only_when_three_runs_agree_and_with_a_margin(
    tmp_path: Path, card: Card
) -> None:
    large = Footprint(peak_bytes_by_pixels={10: 100 << 20, 20: 200 << 20}, seconds_per_megapixel=1)
    card = msgspec.structs.replace(card, memory=Memory(fast=large, lean=large))

    def predicted(folder: str, *megabytes: int) -> list[float]:
        peaks = observed(tmp_path / folder, card, *((20, megabyte << 20) for megabyte in megabytes))
        return [peak / (1 << 20) for peak in predictions(peaks, card, 10, 20, 40)]

    assert predicted("a", 100, 101) == [100, 200, 400]
    assert predicted("b", 100, 150, 101) == [100, 200, 400]
    # A twentieth more than was seen, and what the process may have used again of earlier sessions.
    assert predicted("c", 158, 160, 159) == [100, 178, 400]
    assert predicted("d", 98, 100, 99) == [100, 150, 400]
    assert predicted("e", 188, 190, 189) == [100, 200, 400]


def test_a_first_run_raises_a_prediction_and_never_lowers_it(tmp_path: Path, card: Card) -> None:
    peaks = observed(tmp_path, card)
    for _ in range(3):
        peaks.observe(card, 20, 190, lean=True, is_settled=False)
    assert predictions(peaks, card, 20) == [200]

    peaks.observe(card, 20, 210, lean=True, is_settled=False)

    assert predictions(peaks, card, 20) == [210]


def test_between_two_sizes_that_were_seen_the_correction_is_drawn_as_a_line(
    tmp_path: Path, card: Card
) -> None:
    peaks = observed(tmp_path, card, (10, 120), (20, 260))
    assert predictions(peaks, card, 15) == [190]


def test_the_two_ways_and_other_threads_are_kept_apart(tmp_path: Path, card: Card) -> None:
    peaks = observed(tmp_path, card, (20, 260))
    assert peaks.predict(card, 20, lean=False) == 200
    assert PeakMemory(tmp_path, threads=1).predict(card, 20, lean=True) == 200
    assert PeakMemory(tmp_path, threads=2).predict(card, 20, lean=True) == 260


def test_an_outlier_is_forgotten_after_eight_runs(tmp_path: Path, card: Card) -> None:
    peaks = observed(tmp_path, card, (20, 900), *[(20, 190)] * 7)
    assert predictions(peaks, card, 20) == [900]
    peaks.observe(card, 20, 190, lean=True)
    assert predictions(peaks, card, 20) == [200]


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b'{"x": {"y": [1]}}', b"\xff" * 40, b" " * (5 << 20)],
    ids=["empty", "cut", "another kind", "no number", "no text", "huge"],
)
def test_a_damaged_file_counts_as_empty_and_is_replaced(tmp_path: Path, card: Card, damage: bytes) -> None:
    (tmp_path / FILE).write_bytes(damage)
    peaks = observed(tmp_path, card)
    assert predictions(peaks, card, 20) == [200]

    peaks.observe(card, 20, 260, lean=True)

    assert predictions(PeakMemory(tmp_path, threads=2), card, 20) == [260]


def test_senseless_figures_are_ignored_wherever_they_come_from(tmp_path: Path, card: Card) -> None:
    way = f"{card.graph_sha256}/lean/2"
    (tmp_path / FILE).write_bytes(msgspec.json.encode({way: {20: [-5], -3: [900], 30: []}}))
    peaks = observed(tmp_path, card, (20, 0), (20, -1), (20, 1 << 60), (0, 500))
    assert predictions(peaks, card, 10, 20) == [100, 200]


def test_two_processes_keep_what_the_other_saw_of_other_models(tmp_path: Path, card: Card) -> None:
    other = msgspec.structs.replace(card, graph_sha256="f" * 64)
    first, second = PeakMemory(tmp_path, threads=2), PeakMemory(tmp_path, threads=2)

    first.observe(card, 20, 260, lean=True)
    second.observe(other, 20, 270, lean=True)

    third = PeakMemory(tmp_path, threads=2)
    assert (third.predict(card, 20, lean=True), third.predict(other, 20, lean=True)) == (260, 270)


def test_a_folder_that_cannot_be_written_costs_the_next_process_the_figures_alone(
    tmp_path: Path, card: Card
) -> None:
    (tmp_path / "file").write_bytes(b"")
    peaks = observed(tmp_path / "file", card, (20, 260))
    assert predictions(peaks, card, 20) == [260]


def test_the_file_stays_small(tmp_path: Path, card: Card) -> None:
    peaks = PeakMemory(tmp_path, threads=2)
    for index in range(100):
        peaks.observe(card, 1000 + index, (1 << 40) + index, lean=True)
    way = f"{card.graph_sha256}/lean/2"
    kept = msgspec.json.decode((tmp_path / FILE).read_bytes(), type=dict[str, dict[int, list[int]]])
    assert sorted(kept[way]) == list(range(1036, 1100))
