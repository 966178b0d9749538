"""Billing budgets, and the messages that Google publishes as money is spent.

source  cloud.google.com/billing/docs/reference/budget/rpc
        cloud.google.com/billing/docs/how-to/budgets-programmatic-notifications
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from google.cloud.billing import budgets_v1
from google.protobuf.empty_pb2 import Empty

from fakes.api import FakeApi
from fakes.faults import Faults
from fakes.grpc_server import GrpcServer
from fakes.names import Name
from fakes.refusal import invalid
from fakes.shelf import Shelf

_ACCOUNT = Name("billingAccounts/{account}", r"[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}")
_BUDGET = Name("billingAccounts/{account}/budgets/{budget}")
_TOPIC = Name("projects/{project}/topics/{topic}", r"[a-zA-Z][a-zA-Z0-9._~+%-]{2,254}")
_CHANNEL = Name("projects/{project}/notificationChannels/{channel}")
_LONGEST_NAME = 60
_MOST_CHANNELS = 5


@dataclass(frozen=True)
class Notification:
    """A message that was published to the topic of a budget."""

    topic: str
    attributes: dict[str, str]
    data: bytes


class FakeBudgets(FakeApi):
    """The service BudgetService.

    published  what went to topics so far
    """

    api: ClassVar[str] = "budgets"

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        super().__init__(clock, faults)
        self._budgets: Shelf[budgets_v1.Budget] = Shelf(budgets_v1.Budget, _BUDGET, etag="etag")
        self.published: list[Notification] = []

    def install(self, server: GrpcServer) -> None:
        """Serve it."""
        server.serve("google.cloud.billing.budgets.v1.BudgetService", self)

    def spend(self, name: str, cost: float) -> Notification | None:
        """Tell that so much was spent since the month began; return what is published, if anything is."""
        with self.lock:
            budget = self._budgets.get(name)
            topic = budget.notifications_rule.pubsub_topic
            if not topic:
                return None
            amount = _amount(budget)
            passed = [
                rule.threshold_percent
                for rule in budget.threshold_rules
                if cost >= rule.threshold_percent * amount
                and rule.spend_basis != budgets_v1.ThresholdRule.Basis.FORECASTED_SPEND
            ]
            found = _BUDGET.parse(name)
            month = datetime.fromtimestamp(self.clock(), UTC).replace(day=1, hour=0, minute=0, second=0)
            message: dict[str, Any] = {
                "budgetDisplayName": budget.display_name,
                "costAmount": cost,
                "costIntervalStart": month.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "budgetAmount": amount,
                "budgetAmountType": "SPECIFIED_AMOUNT",
                "currencyCode": budget.amount.specified_amount.currency_code or "USD",
            }
            if passed:
                message["alertThresholdExceeded"] = max(passed)
            attributes = {
                "billingAccountId": found["account"],
                "budgetId": found["budget"],
                "schemaVersion": "1.0",
            }
            published = Notification(topic, attributes, json.dumps(message).encode())
            self.published.append(published)
            return published

    def create_budget(self, request: budgets_v1.CreateBudgetRequest) -> budgets_v1.Budget:
        """Make a budget."""
        _ACCOUNT.parse(request.parent)
        wanted = budgets_v1.Budget(request.budget)
        wanted.name = f"{request.parent}/budgets/{uuid.uuid4()}"
        _check(wanted)
        return self._budgets.add(wanted.name, wanted)

    def get_budget(self, request: budgets_v1.GetBudgetRequest) -> budgets_v1.Budget:
        """Return a budget."""
        return self._budgets.copy(request.name)

    def list_budgets(self, request: budgets_v1.ListBudgetsRequest) -> budgets_v1.ListBudgetsResponse:
        """List the budgets of a billing account."""
        _ACCOUNT.parse(request.parent)
        prefix = f"{request.parent}/budgets/"
        found, token = self._budgets.page(prefix, size=request.page_size, token=request.page_token)
        return budgets_v1.ListBudgetsResponse(budgets=found, next_page_token=token)

    def update_budget(self, request: budgets_v1.UpdateBudgetRequest) -> budgets_v1.Budget:
        """Change a budget."""
        name = request.budget.name
        wanted = self._budgets.changed(name, request.budget, request.update_mask, fixed={"name", "etag"})
        _check(wanted)
        self._budgets.put(name, wanted)
        return self._budgets.copy(name)

    def delete_budget(self, request: budgets_v1.DeleteBudgetRequest) -> Empty:
        """Remove a budget."""
        self._budgets.remove(request.name)
        return Empty()


def _check(budget: budgets_v1.Budget) -> None:
    if len(budget.display_name) > _LONGEST_NAME:
        raise invalid(f"budget.display_name: must be at most {_LONGEST_NAME} characters")
    if budget.amount.specified_amount and _amount(budget) <= 0:
        raise invalid("budget.amount.specified_amount: must be above 0")
    for number, rule in enumerate(budget.threshold_rules):
        if rule.threshold_percent < 0:
            raise invalid(f"budget.threshold_rules[{number}].threshold_percent: must not be negative")
    rule = budget.notifications_rule
    if rule.pubsub_topic:
        _TOPIC.parse(rule.pubsub_topic)
        if rule.schema_version != "1.0":
            raise invalid("budget.notifications_rule.schema_version: must be 1.0 with a topic")
    if len(rule.monitoring_notification_channels) > _MOST_CHANNELS:
        raise invalid("budget.notifications_rule.monitoring_notification_channels: at most 5")
    for channel in rule.monitoring_notification_channels:
        _CHANNEL.parse(channel)


def _amount(budget: budgets_v1.Budget) -> float:
    money = budget.amount.specified_amount
    return float(money.units + money.nanos / 1e9)
