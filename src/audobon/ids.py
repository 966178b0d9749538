"""Names for new things: short, unguessable, sorted by time of birth."""

import secrets
from datetime import UTC, datetime


def new_id() -> str:
    """Return a fresh id such as 20260102-150405-3f9a1c."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
