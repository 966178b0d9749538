"""A storage for results."""

from pathlib import Path

import pytest

from audobon.storage.service import Storage


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "data")
