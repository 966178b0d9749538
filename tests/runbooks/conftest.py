"""A desk for each page; the dear part is made once."""

from pathlib import Path

import pytest
from runbook_desk import Desk, copy_desk, make_desk


@pytest.fixture(scope="session")
def made_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return make_desk(tmp_path_factory.mktemp("runbooks") / "desk")


@pytest.fixture
def desk(made_desk: Desk, tmp_path: Path) -> Desk:
    return copy_desk(made_desk, tmp_path / "desk")
