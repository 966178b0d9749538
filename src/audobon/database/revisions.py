"""Which code may work with which schema: the rule for readers older than what they meet.

Revisions are numbers of four digits, one after the other. Each says what the oldest code is that may go on
with the schema it makes (`oldest_code`); the database holds it in `schema_floor`.
"""

from audobon.errors import NewerFormat

SCHEMA_REVISION = "0006"
"""The revision this version works with; a test keeps it equal to the newest migration."""


def must_migrate(revision: str | None, floor: str | None, *, place: object) -> bool:
    """Tell whether a schema must be brought up to date before this version may work with it.

    revision  of the schema; None when there is none yet
    floor     the oldest revision whose code may work with it; None when it says nothing
    raises    NewerFormat when a newer version wrote it that this one cannot go on with
    """
    if revision is None or revision < SCHEMA_REVISION:
        return True
    if revision > SCHEMA_REVISION and (floor is None or floor > SCHEMA_REVISION):
        raise NewerFormat(
            f"{place} was written by a newer Audobon (schema {revision})", hint="upgrade Audobon"
        )
    return False
