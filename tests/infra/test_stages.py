"""Each stage as a whole: it can be planned, keeps our rules, and is made of what its inventory says.

This proves the shape and the rules. What Google does with it, it does not prove.
"""

from concurrent.futures import Future

import embedded
import pytest
from inventory import INVENTORIES, inventory, plan_stage, stages, text_of
from offline import Begin, Offline, Plan
from policy import faults

pytestmark = pytest.mark.infra

NAMES = [path.name for path in stages()]


@pytest.fixture(scope="module")
def first_plans(offline: Offline, begin: Begin) -> dict[str, "Future[Plan]"]:
    """Plan each stage as it is at first, with what Google decides unknown."""
    infra = offline.copy()
    return {stage: begin(plan_stage, offline, infra, stage) for stage in NAMES}


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_can_be_planned_before_google_has_decided_anything(
    first_plans: dict[str, "Future[Plan]"], stage: str
) -> None:
    plan = first_plans[stage].result()

    assert {tuple(each["change"]["actions"]) for each in plan["resource_changes"]} <= {("create",), ("read",)}


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_keeps_our_rules(plans: dict[str, Plan], stage: str) -> None:
    assert [str(fault) for fault in faults(plans[stage], stage=stage)] == []


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_is_made_of_what_its_inventory_says(plans: dict[str, Plan], stage: str) -> None:
    assert text_of(inventory(plans[stage])) == (INVENTORIES / f"{stage}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("stage", NAMES)
def test_documents_in_a_stage_are_such_as_google_reads(plans: dict[str, Plan], stage: str) -> None:
    read = embedded.read_all(plans[stage])

    assert set(read) == {"google_monitoring_dashboard", *embedded.RESOURCES}


@pytest.mark.parametrize("stage", NAMES)
def test_alerts_and_charts_ask_for_metrics_that_are_there(plans: dict[str, Plan], stage: str) -> None:
    made, asked = embedded.metrics(plans[stage])

    assert asked
    assert asked - made == set()


def test_what_has_to_be_there_before_a_stage_keeps_our_rules(bootstrap: Plan) -> None:
    assert [str(fault) for fault in faults(bootstrap, stage="production", is_whole=False)] == []


def test_stages_are_apart(plans: dict[str, Plan]) -> None:
    """No bucket, account or project of one stage is named in another."""
    projects = {
        stage: {each["change"]["after"].get("project") for each in plan["resource_changes"]} - {None}
        for stage, plan in plans.items()
    }

    assert projects == {stage: {f"audobon-{stage}"} for stage in NAMES}
