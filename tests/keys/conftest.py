"""Keyrings, each on a machine of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from keyring_home import Home

from audobon.keys.service import Keys


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A machine that has no keyring yet."""
    return Home(tmp_path)


@pytest.fixture
def keys(home: Home) -> Iterator[Keys]:
    """The keyring of that machine."""
    keys = home.open()
    yield keys
    keys.close()
