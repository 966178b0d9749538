"""How long a call to Google Cloud is tried again."""

from typing import Any

CALL_SECONDS = 10.0
"""How long one attempt may take."""

RETRY_SECONDS = 15.0
"""For how long what may pass by itself is tried again; after that its error counts."""

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 4.0


def usual_retry() -> Any:
    """Return what has a Google client try again what may pass by itself.

    That is UNAVAILABLE, INTERNAL, 429 and a broken network. Only for calls that may be done twice, and
    inside `google_errors`.
    """
    from google.api_core.retry import Retry, if_transient_error

    return Retry(
        predicate=if_transient_error,
        initial=_FIRST_PAUSE_SECONDS,
        maximum=_LONGEST_PAUSE_SECONDS,
        timeout=RETRY_SECONDS,
    )
