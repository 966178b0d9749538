"""Terraform against the shim, started once for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from offline import Offline

SAMPLE = Path(__file__).parent / "sample"


@pytest.fixture(scope="session")
def offline() -> Iterator[Offline]:
    """Terraform with a provider that leaves unknown what Google would decide."""
    with Offline() as started:
        yield started


@pytest.fixture(scope="session")
def all_knowing() -> Iterator[Offline]:
    """Terraform with a provider that makes up what Google would decide, while it plans."""
    with Offline(knows_all=True) as started:
        yield started


@pytest.fixture
def sample(offline: Offline) -> Path:
    """Return a copy of a small piece of HCL that is valid."""
    return offline.copy(SAMPLE)


@pytest.fixture(scope="session")
def infra(offline: Offline) -> Path:
    """Return a copy of infra/, for tests that leave it as it is."""
    return offline.copy()
