"""Each stage as a whole: it can be planned, keeps our rules, and is made of what its inventory says.

This proves the shape and the rules. What Google does with it, it does not prove.
"""

from pathlib import Path
from typing import Any

import embedded
import pytest
from inventory import INVENTORIES, inventory, plan_stage, stages, text_of
from offline import Offline
from policy import faults

NAMES = [path.name for path in stages()]


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_can_be_planned_before_google_has_decided_anything(
    offline: Offline, infra: Path, stage: str
) -> None:
    plan = plan_stage(offline, infra, stage)

    assert {tuple(each["change"]["actions"]) for each in plan["resource_changes"]} <= {("create",), ("read",)}


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_keeps_our_rules(plans: dict[str, dict[str, Any]], stage: str) -> None:
    assert [str(fault) for fault in faults(plans[stage], stage=stage)] == []


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_is_made_of_what_its_inventory_says(plans: dict[str, dict[str, Any]], stage: str) -> None:
    assert text_of(inventory(plans[stage])) == (INVENTORIES / f"{stage}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("stage", NAMES)
def test_documents_in_a_stage_are_such_as_google_reads(plans: dict[str, dict[str, Any]], stage: str) -> None:
    read = embedded.read_all(plans[stage])

    assert set(read) == {"google_monitoring_dashboard", *embedded.RESOURCES}


@pytest.mark.parametrize("stage", NAMES)
def test_alerts_and_charts_ask_for_metrics_that_are_there(
    plans: dict[str, dict[str, Any]], stage: str
) -> None:
    made, asked = embedded.metrics(plans[stage])

    assert asked
    assert asked - made == set()


def test_what_has_to_be_there_before_a_stage_keeps_our_rules(bootstrap: dict[str, Any]) -> None:
    assert [str(fault) for fault in faults(bootstrap, stage="production", is_whole=False)] == []


def test_stages_are_apart(plans: dict[str, dict[str, Any]]) -> None:
    """No bucket, account or project of one stage is named in another."""
    projects = {
        stage: {each["change"]["after"].get("project") for each in plan["resource_changes"]} - {None}
        for stage, plan in plans.items()
    }

    assert projects == {stage: {f"audobon-{stage}"} for stage in NAMES}
