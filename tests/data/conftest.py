"""A data folder with persons, their jobs, blobs, log lines and places."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from data_desk import DataDesk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[DataDesk]:
    desk = DataDesk(tmp_path)
    yield desk
    desk.close()
