"""A desk for each page; the dear part is made once."""

from pathlib import Path

import pytest
from runbook_desk import Desk, keep_aside, make_desk, put_back


@pytest.fixture(scope="session")
def made_desk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return where a desk was made, and where it is kept aside."""
    root = tmp_path_factory.mktemp("runbooks")
    keep_aside(make_desk(root / "desk"), root / "aside")
    return root / "desk", root / "aside"


@pytest.fixture
def desk(made_desk: tuple[Path, Path]) -> Desk:
    root, aside = made_desk
    return put_back(aside, root)
