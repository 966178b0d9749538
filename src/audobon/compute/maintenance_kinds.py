"""The kinds of upkeep a schedule can ask for.

A new kind is a line here, and one in `jobs/maintenance.py`.
"""

MAINTENANCE_KINDS: dict[str, str] = {
    "sweep-blobs": "free the room of finished pages that no job needs any more",
    "run-lifecycle": "move blobs to cheaper places by the rules in force",
    "prune-tasks": "forget tasks without a job that ended more than 30 days ago",
    "prune-database": "remove what the copy of the database keeps no longer",
    "seal-rows": "seal what an earlier Audobon left readable",
    "apply-retention": "remove what is older than its policy allows",
    "finish-erasures": "erase at places that could not be reached before",
    "scrub": "read a part of storage, prove it, and mend what is damaged",
    "backup-now": "make a backup in every place",
    "backup-verify": "read every byte of every backup",
    "backup-drill": "restore from every place for trial, and prove it",
}
"""Each kind, and what it does in words."""

DEFAULT_SCHEDULES: dict[str, str] = {
    "sweep-blobs": "17 3 * * *",
    "prune-tasks": "27 3 * * *",
    "prune-database": "7 4 * * *",
    "apply-retention": "37 3 * * *",
    "run-lifecycle": "57 3 * * *",
    "finish-erasures": "7 */4 * * *",
    "seal-rows": "47 3 * * 0",
    "scrub": "7 4 * * *",
}
"""The kinds that are scheduled when an engine first meets them, each under its own name, and when (UTC)."""
