"""Which backups are kept: the newest, and one for each of so many days, weeks and months."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from audobon.backup.repository import Stored
from audobon.errors import InvalidInput

_DAY_SECONDS = 86_400.0


class KeepRules(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept; a backup that any rule names stays.

    last     of the newest, so many
    daily    of the last so many days with backups (UTC), the newest of each; so for weeks and months
    days     everything younger than this
    """

    last: int = 3
    daily: int = 7
    weekly: int = 5
    monthly: int = 12
    days: float = 2.0


def kept(
    backups: Sequence[Stored], rules: KeepRules, *, now: float, is_whole: Callable[[Stored], bool]
) -> dict[int, list[str]]:
    """Return the numbers of the backups that stay, each with the rules that say so.

    is_whole  whether all that a backup needs is there; the newest such one stays whatever the rules say
    raises  InvalidInput when the rules would keep nothing for sure
    """
    counts = (rules.last, rules.daily, rules.weekly, rules.monthly)
    if min(*counts, rules.days) < 0:
        raise InvalidInput("what is kept cannot be less than nothing")
    if not any(counts):
        raise InvalidInput("these rules keep no backup at all", hint="say at least --keep-last 1")
    newest_first = sorted(backups, key=lambda each: each.number, reverse=True)
    reasons: dict[int, list[str]] = {}

    def keep(stored: Stored, why: str) -> None:
        reasons.setdefault(stored.number, []).append(why)

    for stored in newest_first[: rules.last]:
        keep(stored, "last")
    for count, name, period in (
        (rules.daily, "daily", _day),
        (rules.weekly, "weekly", _week),
        (rules.monthly, "monthly", _month),
    ):
        for stored in _newest_of_each(newest_first, period)[:count]:
            keep(stored, name)
    for stored in newest_first:
        if now - stored.manifest.at < rules.days * _DAY_SECONDS:
            keep(stored, "young")
    for stored in newest_first:
        if is_whole(stored):
            keep(stored, "last whole one")
            break
    return reasons


def _newest_of_each(newest_first: Sequence[Stored], period: Callable[[float], str]) -> list[Stored]:
    found: dict[str, Stored] = {}
    for stored in newest_first:
        found.setdefault(period(stored.manifest.at), stored)
    return list(found.values())


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _week(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%G-%V}"


def _month(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m}"
