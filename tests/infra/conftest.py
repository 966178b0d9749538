"""Terraform against the shim, started once for all tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inventory import plan_stage, stages
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


@pytest.fixture(scope="session")
def plans(all_knowing: Offline) -> dict[str, dict[str, Any]]:
    """Return the plan of each stage, with all in it made up that Google would decide."""
    infra = all_knowing.copy()
    return {path.name: plan_stage(all_knowing, infra, path.name) for path in stages()}


@pytest.fixture(scope="session")
def production(plans: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the plan of production."""
    return plans["production"]


@pytest.fixture(scope="session")
def bootstrap(all_knowing: Offline) -> dict[str, Any]:
    """Return the plan of what has to be there before a stage."""
    folder = all_knowing.copy() / "bootstrap"
    assert all_knowing.prepare(folder).status == 0
    return all_knowing.plan(folder, "-var=project=audobon-production", "-var=stage=production")
