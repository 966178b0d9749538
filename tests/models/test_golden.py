"""The golden test accepts the admitted model alone."""

from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest

from audobon.errors import CorruptModel, UnsafeModel
from audobon.models.card import Card
from audobon.models.golden import check, pattern, record
from audobon.models.proving import prove
from audobon.models.runtime import LoadedModel, Tensor
from audobon.models.service import Models


def test_every_installed_model_is_what_its_card_says(installed_card: Card, models_folder: Path) -> None:
    proof = Models(models_folder, threads=2).verify(installed_card.name)

    assert proof.name == installed_card.name
    assert 0 <= proof.difference <= proof.tolerance


def test_the_pattern_is_the_same_on_every_machine_and_fills_the_range() -> None:
    first, second = pattern((2, 3, 20, 30)), pattern((2, 3, 20, 30))

    assert first.dtype == np.float32
    assert np.array_equal(first, second)
    assert 0 <= first.min() < 0.01
    assert 0.9 < first.max() <= 1
    assert not np.array_equal(first[0], first[1])


def honest(tensor: Tensor) -> Tensor:
    return tensor * np.float32(0.5)


@pytest.fixture
def card(default_card: Card) -> Card:
    """The default card, with the golden result of `honest`."""
    shape = (1, 3, 20, 30)
    golden = record(honest(pattern(shape)), shape, tolerance=0.001)
    return msgspec.structs.replace(default_card, golden=golden)


def test_a_recorded_answer_is_accepted_again(card: Card) -> None:
    assert check(card, honest) < 1e-6
    assert len(card.golden.positions) == len(set(card.golden.positions)) >= 16


@pytest.mark.parametrize(
    "wrong",
    [
        lambda tensor: honest(tensor) + np.float32(0.002),
        lambda tensor: honest(tensor) * np.float32("nan"),
        lambda tensor: honest(tensor)[:, ::-1].copy(),
        lambda tensor: np.zeros_like(tensor),
    ],
    ids=["a little off", "no number", "colours swapped", "black"],
)
def test_a_wrong_answer_is_refused(card: Card, wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(CorruptModel, match="away from its golden result"):
        check(card, wrong)


def test_an_answer_of_another_shape_is_refused(card: Card) -> None:
    with pytest.raises(CorruptModel) as caught:
        check(card, lambda tensor: honest(tensor)[:, :, 1:])
    assert caught.value.message == (
        "waifu2x-upconv7-x2 answered with shape (1, 3, 19, 30), its card says (1, 3, 20, 30)"
    )


def test_a_model_is_not_admitted_when_it_answers_the_same_picture_in_two_ways(default_card: Card) -> None:
    shape = default_card.picture
    assert shape is not None
    card = msgspec.structs.replace(
        default_card, picture=msgspec.structs.replace(shape, scale=1, edges="own", padding_px=0)
    )
    runs = []

    def moody(tensor: Tensor) -> Tensor:
        runs.append(tensor.shape)
        return tensor if len(runs) % 2 else tensor * np.float32(0.9)

    with pytest.raises(UnsafeModel, match="it answers the same picture differently each time"):
        prove(card, cast(LoadedModel, moody))
