"""Terraform against the shim, and runs of it that are begun before a test asks for what they came to."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from inventory import plan_stage, stages
from offline import Begin, Offline, Plan
from scanner import Scan, scan

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


@pytest.fixture(scope="session")
def begin(offline: Offline, all_knowing: Offline) -> Iterator[Begin]:
    """Begin a run beside others: one of Terraform takes seconds, and there is more than one core."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield pool.submit
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def sample(offline: Offline) -> Path:
    """Return a copy of a small piece of HCL that is valid."""
    return offline.copy(SAMPLE)


@pytest.fixture(scope="session")
def plans_begun(all_knowing: Offline, begin: Begin) -> dict[str, Future[Plan]]:
    """Plan each stage, with all in it made up that Google would decide."""
    infra = all_knowing.copy()
    return {path.name: begin(plan_stage, all_knowing, infra, path.name) for path in reversed(stages())}


@pytest.fixture(scope="session")
def plans(plans_begun: dict[str, Future[Plan]]) -> dict[str, Plan]:
    """Return the plan of each stage, with all in it made up that Google would decide."""
    return {stage: plan.result() for stage, plan in plans_begun.items()}


@pytest.fixture(scope="session")
def production(plans_begun: dict[str, Future[Plan]]) -> Plan:
    """Return the plan of production."""
    return plans_begun["production"].result()


@pytest.fixture(scope="session")
def bootstrap(all_knowing: Offline) -> Plan:
    """Return the plan of what has to be there before a stage."""
    folder = all_knowing.copy() / "bootstrap"
    assert all_knowing.prepare(folder).status == 0
    return all_knowing.plan(folder, "-var=project=audobon-production", "-var=stage=production")


@pytest.fixture(scope="session")
def scans(
    offline: Offline,
    begin: Begin,
    plans_begun: dict[str, Future[Plan]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Future[Scan]]:
    """Have checkov look at the HCL and at the plan of production."""

    def scan_plan() -> Scan:
        file = tmp_path_factory.mktemp("plan") / "production.json"
        file.write_text(json.dumps(plans_begun["production"].result()), encoding="utf-8")
        return scan("--file", str(file), "--framework", "terraform_plan")

    # The plan was begun before, so whoever waits for it here does not wait for ever.
    return {
        "hcl": begin(scan, "--directory", str(offline.copy()), "--framework", "terraform"),
        "production": begin(scan_plan),
    }


@pytest.fixture(scope="session", autouse=True)
def _begin_the_longest_first(request: pytest.FixtureRequest) -> None:
    if any("scans" in item.fixturenames for item in request.session.items):
        request.getfixturevalue("scans")
