"""The kinds of upkeep a schedule can ask for."""

MAINTENANCE_KINDS: dict[str, str] = {
    "sweep-blobs": "free the room of finished pages that no job needs any more",
    "run-lifecycle": "move blobs to cheaper places by the rules in force",
    "prune-tasks": "forget tasks without a job that ended more than 30 days ago",
}
"""Each kind, and what it does in words."""
