"""What Cloud Tasks refuses: names, limits and contradictions in a request."""

import re
from typing import Any

from fakes.refusal import Refused, invalid
from fakes.tasks_arithmetic import burst_of, duration_seconds, set_seconds

MOST_PER_SECOND = 500.0
MOST_CONCURRENT = 5000
MOST_TASK_BYTES = 1 << 20
MOST_HEADER_BYTES = 80_000
LONGEST_URL = 2083
LONGEST_SCHEDULE_SECONDS = 30 * 86400.0
DEADLINE_SECONDS = (15.0, 1800.0)
DEFAULT_DEADLINE_SECONDS = 600.0

_PROJECT = r"projects/[A-Za-z0-9.:\-]+"
_LOCATION = _PROJECT + r"/locations/[A-Za-z0-9\-]+"
_QUEUE = _LOCATION + r"/queues/[A-Za-z0-9\-]{1,100}"
_PATTERNS = {
    "location": re.compile(_LOCATION),
    "queue": re.compile(_QUEUE),
    "task": re.compile(_QUEUE + r"/tasks/[A-Za-z0-9_\-]{1,500}"),
}
_WITH_BODY = (0, 1, 4, 6)  # unspecified (POST), POST, PUT, PATCH
# As gcloud shows them for a queue that was made without any.
_DEFAULT_RATE, _DEFAULT_CONCURRENT = 500.0, 1000
_DEFAULT_ATTEMPTS, _DEFAULT_DOUBLINGS = 100, 16
_DEFAULT_BACKOFF_SECONDS = (0.1, 3600.0)


def check_name(kind: str, name: str) -> None:
    """Refuse a name that is no location, queue or task."""
    if not _PATTERNS[kind].fullmatch(name):
        raise invalid(f"Resource name {name!r} is not the name of a {kind}.")


def check_queue(queue: Any) -> None:
    """Refuse limits that no queue may have, and put defaults in the place of what was not said."""
    rates, retry = queue.rate_limits, queue.retry_config
    if not 0 <= rates.max_dispatches_per_second <= MOST_PER_SECOND:
        raise invalid("Queue.rate_limits.max_dispatches_per_second must be between 0 and 500.")
    if not 0 <= rates.max_concurrent_dispatches <= MOST_CONCURRENT:
        raise invalid("Queue.rate_limits.max_concurrent_dispatches must be between 0 and 5000.")
    if retry.max_attempts < -1:
        raise invalid("Queue.retry_config.max_attempts must be at least -1.")
    if retry.max_doublings < 0:
        raise invalid("Queue.retry_config.max_doublings must not be negative.")
    _fill(queue)
    if duration_seconds(retry.min_backoff) > duration_seconds(retry.max_backoff):
        raise invalid("Queue.retry_config.min_backoff must not be greater than max_backoff.")


def _fill(queue: Any) -> None:
    rates, retry = queue.rate_limits, queue.retry_config
    rates.max_dispatches_per_second = rates.max_dispatches_per_second or _DEFAULT_RATE
    rates.max_concurrent_dispatches = rates.max_concurrent_dispatches or _DEFAULT_CONCURRENT
    rates.max_burst_size = burst_of(rates.max_dispatches_per_second)
    retry.max_attempts = retry.max_attempts or _DEFAULT_ATTEMPTS
    if not retry.HasField("min_backoff") and not retry.HasField("max_backoff"):
        # Of a queue that says nothing at all; a queue may also say that nothing is doubled.
        retry.max_doublings = retry.max_doublings or _DEFAULT_DOUBLINGS
    for name, seconds in zip(("min_backoff", "max_backoff"), _DEFAULT_BACKOFF_SECONDS, strict=True):
        if not retry.HasField(name):
            set_seconds(getattr(retry, name), seconds)
        elif duration_seconds(getattr(retry, name)) != seconds:
            # "truncated to the nearest second"
            getattr(retry, name).nanos = 0
    retry.max_retry_duration.nanos = 0


def check_task(task: Any, *, parent: str, now: float) -> None:
    """Refuse a task that could not be delivered as it is."""
    if task.name:
        check_name("task", task.name)
        if not task.name.startswith(parent + "/tasks/"):
            raise invalid(f"Task.name {task.name!r} does not lie in the queue {parent!r}.")
    if task.WhichOneof("message_type") != "http_request":
        raise Refused("UNIMPLEMENTED", "This fake delivers HTTP tasks alone.")
    if task.ByteSize() > MOST_TASK_BYTES:
        raise invalid("Task size too large.")
    if duration_seconds(task.schedule_time) > now + LONGEST_SCHEDULE_SECONDS:
        raise invalid("Task.schedule_time is more than 30 days in the future.")
    if task.HasField("dispatch_deadline"):
        least, most = DEADLINE_SECONDS
        if not least <= duration_seconds(task.dispatch_deadline) <= most:
            raise invalid("Task.dispatch_deadline must be between 15s and 30m.")
    _check_request(task.http_request)


def _check_request(request: Any) -> None:
    if not request.url.startswith(("http://", "https://")):
        raise invalid("HttpRequest.url must start with 'http://' or 'https://'.")
    if len(request.url) > LONGEST_URL:
        raise invalid("HttpRequest.url is longer than 2083 characters.")
    if sum(len(name) + len(value) for name, value in request.headers.items()) >= MOST_HEADER_BYTES:
        raise invalid("HttpRequest.headers must be smaller than 80KB.")
    if request.body and request.http_method not in _WITH_BODY:
        raise invalid("HttpRequest.body is allowed only for POST, PUT and PATCH.")
    token = request.WhichOneof("authorization_header")
    if token == "oauth_token":
        raise Refused("UNIMPLEMENTED", "This fake mints OIDC tokens alone.")
    if token == "oidc_token" and "@" not in request.oidc_token.service_account_email:
        raise invalid("OidcToken.service_account_email must be the address of a service account.")
