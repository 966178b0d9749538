"""What Google says of a quota that is used up: which one it is, how large, and when to come back."""

import math
from typing import Any

import msgspec


class Quota(msgspec.Struct, frozen=True):
    """A quota that is used up, as far as Google says.

    metric        what is counted: cloudkms.googleapis.com/crypto_requests; empty: not said
    limit         how much of it there is, in Google's words: 60000; empty: not said
    wait_seconds  after which it is worth trying again; None: not said
    """

    metric: str = ""
    limit: str = ""
    wait_seconds: float | None = None

    @property
    def hint(self) -> str:
        """What to do next."""
        when = "later" if self.wait_seconds is None else f"in {math.ceil(self.wait_seconds)} s"
        which = f" of {self.metric}" if self.metric else ""
        size = f"; it is {self.limit} now" if self.limit else ""
        return f"try again {when}, or ask Google for a larger quota{which}{size}"


def quota_of(error: BaseException) -> Quota:
    """Return what one of Google's exceptions says of the quota that it is about."""
    said: Any = getattr(error, "metadata", None) or {}
    return Quota(
        str(said.get("quota_metric", "")),
        str(said.get("quota_limit_value", "")),
        _wait_by_details(error) or _wait_by_header(error),
    )


def _wait_by_details(error: BaseException) -> float | None:
    for detail in getattr(error, "details", None) or ():
        if isinstance(detail, dict):
            # By HTTP: "3.5s".
            text = str(detail.get("retryDelay", "")).removesuffix("s")
            if text.replace(".", "", 1).isdigit():
                return float(text)
        elif (delay := getattr(detail, "retry_delay", None)) is not None:
            return float(delay.seconds + delay.nanos / 1e9)
    return None


def _wait_by_header(error: BaseException) -> float | None:
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    text = str(headers.get("Retry-After", ""))
    # It may be a date instead, which nobody among Google's APIs sends.
    return float(text) if text.isdigit() else None
