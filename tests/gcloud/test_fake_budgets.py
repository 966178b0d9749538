"""The budgets in effigy do what Google's do, spoken to by Google's own client."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.billing import budgets_v1

from audobon.gcloud.clients import grpc_client
from fakes.cloud import FakeCloud

ACCOUNT = "billingAccounts/012345-6789AB-CDEF01"
TOPIC = "projects/p/topics/budget"
BUDGET: dict[str, Any] = {
    "display_name": "audobon",
    "amount": {"specified_amount": {"currency_code": "EUR", "units": 100}},
    "threshold_rules": [
        {"threshold_percent": 0.5},
        {"threshold_percent": 0.9},
        {"threshold_percent": 0.2, "spend_basis": "FORECASTED_SPEND"},
    ],
    "notifications_rule": {"pubsub_topic": TOPIC, "schema_version": "1.0"},
}
Client = budgets_v1.BudgetServiceClient


@pytest.fixture
def budgets(cloud: FakeCloud) -> Iterator[Client]:
    client = grpc_client(Client, "budgets")
    yield client
    client.transport.close()


def test_spending_publishes_what_google_publishes(cloud: FakeCloud, budgets: Client) -> None:
    made = budgets.create_budget(parent=ACCOUNT, budget=BUDGET)
    for cost in (10.0, 60.0, 95.0):
        cloud.budgets.spend(made.name, cost)
    messages = [json.loads(each.data) for each in cloud.budgets.published]
    assert [message.get("alertThresholdExceeded") for message in messages] == [None, 0.5, 0.9]
    assert messages[2] == {
        "budgetDisplayName": "audobon",
        "alertThresholdExceeded": 0.9,
        "costAmount": 95.0,
        "costIntervalStart": "2027-01-01T00:00:00Z",
        "budgetAmount": 100.0,
        "budgetAmountType": "SPECIFIED_AMOUNT",
        "currencyCode": "EUR",
    }
    assert cloud.budgets.published[0].topic == TOPIC
    assert cloud.budgets.published[0].attributes == {
        "billingAccountId": "012345-6789AB-CDEF01",
        "budgetId": made.name.rpartition("/")[2],
        "schemaVersion": "1.0",
    }


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"display_name": "x" * 61}, "at most 60"),
        ({"amount": {"specified_amount": {"units": 0, "currency_code": "EUR"}}}, "above 0"),
        ({"threshold_rules": [{"threshold_percent": -1}]}, "must not be negative"),
        ({"threshold_rules": [{}]}, "threshold_percent' is required"),
        ({"notifications_rule": {"pubsub_topic": "budget", "schema_version": "1.0"}}, "not a name"),
        ({"notifications_rule": {"pubsub_topic": TOPIC}}, "schema_version"),
        ({"amount": None}, "'budget.amount' is required"),
    ],
)
def test_a_budget_that_google_would_not_make_is_refused(
    budgets: Client, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=words):
        budgets.create_budget(parent=ACCOUNT, budget=BUDGET | fields)
    assert list(budgets.list_budgets(parent=ACCOUNT)) == []


def test_two_who_change_one_budget_do_not_undo_each_other(budgets: Client) -> None:
    made = budgets.create_budget(parent=ACCOUNT, budget=BUDGET)
    change = {"name": made.name, "display_name": "one", "etag": made.etag}
    mask = {"paths": ["display_name"]}
    assert budgets.update_budget({"budget": change | {"amount": made.amount}, "update_mask": mask})
    with pytest.raises(exceptions.Aborted, match="has the etag"):
        budgets.update_budget({"budget": change | {"amount": made.amount}, "update_mask": mask})
    budgets.delete_budget(name=made.name)
    with pytest.raises(exceptions.NotFound):
        budgets.get_budget(name=made.name)
