"""How old the newest backup and the last drill of each place are, and whether that is too old."""

import msgspec

from audobon.backup.locations import Location
from audobon.backup.memory import Memory
from audobon.backup.repository import Repository

_HOUR_SECONDS = 3600.0
_CLOCK_TOLERANCE_SECONDS = 1.0


class Limits(msgspec.Struct, frozen=True):
    """How old the newest backup, and the last drill that went well, may be."""

    backup_hours: float = 26.0
    drill_hours: float = 26.0


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a place stands; instants are UTC seconds, None: never.

    origin        where the place is named: the settings, or `audobon backup add`
    backup_count  of those that lie there; None when the place could not be looked at
    newest_id     of the newest backup, which was made at backup_at
    alarms        what is late or missing, in words; empty: all is well
    hint          what to do about the first of them; None where it has to be found out
    """

    place: str
    origin: str
    backup_count: int | None
    newest_id: str | None
    backup_at: float | None
    drilled_at: float | None
    verified_at: float | None
    alarms: list[str]
    hint: str | None = None


def standing(
    repository: Repository,
    memory: Memory,
    limits: Limits,
    *,
    origin: str,
    now: float,
    twin: Location | None = None,
) -> Standing:
    """Return how a place stands. raises CorruptBackup, NewerFormat.

    twin  another place that is the same repository
    """
    newest = repository.newest()
    known = memory.of(repository.card.id)
    # Each with what to do about it.
    alarms: list[tuple[str, str]] = []
    if newest is None:
        gone = "all backups that were here are gone" if known.number else "there is no backup yet"
        alarms.append((gone, "audobon backup now"))
    else:
        age = now - newest.manifest.at
        alarms += _late("the newest backup", age, limits.backup_hours, "audobon backup now")
        if age < -_CLOCK_TOLERANCE_SECONDS:
            alarms.append(("the clock is behind the newest backup, so no age is certain", "set the clock"))
        if newest.number < known.number:
            alarms.append(("newer backups that were here are gone", "audobon backup verify"))
        if newest.manifest.lacking:
            alarms.append(("the newest backup lacks packs that could not be read", "audobon storage scrub"))
        if newest.manifest.keystore_fault is not None:
            fault = newest.manifest.keystore_fault
            alarms.append(
                (
                    f"the newest backup has the keys of an earlier export: {fault}",
                    "audobon keys import-recovery",
                )
            )
        # A place that has had no time for a drill yet is not late with it.
        drilled_at = known.drilled_at or repository.card.created_at
        what = "the last drill" if known.drilled_at else "no drill was ever done; the place"
        alarms += _late(what, now - drilled_at, limits.drill_hours, "audobon backup drill")
    if known.complaint is not None:
        alarms.append((known.complaint, "audobon backup verify"))
    if twin is not None:
        alarms.append((f"it is {twin} by another name, so there is one copy less", "audobon backup remove"))
    return Standing(
        place=str(repository.path),
        origin=origin,
        backup_count=len(repository.numbers()),
        newest_id=newest.manifest.id if newest else None,
        backup_at=newest.manifest.at if newest else None,
        drilled_at=known.drilled_at,
        verified_at=known.verified_at,
        alarms=[alarm for alarm, _ in alarms],
        hint=alarms[0][1] if alarms else None,
    )


def _late(what: str, age_seconds: float, most_hours: float, hint: str) -> list[tuple[str, str]]:
    if age_seconds <= most_hours * _HOUR_SECONDS:
        return []
    words = f"{what} is {age_seconds / _HOUR_SECONDS:.0f} hours old, and {most_hours:g} are allowed"
    return [(words, hint)]
