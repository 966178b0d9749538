"""A folder of prepared models for all tests of this room."""

from pathlib import Path

import pytest

from audobon.models.card import Card, built_in_card, built_in_cards
from audobon.models.sources import package_folder


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def default_card() -> Card:
    return built_in_card("waifu2x-upconv7-x2")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `known_card` every card, `installed_card` those whose weights are here."""
    cards = built_in_cards()
    here = [name for name, card in cards.items() if package_folder(card) is not None]
    for argument, names in (("known_card", list(cards)), ("installed_card", here)):
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, [cards[name] for name in names], ids=names)
