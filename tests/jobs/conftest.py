"""A storage for results."""

from pathlib import Path

import pytest

from audobon.config import keyrings_folder
from audobon.keys.unlocking import open_keys
from audobon.storage.service import Storage


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "data", open_keys(tmp_path / "data", unlock_folder=keyrings_folder()))
