"""A home with two jobs."""

from pathlib import Path

import pytest
from mended_home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.add_job("first")
    home.add_job("second")
    return home
