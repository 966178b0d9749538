"""The kinds of upkeep a schedule can ask for."""

MAINTENANCE_KINDS: dict[str, str] = {
    "sweep-blobs": "free the room of finished pages that no job needs any more",
    "prune-tasks": "forget tasks without a job that ended more than 30 days ago",
    "backup-now": "make a backup in every place",
    "backup-verify": "read every byte of every backup",
    "backup-drill": "restore from every place, for trial, and prove what came back",
    "seal-rows": "seal what an earlier Audobon left readable in the database",
}
"""Each kind, and what it does in words."""
