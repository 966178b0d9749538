"""The command for every journey; the default model is prepared once for all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from audobon_command import Audobon

from audobon.models.card import built_in_card
from audobon.models.preparing import prepare_apart

DEFAULT_MODEL = "waifu2x-upconv7-x2"


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "models"
    prepare_apart(built_in_card(DEFAULT_MODEL), folder)
    return folder


@pytest.fixture
def audobon(tmp_path: Path, models_folder: Path) -> Iterator[Audobon]:
    """The command on an empty desk; no process of it may be left when the test ends."""
    command = Audobon(tmp_path, models_folder)
    try:
        yield command
        command.wait_until_all_ended()
    finally:
        command.kill_all()
